//! Volumes, claims and the storage group.

use apimachinery::{FieldError, FieldPath, Subresource, WriteContext};
use serde_json::{Value, json};

use super::subdomain;
use crate::check::{immutable, immutable_hidden, invalid_each, label_selector, one_of};
use crate::print;
use crate::rules::{Generation, Rules, is_deleting};
use crate::value::{as_quantity, child, has, list, put, text};

pub(super) static PERSISTENT_VOLUME: Rules = Rules {
    name: subdomain,
    prepare_create: |o, context| {
        put(o, "status", json!({ "phase": "Pending", "lastPhaseTransitionTime": seconds(context) }));
    },
    prepare_update: volume_phase,
    validate: |o| volume(&o["spec"]),
    validate_update: |new, old, subresource| match subresource {
        Subresource::None => {
            let mut faults = volume(&new["spec"]);
            faults.extend(volume_source_is_kept(new, old));
            faults
        }
        _ => Vec::new(),
    },
    row: Some(volume_row),
    ..Rules::NONE
};

pub(super) static PERSISTENT_VOLUME_CLAIM: Rules = Rules {
    name: subdomain,
    validate: |o| claim(&o["spec"]),
    validate_update: |new, old, subresource| match subresource {
        Subresource::None => claim_update(new, old),
        _ => Vec::new(),
    },
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

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// Access modes of a volume or claim.
fn access_modes(path: &FieldPath, spec: &Value, when_none: &str) -> Vec<FieldError> {
    let path = path.child("accessModes");
    let modes: Vec<&str> = list(spec, "accessModes").iter().filter_map(Value::as_str).collect();
    let mut faults = Vec::new();
    if modes.is_empty() {
        faults.push(FieldError::required(&path, when_none));
    }
    faults.extend(modes.iter().flat_map(|mode| one_of(&path, mode, &ACCESS_MODES)));
    let others = modes.iter().any(|m| *m != "ReadWriteOncePod" && ACCESS_MODES.contains(m));
    if modes.contains(&"ReadWriteOncePod") && others {
        faults.push(FieldError::forbidden(&path, "may not use ReadWriteOncePod with other access modes"));
    }
    faults
}

fn positive(path: &FieldPath, amount: &Value) -> Vec<FieldError> {
    match as_quantity(amount) {
        Some(q) if q.signum() <= 0 => vec![FieldError::invalid(path, &q.to_string(), "must be greater than zero")],
        _ => Vec::new(),
    }
}

fn volume_mode(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    if !has(spec, "volumeMode") {
        return Vec::new();
    }
    one_of(&path.child("volumeMode"), text(spec, "volumeMode"), &["Block", "Filesystem"])
}

fn storage_class_name(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let name = text(spec, "storageClassName");
    if name.is_empty() {
        return Vec::new();
    }
    invalid_each(&path.child("storageClassName"), name, apimachinery::names::dns_subdomain(name))
}

fn volume(spec: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("spec");
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
    if text(&spec["hostPath"], "path") == "/" && policy == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        faults.push(FieldError::forbidden(&path.child("persistentVolumeReclaimPolicy"), detail));
    }
    faults.extend(storage_class_name(&path, spec));
    faults.extend(volume_mode(&path, spec));
    faults
}

fn claim(spec: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("spec");
    let mut faults = access_modes(&path, spec, "at least 1 access mode is required");
    faults.extend(label_selector(&path.child("selector"), &spec["selector"]));
    let storage = path.child("resources").key("storage");
    match &spec["resources"]["requests"]["storage"] {
        Value::Null => faults.push(FieldError::required(&storage, "")),
        amount => faults.extend(positive(&storage, amount)),
    }
    faults.extend(storage_class_name(&path, spec));
    faults.extend(volume_mode(&path, spec));
    faults
}

fn claim_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("spec");
    let mut faults = claim(&new["spec"]);
    let mut rest = new["spec"].clone();
    if text(&old["spec"], "volumeName").is_empty() {
        put(&mut rest, "volumeName", old["spec"]["volumeName"].clone());
    }
    // A claim that was made before there was a default class may get one.
    if !has(&old["spec"], "storageClassName")
        && !has(&old["metadata"]["annotations"], "volume.beta.kubernetes.io/storage-class")
    {
        put(&mut rest, "storageClassName", Value::Null);
    }
    put(&mut rest, "volumeAttributesClassName", old["spec"]["volumeAttributesClassName"].clone());
    let storage = |o: &Value| as_quantity(&o["spec"]["resources"]["requests"]["storage"]);
    if text(&new["status"], "phase") == "Bound" && storage(new).is_some() {
        child(child(&mut rest, "resources"), "requests")["storage"] =
            old["spec"]["resources"]["requests"]["storage"].clone();
        let capacity = as_quantity(&new["status"]["capacity"]["storage"]);
        if storage(new) < storage(old) && capacity.is_none_or(|capacity| storage(new) < Some(capacity)) {
            let path = path.child("resources").child("requests").child("storage");
            faults.push(FieldError::forbidden(&path, "field can not be less than status.capacity"));
        }
    }
    if rest != old["spec"] {
        let detail =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        faults.push(FieldError::forbidden(&path, format!("{detail}\n-   {}\n+   {rest}\n", old["spec"])));
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
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        faults.extend(immutable_hidden(&FieldPath::new(field), &new[field], &old[field]));
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
