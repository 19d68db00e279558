//! How the values of a schema merge in server-side apply.

use serde_json::Value;

use super::{Additional, ListKind, StructuralSchema};
use crate::apply::Place;
use crate::apply::place::Merge;

impl StructuralSchema {
    pub(crate) fn merge(&self) -> Merge {
        match self.ty.as_str() {
            "object" if self.map_atomic => Merge::Whole,
            "array" => match self.list_kind {
                ListKind::Atomic => Merge::Whole,
                ListKind::Set => Merge::Set,
                ListKind::Map => Merge::Keys(self.list_map_keys.clone()),
            },
            "object" | "" => Merge::Fields,
            _ => Merge::Whole,
        }
    }

    pub(crate) fn field(&self, name: &str) -> Option<Place<'_>> {
        match (self.properties.get(name), &self.additional) {
            (Some(property), _) => Some(Place::Structural(property)),
            (None, Some(Additional::Of(schema))) => Some(Place::Structural(schema)),
            (None, Some(Additional::Anything)) => Some(Place::Unknown),
            (None, None) if self.preserve_unknown_fields || self.embedded_resource => Some(Place::Unknown),
            (None, None) => None,
        }
    }

    pub(crate) fn item(&self) -> Place<'_> {
        self.items.as_deref().map_or(Place::Unknown, Place::Structural)
    }

    pub(crate) fn default_of(&self, name: &str) -> Option<&Value> {
        self.properties.get(name)?.default.as_ref()
    }

    pub(crate) fn is_map(&self) -> bool {
        self.ty == "array" || self.properties.is_empty()
    }
}
