//! JSON patch (RFC 6902) with the quirks of the Go library that upstream uses (evanphx/json-patch v4): negative
//! indexes count from the end, `replace` of an absent key sets it, `test` for null holds where nothing is.

use serde_json::{Map, Value};

use super::PatchError;

/// Most operations of one patch (upstream: `maxJSONPatchOperations`).
pub const OPERATIONS_MAX: usize = 10_000;
/// Most bytes that the `copy` operations of one patch may add (upstream: ten times its request limit).
const COPIED_BYTES_MAX: usize = 10 * 3 * 1024 * 1024;

/// Applies the operations in `patch` to `document`, which is left half changed on an error.
pub fn apply_json_patch(document: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let Some(operations) = patch.as_array() else {
        let kind = if patch.is_object() { "object" } else { "value" };
        return Err(PatchError::Malformed(format!(
            "json: cannot unmarshal {kind} into Go value of type jsonpatch.Patch"
        )));
    };
    if operations.len() > OPERATIONS_MAX {
        return Err(PatchError::TooManyOperations(operations.len()));
    }
    if let Some(stranger) = operations.iter().find(|o| !o.is_object()) {
        return Err(PatchError::Malformed(format!("{stranger} is not a JSON patch operation")));
    }
    let mut copied_bytes = 0;
    for operation in operations.iter().filter_map(Value::as_object) {
        apply(document, operation, &mut copied_bytes).map_err(PatchError::Rejected)?;
    }
    Ok(())
}

/// What Go's error chain prints last.
const MISSING: &str = "missing value";
const INVALID_INDEX: &str = "invalid index referenced";
pub(super) const TEST_FAILED: &str = "test failed";

fn apply(document: &mut Value, operation: &Map<String, Value>, copied_bytes: &mut usize) -> Result<(), String> {
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    match operation.get("op").and_then(Value::as_str).unwrap_or("unknown") {
        "add" => {
            let path =
                pointer(operation, "path").map_err(|_| format!("add operation failed to decode path: {MISSING}"))?;
            let (parent, key) = find(document, path)
                .ok_or_else(|| format!("add operation does not apply: doc is missing path: \"{path}\": {MISSING}"))?;
            add(parent, &key, value()).map_err(|e| format!("error in add for path: '{path}': {e}"))
        }
        "remove" => {
            let path =
                pointer(operation, "path").map_err(|_| format!("remove operation failed to decode path: {MISSING}"))?;
            let (parent, key) = find(document, path).ok_or_else(|| {
                format!("remove operation does not apply: doc is missing path: \"{path}\": {MISSING}")
            })?;
            remove(parent, &key).map(|_| ()).map_err(|e| format!("error in remove for path: '{path}': {e}"))
        }
        "replace" => replace(document, operation, value()),
        "move" => {
            let from = pointer(operation, "from")
                .map_err(|e| format!("move operation failed to decode from: {e}"))?
                .to_owned();
            let (parent, key) = find(document, &from)
                .ok_or_else(|| format!("move operation does not apply: doc is missing from path: {from}: {MISSING}"))?;
            let moved = get(parent, &key)
                .map(|_| ())
                .and_then(|()| remove(parent, &key))
                .map_err(|e| format!("error in move for path: '{key}': {e}"))?;
            let path = pointer(operation, "path").map_err(|e| format!("move operation failed to decode path: {e}"))?;
            let (parent, key) = find(document, path).ok_or_else(|| {
                format!("move operation does not apply: doc is missing destination path: {path}: {MISSING}")
            })?;
            add(parent, &key, moved).map_err(|e| format!("error in move for path: '{path}': {e}"))
        }
        "copy" => {
            let from = pointer(operation, "from").map_err(|e| format!("copy operation failed to decode from: {e}"))?;
            let (parent, key) = find(document, from)
                .ok_or_else(|| format!("copy operation does not apply: doc is missing from path: {from}: {MISSING}"))?;
            let copied = get(parent, &key)
                .map_err(|e| format!("error in copy for from: '{from}': {e}"))?
                .cloned()
                .unwrap_or(Value::Null);
            let path =
                pointer(operation, "path").map_err(|_| format!("copy operation failed to decode path: {MISSING}"))?;
            *copied_bytes += copied.to_string().len();
            if *copied_bytes > COPIED_BYTES_MAX {
                return Err(format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied_bytes}, exceeding the limit {COPIED_BYTES_MAX}"
                ));
            }
            let (parent, key) = find(document, path).ok_or_else(|| {
                format!("copy operation does not apply: doc is missing destination path: {path}: {MISSING}")
            })?;
            add(parent, &key, copied).map_err(|e| format!("error while adding value during copy: {e}"))
        }
        "test" => test(document, operation, &value()),
        other => Err(format!("Unexpected kind: {other}")),
    }
}

fn replace(document: &mut Value, operation: &Map<String, Value>, value: Value) -> Result<(), String> {
    let path = pointer(operation, "path").map_err(|e| format!("replace operation failed to decode path: {e}"))?;
    if path.is_empty() {
        if !value.is_object() && !value.is_array() {
            return Err("replace operation value must be object or array".to_owned());
        }
        *document = value;
        return Ok(());
    }
    let (parent, key) = find(document, path)
        .ok_or_else(|| format!("replace operation does not apply: doc is missing path: {path}: {MISSING}"))?;
    if get(parent, &key).is_err() {
        return Err(format!("replace operation does not apply: doc is missing key: {path}: {MISSING}"));
    }
    match parent {
        Value::Array(items) => {
            let at = index(&key, items.len())?;
            items[at] = value;
        }
        Value::Object(entries) => {
            entries.insert(key, value);
        }
        _ => {}
    }
    Ok(())
}

fn test(document: &mut Value, operation: &Map<String, Value>, expected: &Value) -> Result<(), String> {
    let path = pointer(operation, "path").map_err(|e| format!("test operation failed to decode path: {e}"))?;
    let failed = || format!("testing value {path} failed: {TEST_FAILED}");
    if path.is_empty() {
        return if document == expected { Ok(()) } else { Err(failed()) };
    }
    let (parent, key) = find(document, path)
        .ok_or_else(|| format!("test operation does not apply: is missing path: {path}: {MISSING}"))?;
    let actual = get(parent, &key).map_err(|e| format!("error in test for path: '{path}': {e}"))?;
    if actual.unwrap_or(&Value::Null) == expected { Ok(()) } else { Err(failed()) }
}

fn pointer<'a>(operation: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    match operation.get(name) {
        Some(Value::String(text)) => Ok(text),
        None | Some(Value::Null) if name == "from" => Err(format!("operation, missing from field: {MISSING}")),
        None | Some(Value::Null) => Err(format!("operation missing {name} field: {MISSING}")),
        Some(_) => Err(format!("field {name} is no string")),
    }
}

/// The container that holds the last step of `path`, and that step.
fn find<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parents, last) = path.rsplit_once('/')?;
    let mut at = document;
    for part in parents.split('/').skip(1) {
        let key = unescaped(part);
        at = match at {
            Value::Object(entries) => entries.get_mut(&key)?,
            Value::Array(items) => {
                let i = index(&key, items.len()).ok()?;
                items.get_mut(i)?
            }
            _ => return None,
        };
    }
    (at.is_object() || at.is_array()).then(|| (at, unescaped(last)))
}

fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// The place that `key` names in a list of `length` items.
fn index(key: &str, length: usize) -> Result<usize, String> {
    let number = parse_index(key)?;
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let at = if number < 0 { number + length } else { number };
    if at < 0 || at >= length {
        return Err(format!("Unable to access invalid index: {number}: {INVALID_INDEX}"));
    }
    usize::try_from(at).map_err(|e| e.to_string())
}

fn parse_index(key: &str) -> Result<i64, String> {
    key.parse().map_err(|_| format!("strconv.Atoi: parsing {key:?}: invalid syntax"))
}

fn get<'a>(parent: &'a Value, key: &str) -> Result<Option<&'a Value>, String> {
    match parent {
        Value::Array(items) => index(key, items.len()).map(|at| items.get(at)),
        other => Ok(other.get(key)),
    }
}

fn add(parent: &mut Value, key: &str, value: Value) -> Result<(), String> {
    match parent {
        Value::Object(entries) => {
            entries.insert(key.to_owned(), value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            parse_index(key).map_err(|e| format!("value was not a proper array index: '{key}': {e}"))?;
            // One more place than there are items: behind the last one.
            let at = index(key, items.len() + 1)?;
            items.insert(at, value);
        }
        _ => {}
    }
    Ok(())
}

fn remove(parent: &mut Value, key: &str) -> Result<Value, String> {
    match parent {
        Value::Array(items) => {
            let at = index(key, items.len())?;
            Ok(items.remove(at))
        }
        Value::Object(entries) => {
            entries.remove(key).ok_or_else(|| format!("Unable to remove nonexistent key: {key}: {MISSING}"))
        }
        _ => Err(format!("Unable to remove nonexistent key: {key}: {MISSING}")),
    }
}
