//! Claims (upstream: `pkg/registry/core/persistentvolumeclaim`, `ValidatePersistentVolumeClaim`).

use apimachinery::{FieldError, FieldPath};
use serde_json::{Value, json};

use super::{CLASS_DEPRECATED, access_modes, class_name, positive, volume_mode};
use crate::check::{immutable, invalid_each, label_selector, one_of};
use crate::storage_classes::BETA_CLASS;
use crate::value::{as_quantity, child, entries, has, put, quantity, text};
use crate::warnings::{annotations, fractional};

/// Keeps the two fields that say where a claim's content comes from the same. What neither is a claim nor a snapshot was
/// always dropped from the older one (KEP 1495); other namespaces are behind a feature gate that is off.
pub(super) fn prepare(o: &mut Value, old: Option<&Value>) {
    let had = |field: &str| old.is_some_and(|old| has(&old["spec"], field));
    let in_use = had("dataSource") || had("dataSourceRef");
    let spec = child(o, "spec");
    if !text(&spec["dataSourceRef"], "namespace").is_empty() && !had("dataSourceRef") {
        put(spec, "dataSourceRef", Value::Null);
    }
    let known = matches!(
        (text(&spec["dataSource"], "apiGroup"), text(&spec["dataSource"], "kind")),
        ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
    );
    if !in_use && !has(spec, "dataSourceRef") && !known {
        put(spec, "dataSource", Value::Null);
    }
    normalize(spec);
}

fn normalize(spec: &mut Value) {
    match (has(spec, "dataSource"), has(spec, "dataSourceRef")) {
        (true, false) => {
            let source = spec["dataSource"].clone();
            put(spec, "dataSourceRef", source);
        }
        (false, true) if text(&spec["dataSourceRef"], "namespace").is_empty() => {
            let mut source = spec["dataSourceRef"].clone();
            put(&mut source, "namespace", Value::Null);
            put(spec, "dataSource", source);
        }
        _ => {}
    }
}

/// Faults of a claim's spec. A group that was wrong before there was a rule for it may stay (`old_group`).
pub(super) fn validate(spec: &Value, old_group: bool) -> Vec<FieldError> {
    let path = FieldPath::new("spec");
    let mut faults = access_modes(&path, spec, "at least 1 access mode is required");
    faults.extend(label_selector(&path.child("selector"), &spec["selector"]));
    let storage = path.child("resources").key("storage");
    match &spec["resources"]["requests"]["storage"] {
        Value::Null => faults.push(FieldError::required(&storage, "")),
        amount => faults.extend(positive(&storage, amount)),
    }
    faults.extend(class_name(&path, spec, "storageClassName"));
    faults.extend(volume_mode(&path, spec));
    for field in ["dataSource", "dataSourceRef"].into_iter().filter(|field| has(spec, field)) {
        faults.extend(source(&path.child(field), &spec[field], old_group));
    }
    faults.extend(sources_agree(&path, spec));
    faults.extend(class_name(&path, spec, "volumeAttributesClassName"));
    faults
}

fn source(path: &FieldPath, source: &Value, old_group: bool) -> Vec<FieldError> {
    let required = ["name", "kind"].into_iter().filter(|field| text(source, field).is_empty());
    let mut faults: Vec<FieldError> = required.map(|field| FieldError::required(&path.child(field), "")).collect();
    let (group, kind) = (text(source, "apiGroup"), text(source, "kind"));
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        faults.push(FieldError::invalid(path, kind, detail));
    }
    if !group.is_empty() && !old_group {
        faults.extend(invalid_each(&path.child("apiGroup"), group, apimachinery::names::dns_subdomain(group)));
    }
    let namespace = text(source, "namespace");
    if !namespace.is_empty() {
        let wrong = apimachinery::names::dns_label(namespace);
        faults.extend(invalid_each(&path.child("namespace"), namespace, wrong));
    }
    faults
}

fn sources_agree(path: &FieldPath, spec: &Value) -> Option<FieldError> {
    let (source, reference) = (&spec["dataSource"], &spec["dataSourceRef"]);
    if source.is_null() || reference.is_null() {
        return None;
    }
    let same = ["apiGroup", "kind", "name"].iter().all(|field| source[field] == reference[field]);
    // Upstream prints a path, which has no fields.
    let fault = |detail: &str| Some(FieldError::invalid(path, &json!({}), detail));
    match text(reference, "namespace") {
        "" if same => None,
        "" => fault("must match dataSourceRef"),
        _ => fault("may not be specified when dataSourceRef.namespace is specified"),
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("spec");
    let grouped = |field: &str| has(&old["spec"][field], "apiGroup");
    let mut faults = validate(&new["spec"], grouped("dataSource") || grouped("dataSourceRef"));
    let (mut after, mut before) = (new["spec"].clone(), old["spec"].clone());
    normalize(&mut before);
    // The binder sets it, once.
    if text(&before, "volumeName").is_empty() {
        put(&mut before, "volumeName", after["volumeName"].clone());
    }
    faults.extend(class_is_kept(new, old, &mut after));
    let bound = text(&new["status"], "phase") == "Bound";
    let request = |o: &Value| quantity(&o["spec"]["resources"]["requests"], "storage").unwrap_or_default();
    if bound {
        if has(&after["resources"], "requests") {
            let size = before["resources"]["requests"]["storage"].clone();
            put(child(child(&mut after, "resources"), "requests"), "storage", size);
        }
        put(&mut after, "volumeAttributesClassName", before["volumeAttributesClassName"].clone());
    }
    if after != before {
        let detail =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        faults.push(FieldError::forbidden(&path, format!("{detail}\n-   {before}\n+   {after}\n")));
    }
    // A request may be lowered after an expansion that failed, but not to what there is.
    let capacity = quantity(&old["status"]["capacity"], "storage").unwrap_or_default();
    if request(new) < request(old) && request(new) <= capacity {
        let path = path.child("resources").child("requests").child("storage");
        faults.push(FieldError::forbidden(&path, "field can not be less than status.capacity"));
    }
    let mode = |o: &Value| o["spec"]["volumeMode"].clone();
    faults.extend(immutable(&FieldPath::new("volumeMode"), &mode(new), &mode(old)));
    let attributes = |o: &Value| o["spec"]["volumeAttributesClassName"].clone();
    if attributes(new) != attributes(old) && has(&old["status"], "currentVolumeAttributesClassName") {
        let path = path.child("volumeAttributesClassName");
        let to = match attributes(new).as_str() {
            None => "nil",
            Some("") => "empty string",
            Some(_) => return faults,
        };
        let detail = format!("update to {to} is forbidden when status.currentVolumeAttributesClassName is not nil");
        faults.push(FieldError::forbidden(&path, detail));
    }
    faults
}

/// The class may move from the annotation to its field, or come where there was none; `after` is made as if it had not.
fn class_is_kept(new: &Value, old: &Value, after: &mut Value) -> Vec<FieldError> {
    let annotation = |o: &Value| o["metadata"]["annotations"][BETA_CLASS].as_str().map(str::to_owned);
    let (annotated, now) = (annotation(old), annotation(new));
    let named = new["spec"]["storageClassName"].as_str().map(str::to_owned);
    let unnamed = !has(&old["spec"], "storageClassName");
    let moves = annotated.is_some() && named == annotated;
    if unnamed && moves && (now.is_none() || now == annotated) {
        put(after, "storageClassName", Value::Null);
        return Vec::new();
    }
    if unnamed && named.is_some() && (annotated.is_none() || moves) {
        put(after, "storageClassName", Value::Null);
    }
    let path = FieldPath::new("metadata").child("annotations").child(BETA_CLASS);
    let text = |annotation: Option<String>| json!(annotation.unwrap_or_default());
    immutable(&path, &text(now), &text(annotated))
}

const RESIZE_STATUSES: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

pub(super) fn validate_status(new: &Value) -> Vec<FieldError> {
    let (path, status) = (FieldPath::new("status"), &new["status"]);
    let mut faults = amounts(&path.child("capacity"), status, "capacity");
    let here = path.child("allocatedResourceStatuses");
    for (key, value) in entries(status, "allocatedResourceStatuses") {
        faults.extend(resource_key(&here, key));
        if !value.as_str().is_some_and(|value| RESIZE_STATUSES.contains(&value)) {
            faults.extend(one_of(&here, key, &RESIZE_STATUSES));
        }
    }
    let here = path.child("allocatedResources");
    faults.extend(entries(status, "allocatedResources").flat_map(|(key, _)| resource_key(&here, key)));
    faults.extend(amounts(&here, status, "allocatedResources"));
    faults
}

fn amounts(path: &FieldPath, status: &Value, field: &str) -> Vec<FieldError> {
    let below = entries(status, field).filter_map(|(key, amount)| Some((key, as_quantity(amount)?)));
    let below = below.filter(|(_, amount)| amount.signum() < 0);
    below
        .map(|(key, amount)| {
            FieldError::invalid(&path.key(key), &amount.value().to_string(), "must be a valid resource quantity")
        })
        .collect()
}

/// Of the resources without a domain, and of Kubernetes' own, only storage can be allocated.
fn resource_key(path: &FieldPath, key: &str) -> Vec<FieldError> {
    let wrong = apimachinery::names::qualified_name(key);
    if !wrong.is_empty() {
        return invalid_each(path, key, wrong);
    }
    let own = !key.contains('/') || key.contains("kubernetes.io/");
    if own { one_of(path, key, &["storage"]) } else { Vec::new() }
}

pub(super) fn warnings(o: &Value) -> Vec<String> {
    let mut warnings = annotations(&FieldPath::new("metadata"), &o["metadata"], &[(BETA_CLASS, CLASS_DEPRECATED)]);
    warnings.extend(spec_warnings(&FieldPath::new("spec"), &o["spec"]));
    warnings
}

/// What is said of a claim's spec, wherever it stands.
pub(crate) fn spec_warnings(path: &FieldPath, spec: &Value) -> Vec<String> {
    let path = path.child("resources");
    let of = |field| fractional(&path.child(field), &spec["resources"][field], "storage");
    ["requests", "limits"].into_iter().filter_map(of).collect()
}
