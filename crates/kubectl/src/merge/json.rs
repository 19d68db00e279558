//! JSON merge patches: for custom resources, labels, annotations.

use serde_json::{Map, Value};

/// The JSON merge patch that makes `modified` of `original`.
pub(crate) fn diff(original: &Value, modified: &Value) -> Value {
    let empty = Map::new();
    let (old, new) = (original.as_object().unwrap_or(&empty), modified.as_object().unwrap_or(&empty));
    let mut patch = Map::new();
    for (key, value) in new {
        match (old.get(key), value) {
            (Some(before @ Value::Object(_)), Value::Object(_)) => {
                let inner = diff(before, value);
                if inner.as_object().is_some_and(|fields| !fields.is_empty()) {
                    patch.insert(key.clone(), inner);
                }
            }
            (Some(before), value) if before == value => {}
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

/// Keeps only deletions, or only the rest.
fn filter(patch: &Value, deletions: bool) -> Value {
    let mut kept = Map::new();
    for (key, value) in patch.as_object().into_iter().flatten() {
        match value {
            Value::Null if deletions => {
                kept.insert(key.clone(), Value::Null);
            }
            Value::Null => {}
            // An empty map that was asked for is a value.
            Value::Object(fields) if fields.is_empty() => {
                if !deletions {
                    kept.insert(key.clone(), value.clone());
                }
            }
            Value::Object(_) => {
                let inner = filter(value, deletions);
                if inner.as_object().is_some_and(|fields| !fields.is_empty()) {
                    kept.insert(key.clone(), inner);
                }
            }
            _ if deletions => {}
            other => {
                kept.insert(key.clone(), other.clone());
            }
        }
    }
    Value::Object(kept)
}

/// Lays the additions over the deletions; both are patches, so nulls stay.
fn join(deletions: &mut Map<String, Value>, additions: Map<String, Value>) {
    for (key, value) in additions {
        match (deletions.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => join(old, new),
            (_, value) => {
                deletions.insert(key, value);
            }
        }
    }
}

/// The JSON merge patch of client-side apply.
pub(crate) fn three_way(original: &Value, modified: &Value, current: &Value) -> Result<Value, String> {
    let additions = filter(&diff(current, modified), false);
    let deletions = filter(&diff(original, modified), true);
    let (Value::Object(mut patch), Value::Object(additions)) = (deletions, additions) else {
        return Err("Invalid JSON Patch".to_owned());
    };
    join(&mut patch, additions);
    let unchanged = |value: Option<&Value>| value.is_none();
    let name = patch.get("metadata").and_then(|metadata| metadata.get("name"));
    if unchanged(patch.get("apiVersion")) && unchanged(patch.get("kind")) && unchanged(name) {
        Ok(Value::Object(patch))
    } else {
        Err("At least one of apiVersion, kind and name was changed".to_owned())
    }
}
