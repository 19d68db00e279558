//! Patches from what was, what shall be and what is: kubectl's side of strategic merge and JSON merge patches (upstream:
//! `apimachinery/pkg/util/strategicpatch`, `jsonmergepatch`). Pure.

mod json;
mod strategic;

use apimachinery::TypeId;
use serde_json::Value;

pub(crate) use json::{diff as json_diff, three_way as json_three_way};

use crate::discovery::ResourceType;

/// The type of a built-in kind's objects; none for custom resources, which have no strategic merge.
pub(crate) fn built_in(resource: &ResourceType) -> Option<TypeId> {
    let by_name = api::find(&resource.group, &resource.version, &resource.plural);
    let known = by_name.or_else(|| api::find_kind(&resource.group, &resource.version, &resource.kind))?;
    api::schemas().find(known.schema)
}

/// The strategic merge patch that makes `modified` of `original`.
pub(crate) fn two_way(ty: TypeId, original: &Value, modified: &Value) -> Result<Value, String> {
    strategic::two_way(api::schemas(), ty, original, modified)
}

/// The strategic merge patch that brings `current` to `modified`, and takes away what `original` had and `modified` has no
/// longer.
pub(crate) fn three_way(ty: TypeId, original: &Value, modified: &Value, current: &Value) -> Result<Value, String> {
    strategic::three_way(api::schemas(), ty, original, modified, current)
}

#[cfg(test)]
mod tests;
