//! What the server does to `metadata` on every write, whatever the kind.

use apimachinery::{ApiError, Resource, metav1_time};
use client::Target;
use component_base::Random;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::meta_text;

/// Characters of a generated name that are random.
const SUFFIX_LENGTH: usize = 5;
/// The longest generated name (upstream: `names/generate.go`).
const GENERATED_MAX: usize = 63;

/// A time as `metav1.Time` has it: whole seconds, UTC.
pub(super) fn time(at: Timestamp) -> Value {
    json!(metav1_time(at))
}

/// Checks that the body is of the kind that the path names, and fills in what a client may leave out.
pub(super) fn check_kind(resource: &Resource, value: &mut Value) -> Result<(), ApiError> {
    if !value.is_object() {
        return Err(ApiError::bad_request("the body must be an object"));
    }
    for (field, expected) in [("kind", resource.kind.to_owned()), ("apiVersion", resource.api_version())] {
        match value[field].as_str().unwrap_or_default() {
            "" => value[field] = json!(expected),
            given if given == expected => {}
            given => {
                return Err(ApiError::bad_request(format!(
                    "the {field} in the data ({given}) does not match the expected {field} ({expected})"
                )));
            }
        }
    }
    if value["metadata"].is_null() {
        value["metadata"] = json!({});
    }
    Ok(())
}

/// The body's name must be the path's.
pub(super) fn check_name(target: Target<'_>, value: &mut Value) -> Result<(), ApiError> {
    match meta_text(value, "name") {
        "" => value["metadata"]["name"] = json!(target.name),
        given if given == target.name => {}
        given => {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({given}) does not match the name on the URL ({})",
                target.name
            )));
        }
    }
    Ok(())
}

/// The body's namespace must be the path's.
pub(super) fn check_namespace(target: Target<'_>, value: &mut Value) -> Result<(), ApiError> {
    match meta_text(value, "namespace") {
        given if given == target.namespace => {}
        "" => value["metadata"]["namespace"] = json!(target.namespace),
        given => {
            return Err(ApiError::bad_request(format!(
                "the namespace of the provided object does not match the namespace sent on the request: {given:?}, {:?}",
                target.namespace
            )));
        }
    }
    if target.namespace.is_empty()
        && let Some(metadata) = value["metadata"].as_object_mut()
    {
        metadata.remove("namespace");
    }
    Ok(())
}

/// A new object's identity. Whatever the client says of it is dropped; who owns its fields, unless an apply says so.
pub(super) fn begin(value: &mut Value, now: Timestamp, random: &Random, applies: bool) {
    let generated = (meta_text(value, "name").is_empty()).then(|| meta_text(value, "generateName").to_owned());
    let Some(metadata) = value["metadata"].as_object_mut() else { return };
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
        metadata.remove(field);
    }
    if !applies {
        metadata.remove("managedFields");
    }
    metadata.insert("uid".to_owned(), json!(random.uuid()));
    metadata.insert("creationTimestamp".to_owned(), time(now));
    if let Some(base) = generated.filter(|base| !base.is_empty()) {
        let mut end = base.len().min(GENERATED_MAX - SUFFIX_LENGTH);
        while !base.is_char_boundary(end) {
            end -= 1;
        }
        let name = format!("{}{}", &base[..end], random.name_suffix(SUFFIX_LENGTH));
        metadata.insert("name".to_owned(), json!(name));
    }
}

/// A changed object keeps its identity; a client may not move it.
///
/// Gives whether the client resets who owns its fields, by an empty list or an empty entry.
pub(super) fn carry_over(target: Target<'_>, new: &mut Value, old: &Value, applies: bool) -> Result<bool, ApiError> {
    let resource = target.resource;
    check_name(target, new)?;
    check_namespace(target, new)?;
    let (given, actual) = (meta_text(new, "uid"), meta_text(old, "uid"));
    if !given.is_empty() && given != actual {
        let why = format!("Precondition failed: UID in precondition: {given}, UID in object meta: {actual}");
        return Err(ApiError::conflict(resource.group, resource.plural, target.name, &why));
    }
    // An update that insists on no version is one of the version that is there.
    if meta_text(new, "resourceVersion").is_empty() {
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
    }
    let Some(metadata) = new["metadata"].as_object_mut() else { return Ok(false) };
    metadata.remove("selfLink");
    let mut resets = false;
    if !applies {
        let given = metadata.remove("managedFields");
        let given = given.as_ref().and_then(Value::as_array);
        resets = given.is_some_and(|list| list.iter().all(|entry| entry["manager"].as_str().is_none_or(str::is_empty)));
    }
    for field in ["uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        match &old["metadata"][field] {
            Value::Null => metadata.remove(field),
            kept => metadata.insert(field.to_owned(), kept.clone()),
        };
    }
    Ok(resets)
}

/// Drops empty collections that Go's encoder omits, so that a client that sends `{}` changes nothing.
pub(super) fn tidy(value: &mut Value) {
    let Some(metadata) = value["metadata"].as_object_mut() else { return };
    metadata.retain(|_, field| match field {
        Value::Null => false,
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    });
}
