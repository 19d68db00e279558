//! JSON merge patch (RFC 7386), as evanphx/json-patch v4 has it.

use serde_json::{Map, Value};

use super::PatchError;

/// Merges `patch` into `document`: null deletes, objects merge, all else replaces.
pub fn apply_merge_patch(document: &mut Value, patch: Value) -> Result<(), PatchError> {
    let Value::Object(patch) = patch else {
        return Err(PatchError::Malformed("Invalid JSON Patch".to_owned()));
    };
    match document {
        Value::Object(target) => merge(target, patch),
        other => {
            let mut whole = Value::Object(patch);
            prune(&mut whole);
            *other = whole;
        }
    }
    Ok(())
}

fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, mut value) in patch {
        match (target.get_mut(&key), &mut value) {
            (_, Value::Null) => {
                target.remove(&key);
            }
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, std::mem::take(new)),
            // Over an object anything else comes as it is, over the rest without its nulls.
            (Some(Value::Object(_)), _) => {
                target.insert(key, value);
            }
            _ => {
                prune(&mut value);
                target.insert(key, value);
            }
        }
    }
}

/// Takes the nulls out of objects, those in lists too; nulls that are items stay.
fn prune(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|_, v| !v.is_null());
            entries.values_mut().for_each(prune);
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}
