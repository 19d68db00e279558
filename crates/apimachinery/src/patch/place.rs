//! Where in a schema a merge is, and what the schema says of the way on: for those who apply strategic merge patches and for
//! those who make them.

use crate::schema::{FieldType, Schemas, TypeId};

/// Says what becomes of the map or list that it stands in.
pub const DIRECTIVE: &str = "$patch";
/// Lists the keys that stay.
pub const RETAIN_KEYS: &str = "$retainKeys";
/// Before a list's name: the values that go.
pub const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList";
/// Before a list's name: the order of its items.
pub const SET_ELEMENT_ORDER: &str = "$setElementOrder";

/// A place in the schema.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// An object of this type.
    Struct(TypeId),
    /// A map with values of this type.
    Map(&'a FieldType),
    /// JSON without a schema: maps merge, lists are replaced.
    Free,
}

/// What the schema says of one field's value.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Where the value is; for a list, where its items are.
    pub place: Place<'a>,
    /// Lists are merged and not replaced.
    pub merge: bool,
    /// Keys that a patch does not name go.
    pub retain_keys: bool,
    /// By which a list's items are known; empty for a list of plain values.
    pub merge_key: &'a str,
}

impl<'a> Member<'a> {
    /// One of which the schema says nothing but where it is.
    pub fn plain(place: Place<'a>) -> Self {
        Self { place, merge: false, retain_keys: false, merge_key: "" }
    }
}

impl<'a> Place<'a> {
    fn of(ty: &'a FieldType) -> Self {
        match ty {
            FieldType::Struct(id) => Self::Struct(*id),
            FieldType::Map(value) => Self::Map(value),
            FieldType::Array(item) => Self::of(item),
            _ => Self::Free,
        }
    }

    /// The way on by `key`; `None` for a field that the type does not have.
    pub fn member(self, schemas: &'a Schemas, key: &str) -> Option<Member<'a>> {
        match self {
            Self::Free => Some(Member::plain(Self::Free)),
            Self::Map(value) => Some(Member::plain(Self::of(value))),
            Self::Struct(id) => {
                let field = schemas.get(id).field(key)?;
                Some(Member {
                    place: Self::of(&field.ty),
                    merge: field.patch_strategy.merge,
                    retain_keys: field.patch_strategy.retain_keys,
                    merge_key: field.patch_merge_key,
                })
            }
        }
    }
}
