//! Checks of `metadata` that all kinds share (upstream: `apimachinery/pkg/api/validation/objectmeta.go`).

use apimachinery::names::{dns_label, label_value, qualified_name};
use apimachinery::{FieldError, FieldPath};
use serde_json::{Value, json};

use crate::value::{child, entries, flag, has, int, list, put, text};

/// Most bytes that all annotations of an object may have, keys and values.
pub const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// All faults of the metadata of a new object. `name_faults` tells what is wrong with a name
/// ([`apimachinery::Strategy::validate_name`]).
pub fn validate(
    metadata: &Value,
    namespaced: bool,
    name_faults: &dyn Fn(&str, bool) -> Vec<String>,
) -> Vec<FieldError> {
    validate_at(&FieldPath::new("metadata"), metadata, namespaced, name_faults)
}

pub(crate) fn validate_at(
    path: &FieldPath,
    metadata: &Value,
    namespaced: bool,
    name_faults: &dyn Fn(&str, bool) -> Vec<String>,
) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let name = text(metadata, "name");
    if name.is_empty() {
        faults.push(FieldError::required(&path.child("name"), "name or generateName is required"));
    } else {
        faults.extend(name_faults(name, false).into_iter().map(|f| FieldError::invalid(&path.child("name"), name, f)));
    }
    let namespace = text(metadata, "namespace");
    let namespace_path = path.child("namespace");
    match (namespaced, namespace.is_empty()) {
        (true, true) => faults.push(FieldError::required(&namespace_path, "")),
        (true, false) => {
            faults.extend(dns_label(namespace).into_iter().map(|f| FieldError::invalid(&namespace_path, namespace, f)));
        }
        (false, true) => {}
        (false, false) => faults.push(FieldError::forbidden(&namespace_path, "not allowed on this type")),
    }
    if let Some(generation) = int(metadata, "generation").filter(|n| *n < 0) {
        faults.push(FieldError::invalid(&path.child("generation"), generation, crate::check::NOT_NEGATIVE));
    }
    faults.extend(labels(&path.child("labels"), &metadata["labels"]));
    faults.extend(annotations_of(&path.child("annotations"), metadata));
    faults.extend(owner_references(&path.child("ownerReferences"), metadata));
    faults.extend(finalizers(metadata));
    faults
}

/// All faults of a change of metadata.
pub fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("metadata");
    let mut faults = Vec::new();
    if has(old, "deletionTimestamp") {
        let mut extra: Vec<&str> = list(new, "finalizers")
            .iter()
            .filter(|f| !list(old, "finalizers").contains(f))
            .filter_map(Value::as_str)
            .collect();
        extra.sort_unstable();
        if !extra.is_empty() {
            let all: Vec<String> = extra.iter().map(|f| format!("{f:?}")).collect();
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                all.join(", ")
            );
            faults.push(FieldError::forbidden(&path.child("finalizers"), detail));
        }
    }
    if text(new, "resourceVersion").is_empty() {
        faults.push(FieldError::invalid(&path.child("resourceVersion"), "", "must be specified for an update"));
    }
    let generation = int(new, "generation").unwrap_or_default();
    if generation < 0 {
        faults.push(FieldError::invalid(&path.child("generation"), generation, crate::check::NOT_NEGATIVE));
    }
    if generation < int(old, "generation").unwrap_or_default() {
        faults.push(FieldError::invalid(&path.child("generation"), generation, "must not be decremented"));
    }
    for key in ["name", "namespace", "uid"] {
        if text(new, key) != text(old, key) {
            faults.push(FieldError::invalid(&path.child(key), text(new, key), crate::check::IMMUTABLE));
        }
    }
    for key in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if new[key] != old[key] {
            faults.push(FieldError::invalid(&path.child(key), &new[key], crate::check::IMMUTABLE));
        }
    }
    faults.extend(labels(&path.child("labels"), &new["labels"]));
    faults.extend(annotations_of(&path.child("annotations"), new));
    faults.extend(owner_references(&path.child("ownerReferences"), new));
    faults
}

/// Faults of labels.
pub(crate) fn labels(path: &FieldPath, labels: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        faults.extend(qualified_name(key).into_iter().map(|f| FieldError::invalid(path, key, f)));
        faults.extend(label_value(value).into_iter().map(|f| FieldError::invalid(path, value, f)));
    }
    faults
}

/// Faults of annotations.
pub(crate) fn annotations_of(path: &FieldPath, metadata: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut bytes = 0;
    for (key, value) in entries(metadata, "annotations") {
        faults.extend(qualified_name(&key.to_lowercase()).into_iter().map(|f| FieldError::invalid(path, key, f)));
        bytes += key.len() + value.as_str().unwrap_or_default().len();
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        faults.push(FieldError::too_long(path, ANNOTATIONS_BYTES_MAX));
    }
    faults
}

/// A reference as upstream prints it in a fault: in the order of Go's fields.
fn printed_reference(reference: &Value) -> String {
    let mut parts: Vec<String> = ["apiVersion", "kind", "name", "uid"]
        .iter()
        .map(|key| format!("{:?}:{:?}", key, text(reference, key)))
        .collect();
    for key in ["controller", "blockOwnerDeletion"] {
        if has(reference, key) {
            parts.push(format!("{key:?}:{}", reference[key]));
        }
    }
    format!("{{{}}}", parts.join(","))
}

fn owner_references(path: &FieldPath, metadata: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut controller: Option<String> = None;
    let references = list(metadata, "ownerReferences");
    for (at, reference) in references.iter().enumerate() {
        let here = path.index(at);
        let version = text(reference, "apiVersion");
        let parts: Vec<&str> = version.split('/').collect();
        if version.is_empty() {
            faults.push(FieldError::required(&here.child("apiVersion"), "must not be empty"));
        } else if parts.len() > 2 || parts.last().is_some_and(|v| v.is_empty()) {
            let detail = "must be <group>/<version> or <version>";
            faults.push(FieldError::invalid(&here.child("apiVersion"), version, detail));
        }
        for key in ["kind", "name", "uid"] {
            if text(reference, key).is_empty() {
                faults.push(FieldError::required(&here.child(key), "must not be empty"));
            }
        }
        if version == "v1" && text(reference, "kind") == "Event" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            faults.push(FieldError::invalid(&here, Raw(printed_reference(reference)), detail));
        }
        if flag(reference, "controller") {
            let this = format!("{}/{}", text(reference, "kind"), text(reference, "name"));
            match &controller {
                None => controller = Some(this),
                Some(first) => {
                    let all: Vec<String> = references.iter().map(printed_reference).collect();
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                    );
                    faults.push(FieldError::invalid(path, Raw(format!("[{}]", all.join(","))), detail));
                }
            }
        }
    }
    faults
}

/// Text that is printed as it is.
pub(crate) struct Raw(pub(crate) String);

impl apimachinery::field::Printed for Raw {
    fn printed(&self) -> String {
        self.0.clone()
    }
}

/// Faults of the finalizers.
pub(crate) fn finalizers(metadata: &Value) -> Vec<FieldError> {
    let path = &FieldPath::new("metadata").child("finalizers");
    let mut faults = Vec::new();
    let all: Vec<&str> = list(metadata, "finalizers").iter().filter_map(Value::as_str).collect();
    for (at, name) in all.iter().enumerate() {
        faults.extend(finalizer_name(path, &path.index(at), name));
    }
    if all.contains(&"orphan") && all.contains(&"foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        faults.push(FieldError::invalid(path, &json!(all), detail));
    }
    faults
}

/// Faults of a finalizer: a qualified name, one of the standard names or with a prefix.
pub(crate) fn finalizer_name(list: &FieldPath, item: &FieldPath, name: &str) -> Vec<FieldError> {
    const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];
    let mut faults: Vec<FieldError> =
        qualified_name(name).into_iter().map(|f| FieldError::invalid(list, name, f)).collect();
    if !name.contains('/') && !STANDARD.contains(&name) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        faults.push(FieldError::invalid(item, name, detail));
    }
    faults
}

/// Takes over from the old object what no client may change (upstream's `rest.BeforeUpdate`).
pub(crate) fn keep_system_fields(new: &mut Value, old: &Value) {
    let before = old["metadata"].clone();
    let metadata = child(new, "metadata");
    put(metadata, "generation", before["generation"].clone());
    if text(metadata, "uid").is_empty() {
        put(metadata, "uid", before["uid"].clone());
    }
    for key in ["creationTimestamp", "deletionTimestamp"] {
        if has(&before, key) {
            put(metadata, key, before[key].clone());
        }
    }
    if !has(metadata, "deletionGracePeriodSeconds") {
        put(metadata, "deletionGracePeriodSeconds", before["deletionGracePeriodSeconds"].clone());
    }
}

/// Takes over all metadata that a status write may not change (upstream's `ResetObjectMetaForStatus`).
pub(crate) fn keep_for_status(new: &mut Value, old: &Value) {
    let before = old["metadata"].clone();
    let metadata = child(new, "metadata");
    for key in ["deletionTimestamp", "generation", "labels", "annotations", "finalizers", "ownerReferences"] {
        put(metadata, key, before[key].clone());
    }
}
