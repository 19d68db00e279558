//! Volumes, claims and the storage group.

use apimachinery::{FieldError, FieldPath, Subresource, WriteContext};
use serde_json::{Value, json};

use super::subdomain;
use crate::check::{immutable, one_of};
use crate::print;
use crate::rules::{Generation, Rules, is_deleting};
use crate::value::{child, has, list, put, text};

pub(super) static PERSISTENT_VOLUME: Rules = Rules {
    name: subdomain,
    prepare_create: |o, context| {
        put(o, "status", json!({ "phase": "Pending", "lastPhaseTransitionTime": seconds(context) }))
    },
    prepare_update: volume_phase,
    validate_update: |new, old, subresource| match subresource {
        Subresource::None => volume_source_is_kept(new, old),
        _ => Vec::new(),
    },
    row: Some(volume_row),
    ..Rules::NONE
};

pub(super) static PERSISTENT_VOLUME_CLAIM: Rules = Rules {
    name: subdomain,
    prepare_create: |o, _| put(o, "status", json!({ "phase": "Pending" })),
    row: Some(claim_row),
    ..Rules::NONE
};

pub(super) static STORAGE_CLASS: Rules = Rules {
    name: subdomain,
    validate: class,
    validate_update: |new, old, _| class_update(new, old),
    row: Some(class_row),
    ..Rules::NONE
};

pub(super) static CSI_DRIVER: Rules = Rules {
    name: subdomain,
    // Create leaves it alone; only changes count.
    generation: Generation::Unused,
    prepare_update: |new, old, _| {
        if new["spec"] != old["spec"] {
            let generation = crate::value::int(&old["metadata"], "generation").unwrap_or_default() + 1;
            child(new, "metadata")["generation"] = json!(generation);
        }
    },
    unconditional_update: false,
    row: Some(driver_row),
    ..Rules::NONE
};

pub(super) static CSI_NODE: Rules = Rules {
    name: subdomain,
    unconditional_update: false,
    row: Some(|o, now| vec![print::name(o), json!(list(&o["spec"], "drivers").len()), print::age(o, now)]),
    ..Rules::NONE
};

pub(super) static VOLUME_ATTACHMENT: Rules = Rules {
    name: subdomain,
    unconditional_update: false,
    prepare_update: |new, old, context| {
        if context.subresource == Subresource::Status {
            crate::metadata::keep_for_status(new, old);
        }
    },
    validate_update: |new, old, subresource| match subresource {
        Subresource::None => immutable(&FieldPath::new("spec"), &new["spec"], &old["spec"]),
        _ => Vec::new(),
    },
    row: Some(|o, now| {
        let spec = &o["spec"];
        vec![
            print::name(o),
            json!(text(spec, "attacher")),
            json!(text(&spec["source"], "persistentVolumeName")),
            json!(text(spec, "nodeName")),
            json!(crate::value::flag(&o["status"], "attached")),
            print::age(o, now),
        ]
    }),
    ..Rules::NONE
};

fn seconds(context: &WriteContext<'_>) -> String {
    context.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The time of a phase's change, which the server sets if the client does not.
fn volume_phase(new: &mut Value, old: &Value, context: &WriteContext<'_>) {
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
        json!(seconds(context))
    } else {
        return;
    };
    put(child(new, "status"), "lastPhaseTransitionTime", time);
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

fn volume_source_is_kept(new: &Value, old: &Value) -> Vec<FieldError> {
    let source = |o: &Value| {
        let mut spec = o["spec"].clone();
        for field in NO_SOURCE {
            put(&mut spec, field, Value::Null);
        }
        spec
    };
    let path = FieldPath::new("spec");
    let mut faults = Vec::new();
    if source(new) != source(old) {
        let detail = "spec.persistentvolumesource is immutable after creation";
        faults.push(FieldError::forbidden(&path.child("persistentvolumesource"), detail));
    }
    let mode = |o: &Value| o["spec"]["volumeMode"].clone();
    faults.extend(immutable(&path.child("volumeMode"), &mode(new), &mode(old)));
    faults
}

fn class(o: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let provisioner = text(o, "provisioner");
    let path = FieldPath::new("provisioner");
    if provisioner.is_empty() {
        faults.push(FieldError::required(&path, ""));
    } else {
        let wrong = apimachinery::names::qualified_name(&provisioner.to_lowercase());
        faults.extend(crate::check::invalid_each(&path, provisioner, wrong));
    }
    if o["parameters"].as_object().is_some_and(|p| p.contains_key("")) {
        faults.push(FieldError::invalid(&FieldPath::new("parameters"), "", "field can not be empty."));
    }
    faults.extend(one_of(&FieldPath::new("reclaimPolicy"), text(o, "reclaimPolicy"), &["Delete", "Retain"]));
    let modes = ["Immediate", "WaitForFirstConsumer"];
    faults.extend(one_of(&FieldPath::new("volumeBindingMode"), text(o, "volumeBindingMode"), &modes));
    faults
}

fn class_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut faults = class(new);
    if new["parameters"] != old["parameters"] {
        faults.push(FieldError::forbidden(&FieldPath::new("parameters"), "updates to parameters are forbidden."));
    }
    if new["provisioner"] != old["provisioner"] {
        faults.push(FieldError::forbidden(&FieldPath::new("provisioner"), "updates to provisioner are forbidden."));
    }
    if new["reclaimPolicy"] != old["reclaimPolicy"] {
        faults.push(FieldError::forbidden(&FieldPath::new("reclaimPolicy"), "updates to reclaimPolicy are forbidden."));
    }
    let path = FieldPath::new("volumeBindingMode");
    faults.extend(immutable(&path, &new["volumeBindingMode"], &old["volumeBindingMode"]));
    faults
}

fn modes(o: &Value) -> Value {
    let all = list(o, "accessModes");
    let short =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    json!(short.iter().filter(|(long, _)| all.contains(&json!(long))).map(|(_, s)| *s).collect::<Vec<_>>().join(","))
}

fn phase(o: &Value) -> &str {
    if is_deleting(o) { "Terminating" } else { text(&o["status"], "phase") }
}

fn or_unset<'a>(o: &'a Value, key: &str) -> &'a str {
    o[key].as_str().unwrap_or("<unset>")
}

/// The class, which used to be an annotation.
fn class_of(o: &Value) -> &str {
    let annotation = o["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].as_str();
    annotation.unwrap_or_else(|| text(&o["spec"], "storageClassName"))
}

fn volume_row(o: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let spec = &o["spec"];
    let claim = &spec["claimRef"];
    let claim =
        if claim.is_null() { String::new() } else { format!("{}/{}", text(claim, "namespace"), text(claim, "name")) };
    let size = match text(&spec["capacity"], "storage") {
        "" => "0",
        size => size,
    };
    vec![
        print::name(o),
        json!(size),
        modes(spec),
        json!(text(spec, "persistentVolumeReclaimPolicy")),
        json!(phase(o)),
        json!(claim),
        json!(class_of(o)),
        json!(or_unset(spec, "volumeAttributesClassName")),
        json!(text(&o["status"], "reason")),
        print::age(o, now),
        json!(or_unset(spec, "volumeMode")),
    ]
}

fn claim_row(o: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let (spec, status) = (&o["spec"], &o["status"]);
    let bound = !text(spec, "volumeName").is_empty();
    let capacity = match (bound, text(&status["capacity"], "storage")) {
        (false, _) => "",
        (true, "") => "0",
        (true, size) => size,
    };
    vec![
        print::name(o),
        json!(phase(o)),
        json!(text(spec, "volumeName")),
        json!(capacity),
        if bound { modes(status) } else { json!("") },
        json!(class_of(o)),
        json!(or_unset(spec, "volumeAttributesClassName")),
        print::age(o, now),
        json!(or_unset(spec, "volumeMode")),
    ]
}

/// Upstream marks the newest default class of a list. A row knows only its own object, so every default is marked.
fn class_row(o: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let annotations = &o["metadata"]["annotations"];
    let is_default = text(annotations, "storageclass.kubernetes.io/is-default-class") == "true";
    let name = text(&o["metadata"], "name");
    let or = |key: &str, otherwise: &str| json!(o[key].as_str().unwrap_or(otherwise));
    vec![
        json!(if is_default { format!("{name} (default)") } else { name.to_owned() }),
        json!(text(o, "provisioner")),
        or("reclaimPolicy", "Delete"),
        or("volumeBindingMode", "Immediate"),
        json!(crate::value::flag(o, "allowVolumeExpansion")),
        print::age(o, now),
    ]
}

fn driver_row(o: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let spec = &o["spec"];
    let or = |key: &str, otherwise: bool| json!(spec[key].as_bool().unwrap_or(otherwise));
    let modes: Vec<&str> = list(spec, "volumeLifecycleModes").iter().filter_map(Value::as_str).collect();
    let audiences: Vec<&str> = list(spec, "tokenRequests").iter().map(|t| text(t, "audience")).collect();
    let audiences = if has(spec, "tokenRequests") { audiences.join(",") } else { "<unset>".to_owned() };
    vec![
        print::name(o),
        or("attachRequired", true),
        or("podInfoOnMount", false),
        or("storageCapacity", false),
        json!(audiences),
        or("requiresRepublish", false),
        json!(print::or_none(&modes.join(","))),
        print::age(o, now),
    ]
}
