//! Namespace (upstream: `registry/core/namespace`, `ValidateNamespace*`).

use apimachinery::names::dns_label;
use apimachinery::{FieldError, FieldPath, Subresource, WriteContext};
use serde_json::{Value, json};

use super::without_dash;
use crate::metadata::finalizer_name;
use crate::print;
use crate::rules::{Rules, Selectable, at_path, is_deleting};
use crate::value::{child, list, put, text};

pub(super) static RULES: Rules = Rules {
    name: |name, prefix| dns_label(&without_dash(name, prefix)),
    prepare_create,
    prepare_update,
    validate,
    validate_update,
    begin_deletion: |o| put(child(o, "status"), "phase", json!("Terminating")),
    // The namespace controller empties it first.
    keeps_deleted: |o| !list(&o["spec"], "finalizers").is_empty(),
    selectable: Selectable {
        names: &["status.phase", "name"],
        read: |o, field| match field {
            "name" => text(&o["metadata"], "name").to_owned(),
            other => at_path(o, other),
        },
    },
    row: Some(|o, now| vec![print::name(o), json!(text(&o["status"], "phase")), print::age(o, now)]),
    ..Rules::NONE
};

/// The finalizer that the namespace controller takes away when nothing is left in a namespace.
const KUBERNETES: &str = "kubernetes";

fn prepare_create(o: &mut Value, _: &WriteContext<'_>) {
    put(o, "status", json!({ "phase": "Active" }));
    name_label(o);
    let spec = child(o, "spec");
    let mut finalizers = list(spec, "finalizers").to_vec();
    if !finalizers.contains(&json!(KUBERNETES)) {
        finalizers.push(json!(KUBERNETES));
    }
    spec["finalizers"] = json!(finalizers);
}

/// The label that names the namespace; also set after `generateName` has made a name.
fn name_label(o: &mut Value) {
    let name = o["metadata"]["name"].clone();
    if name.is_string() {
        child(child(o, "metadata"), "labels")["kubernetes.io/metadata.name"] = name;
    }
}

fn prepare_update(new: &mut Value, old: &Value, context: &WriteContext<'_>) {
    match context.subresource {
        Subresource::None => put(child(new, "spec"), "finalizers", old["spec"]["finalizers"].clone()),
        Subresource::Other("finalize") => put(new, "status", old["status"].clone()),
        _ => {}
    }
    name_label(new);
}

fn validate(o: &Value) -> Vec<FieldError> {
    finalizers(o)
}

fn finalizers(o: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("spec").child("finalizers");
    let all = list(&o["spec"], "finalizers").iter().filter_map(Value::as_str);
    all.flat_map(|name| finalizer_name(&path, &path, name)).collect()
}

fn validate_update(new: &Value, _: &Value, subresource: Subresource<'_>) -> Vec<FieldError> {
    match subresource {
        Subresource::Other("finalize") => {
            let path = FieldPath::new("spec").child("finalizers");
            let all = list(&new["spec"], "finalizers").iter().filter_map(Value::as_str).enumerate();
            all.flat_map(|(at, name)| finalizer_name(&path.index(at), &path.index(at), name)).collect()
        }
        Subresource::Status => {
            let path = FieldPath::new("status").child("Phase");
            let phase = text(&new["status"], "phase");
            match (is_deleting(new), phase) {
                (true, phase) if phase != "Terminating" => {
                    let detail = "may only be 'Terminating' if `deletionTimestamp` is not empty";
                    vec![FieldError::invalid(&path, phase, detail)]
                }
                (false, phase) if phase != "Active" => {
                    let detail = "may only be 'Active' if `deletionTimestamp` is empty";
                    vec![FieldError::invalid(&path, phase, detail)]
                }
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}
