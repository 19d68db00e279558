//! Volumes (upstream: `pkg/registry/core/persistentvolume`, `ValidatePersistentVolume`).

use apimachinery::{FieldError, FieldPath, Subresource, WriteContext, metav1_time};
use serde_json::{Value, json};

use super::{CLASS_DEPRECATED, access_modes, class_name, positive, volume_mode};
use crate::check::{immutable, one_of};
use crate::pods;
use crate::storage_classes::BETA_CLASS;
use crate::value::{child, has, list, put, text};
use crate::warnings::{annotations, node_expressions};

pub(super) fn prepare_create(o: &mut Value, context: &WriteContext<'_>) {
    put(o, "status", json!({ "phase": "Pending", "lastPhaseTransitionTime": metav1_time(context.now) }));
}

/// The time of a phase's change, which the server sets if the client does not.
pub(super) fn prepare_update(new: &mut Value, old: &Value, context: &WriteContext<'_>) {
    if context.subresource != Subresource::Status {
        return;
    }
    let (before, after) = (&old["status"], &new["status"]);
    let same_phase = text(before, "phase") == text(after, "phase");
    let time = if same_phase && !has(after, "lastPhaseTransitionTime") {
        before["lastPhaseTransitionTime"].clone()
    } else if !same_phase
        && (!has(after, "lastPhaseTransitionTime")
            || after["lastPhaseTransitionTime"] == before["lastPhaseTransitionTime"])
    {
        json!(metav1_time(context.now))
    } else {
        return;
    };
    put(child(new, "status"), "lastPhaseTransitionTime", time);
}

/// The sources for which options may stand in an annotation.
const MOUNT_OPTIONS: [&str; 13] = [
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "nfs",
    "rbd",
    "quobyte",
    "iscsi",
    "cinder",
    "cephfs",
    "azureFile",
    "vsphereVolume",
    "azureDisk",
    "photonPersistentDisk",
];

pub(super) fn validate(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let mut faults = access_modes(&path, spec, "");
    let capacity_path = path.child("capacity");
    let capacity = spec["capacity"].as_object().cloned().unwrap_or_default();
    if capacity.is_empty() {
        faults.push(FieldError::required(&capacity_path, ""));
    }
    if !capacity.contains_key("storage") || capacity.len() > 1 {
        faults.push(FieldError::not_supported(&capacity_path, &spec["capacity"], &["storage"]));
    }
    faults.extend(capacity.iter().flat_map(|(name, amount)| positive(&capacity_path.key(name), amount)));
    let policy = text(spec, "persistentVolumeReclaimPolicy");
    if !policy.is_empty() {
        let path = path.child("persistentVolumeReclaimPolicy");
        faults.extend(one_of(&path, policy, &["Delete", "Recycle", "Retain"]));
    }
    let sources = spec.as_object().into_iter().flatten();
    let mut sources = sources.filter(|(key, value)| !NO_SOURCE.contains(&key.as_str()) && !value.is_null());
    if sources.next().is_none() {
        faults.push(FieldError::required(&path, "must specify a volume type"));
    }
    for (key, _) in sources {
        faults.push(FieldError::forbidden(&path.child(key), "may not specify more than 1 volume type"));
    }
    let (affinity, affinity_path) = (&spec["nodeAffinity"], path.child("nodeAffinity"));
    if has(spec, "nodeAffinity") {
        let path = affinity_path.child("required");
        match &affinity["required"] {
            Value::Null => faults.push(FieldError::required(&path, "must specify required node constraints")),
            required => faults.extend(pods::node_selector(&path, required)),
        }
    }
    if has(spec, "hostPath") {
        faults.extend(pods::host_path(&path.child("hostPath"), &spec["hostPath"]));
    }
    if has(spec, "local") {
        let here = path.child("local").child("path");
        match text(&spec["local"], "path") {
            "" => faults.push(FieldError::required(&here, "")),
            target => faults.extend(pods::no_steps_back(&here, target)),
        }
        if !has(spec, "nodeAffinity") {
            faults.push(FieldError::required(&affinity_path, "Local volume requires node affinity"));
        }
    }
    if text(&spec["hostPath"], "path") == "/" && policy == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        faults.push(FieldError::forbidden(&path.child("persistentVolumeReclaimPolicy"), detail));
    }
    faults.extend(class_name(&path, spec, "storageClassName"));
    faults.extend(volume_mode(&path, spec));
    faults.extend(attributes(&path, spec));
    let annotation = "volume.beta.kubernetes.io/mount-options";
    if has(&o["metadata"]["annotations"], annotation) && !MOUNT_OPTIONS.iter().any(|source| has(spec, source)) {
        let path = FieldPath::new("metadata").child("annotations").child(annotation);
        faults.push(FieldError::forbidden(&path, "may not specify mount options for this volume type"));
    }
    faults
}

fn attributes(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let field = "volumeAttributesClassName";
    if !has(spec, field) {
        return Vec::new();
    }
    let mut faults = class_name(path, spec, field);
    if text(spec, field).is_empty() {
        faults.push(FieldError::required(&path.child(field), "an empty string is disallowed"));
    }
    if !has(spec, "csi") {
        let detail = "has to be specified when using volumeAttributesClassName";
        faults.push(FieldError::required(&path.child("csi"), detail));
    }
    faults
}

/// The fields of a volume that are no source.
const NO_SOURCE: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

pub(super) fn validate_update(new: &Value, old: &Value, subresource: Subresource<'_>) -> Vec<FieldError> {
    if subresource != Subresource::None {
        return Vec::new();
    }
    let source = |o: &Value| {
        let mut spec = o["spec"].clone();
        for field in NO_SOURCE {
            put(&mut spec, field, Value::Null);
        }
        spec
    };
    let path = FieldPath::new("spec");
    let mut faults = validate(new);
    if source(new) != source(old) {
        let detail = "spec.persistentvolumesource is immutable after creation";
        faults.push(FieldError::forbidden(&path.child("persistentvolumesource"), detail));
    }
    let mode = |o: &Value| o["spec"]["volumeMode"].clone();
    faults.extend(immutable(&FieldPath::new("volumeMode"), &mode(new), &mode(old)));
    let affinity = |o: &Value| o["spec"]["nodeAffinity"].clone();
    let (after, before) = (affinity(new), affinity(old));
    if !before.is_null() && after != before && after != with_new_labels(before) {
        let detail = "field is immutable, except for updating from beta label to GA";
        faults.push(FieldError::invalid(&FieldPath::new("nodeAffinity"), &as_in_go(&after), detail));
    }
    if has(&old["spec"], "volumeAttributesClassName") && !has(&new["spec"], "volumeAttributesClassName") {
        let path = path.child("volumeAttributesClassName");
        faults.push(FieldError::forbidden(&path, "update from non-nil value to nil is forbidden"));
    }
    faults
}

/// An affinity by labels of nodes that have other names now.
fn with_new_labels(mut affinity: Value) -> Value {
    let renamed = |key: &str| {
        Some(match key {
            "failure-domain.beta.kubernetes.io/zone" => "topology.kubernetes.io/zone",
            "failure-domain.beta.kubernetes.io/region" => "topology.kubernetes.io/region",
            "beta.kubernetes.io/os" => "kubernetes.io/os",
            "beta.kubernetes.io/arch" => "kubernetes.io/arch",
            "beta.kubernetes.io/instance-type" => "node.kubernetes.io/instance-type",
            _ => return None,
        })
    };
    for term in affinity["required"]["nodeSelectorTerms"].as_array_mut().into_iter().flatten() {
        for expression in term["matchExpressions"].as_array_mut().into_iter().flatten() {
            if let Some(key) = renamed(text(expression, "key")) {
                put(expression, "key", json!(key));
            }
        }
    }
    affinity
}

/// An affinity as Go prints its own form of it.
fn as_in_go(affinity: &Value) -> Value {
    if affinity.is_null() {
        return Value::Null;
    }
    let requirement =
        |r: &Value| json!({"Key": text(r, "key"), "Operator": text(r, "operator"), "Values": r["values"]});
    let requirements = |all: &Value| match all.as_array() {
        Some(all) => all.iter().map(requirement).collect(),
        None => Value::Null,
    };
    let term = |term: &Value| {
        json!({
            "MatchExpressions": requirements(&term["matchExpressions"]),
            "MatchFields": requirements(&term["matchFields"]),
        })
    };
    let terms: Vec<Value> = list(&affinity["required"], "nodeSelectorTerms").iter().map(term).collect();
    json!({"Required": if affinity["required"].is_null() { Value::Null } else { json!({"NodeSelectorTerms": terms}) }})
}

/// Sources that are gone, or will be.
const DEPRECATED: [(&str, &str, &str); 6] = [
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

pub(super) fn warnings(o: &Value) -> Vec<String> {
    let spec = &o["spec"];
    let options =
        ("volume.beta.kubernetes.io/mount-options", "deprecated since v1.31; use \"mountOptions\" attribute instead");
    let mut warnings =
        annotations(&FieldPath::new("metadata"), &o["metadata"], &[(BETA_CLASS, CLASS_DEPRECATED), options]);
    if text(spec, "persistentVolumeReclaimPolicy") == "Recycle" {
        warnings.push(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach \
             is to use dynamic provisioning."
                .to_owned(),
        );
    }
    for (at, term) in list(&spec["nodeAffinity"]["required"], "nodeSelectorTerms").iter().enumerate() {
        let path = FieldPath::new("spec.nodeAffinity.required.nodeSelectorTerms").index(at).child("matchExpressions");
        warnings.extend(node_expressions(&path, list(term, "matchExpressions")));
    }
    let used = DEPRECATED.iter().filter(|(source, _, _)| has(spec, source));
    warnings.extend(used.map(|(_, name, what)| format!("spec.{name}: {what}")));
    warnings
}
