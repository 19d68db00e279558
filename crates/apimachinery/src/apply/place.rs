//! What a schema says of a value at some place in an object: how it merges and what is below it.

use serde_json::Value;

use crate::StructuralSchema;
use crate::schema::{Field, FieldType, ListType, Schemas, TypeId};

/// The schema of metadata, whatever the kind.
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// A place in a schema.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// An object of a built-in type.
    Type(&'a Schemas, TypeId),
    /// A field of one, or what is in its list or map: what is there, and the field that says how it merges.
    Field(&'a Schemas, &'a FieldType, Option<&'a Field>),
    /// A custom object itself; its metadata is a built-in type.
    Custom(&'a Schemas, &'a StructuralSchema),
    /// Something in a custom object.
    Structural(&'a StructuralSchema),
    /// Nothing is known: maps merge, lists are replaced.
    Unknown,
}

/// How a value merges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Merge {
    /// It is replaced as a whole.
    Whole,
    /// Field by field.
    Fields,
    /// Items are told apart by their value.
    Set,
    /// Items are told apart by these fields.
    Keys(Vec<String>),
}

impl<'a> Place<'a> {
    /// How `value` merges here.
    pub(super) fn merge(&self, value: &Value) -> Merge {
        let by_schema = match self {
            Self::Type(schemas, id) => match &schemas.get(*id).alias {
                Some(alias) => return Place::Field(schemas, alias, None).merge(value),
                None if schemas.get(*id).map_atomic => Merge::Whole,
                None => Merge::Fields,
            },
            Self::Field(schemas, ty, field) => match ty {
                _ if field.is_some_and(|field| field.map_atomic) => Merge::Whole,
                FieldType::Struct(id) => return Place::Type(schemas, *id).merge(value),
                FieldType::Map(_) => Merge::Fields,
                FieldType::Array(_) => match field.map(|field| (field.list_type, &field.map_keys)) {
                    Some((ListType::Set, _)) => Merge::Set,
                    Some((ListType::Map, keys)) => Merge::Keys(keys.iter().map(|key| (*key).to_owned()).collect()),
                    _ => Merge::Whole,
                },
                _ => Merge::Whole,
            },
            Self::Custom(..) => Merge::Fields,
            Self::Structural(schema) => schema.merge(),
            Self::Unknown => Merge::Fields,
        };
        // What does not have the form that the schema says is replaced.
        match (&by_schema, value) {
            (Merge::Fields, Value::Object(_)) | (Merge::Set | Merge::Keys(_), Value::Array(_)) => by_schema,
            _ => Merge::Whole,
        }
    }

    /// The place of a field; `None` if the schema knows of no such field.
    pub(super) fn field(&self, name: &str) -> Option<Place<'a>> {
        match *self {
            Self::Type(schemas, id) => {
                let ty = schemas.get(id);
                if let Some(alias) = &ty.alias {
                    return Place::Field(schemas, alias, None).field(name);
                }
                ty.field(name).map(|field| Place::Field(schemas, &field.ty, Some(field)))
            }
            Self::Field(schemas, ty, _) => match ty {
                FieldType::Struct(id) => Place::Type(schemas, *id).field(name),
                FieldType::Map(value) => Some(Place::Field(schemas, value, None)),
                _ => Some(Place::Unknown),
            },
            Self::Custom(schemas, schema) => match (name, schemas.find(OBJECT_META)) {
                ("metadata", Some(id)) => Some(Place::Type(schemas, id)),
                ("apiVersion" | "kind", _) => Some(Place::Unknown),
                _ => schema.field(name),
            },
            Self::Structural(schema) => schema.field(name),
            Self::Unknown => Some(Place::Unknown),
        }
    }

    /// The place of a list's items.
    pub(super) fn item(&self) -> Place<'a> {
        match *self {
            Self::Field(schemas, FieldType::Array(item), _) => Place::Field(schemas, item, None),
            Self::Structural(schema) => schema.item(),
            _ => Place::Unknown,
        }
    }

    /// The default of a field of an object here.
    pub(super) fn default_of(&self, name: &str) -> Option<&'a Value> {
        match *self {
            Self::Type(schemas, id) => schemas.get(id).field(name)?.default.as_ref(),
            Self::Field(schemas, FieldType::Struct(id), _) => schemas.get(*id).field(name)?.default.as_ref(),
            Self::Structural(schema) => schema.default_of(name),
            _ => None,
        }
    }

    /// Whether a container that is new is a place of its own: of maps upstream says so, of structs not.
    pub(super) fn is_map(&self) -> bool {
        match self {
            Self::Field(_, ty, _) => matches!(ty, FieldType::Map(_) | FieldType::Array(_)),
            Self::Structural(schema) => schema.is_map(),
            Self::Unknown => true,
            _ => false,
        }
    }
}
