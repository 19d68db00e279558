//! Volumes, claims and the storage group.

mod claim;
mod class;
mod volume;

pub(crate) use claim::spec_warnings as claim_spec_warnings;

use apimachinery::{FieldError, FieldPath, Subresource};
use serde_json::{Value, json};

use super::subdomain;
use crate::check::{immutable, invalid_each, one_of};
use crate::print;
use crate::rules::{Generation, Rules, is_deleting};
use crate::storage_classes::BETA_CLASS;
use crate::value::{as_quantity, child, has, list, text};

pub(super) static PERSISTENT_VOLUME: Rules = Rules {
    name: subdomain,
    prepare_create: volume::prepare_create,
    prepare_update: volume::prepare_update,
    validate: volume::validate,
    validate_update: volume::validate_update,
    warnings: |new, _| volume::warnings(new),
    row: Some(volume_row),
    ..Rules::NONE
};

pub(super) static PERSISTENT_VOLUME_CLAIM: Rules = Rules {
    name: subdomain,
    prepare_create: |o, _| claim::prepare(o, None),
    prepare_update: |new, old, context| {
        if context.subresource == Subresource::None {
            claim::prepare(new, Some(old));
        }
    },
    validate: |o| claim::validate(&o["spec"], false),
    validate_update: |new, old, subresource| match subresource {
        Subresource::None => claim::validate_update(new, old),
        _ => claim::validate_status(new),
    },
    warnings: |new, _| claim::warnings(new),
    row: Some(claim_row),
    ..Rules::NONE
};

pub(super) static STORAGE_CLASS: Rules = Rules {
    name: subdomain,
    validate: class::validate,
    validate_update: |new, old, _| class::validate_update(new, old),
    warnings: |new, _| class::warnings(new),
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
    warnings: |new, old| {
        let (spec, requests) = (&new["spec"], "tokenRequests");
        let new = !list(spec, requests).is_empty() && old.is_none_or(|old| old["spec"][requests] != spec[requests]);
        if !new || has(spec, "serviceAccountTokenInSecrets") {
            return Vec::new();
        }
        vec![
            "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible \
             logging of tokens in volume attributes"
                .to_owned(),
        ]
    },
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

/// A class of volumes or of their attributes.
fn class_name(path: &FieldPath, spec: &Value, field: &str) -> Vec<FieldError> {
    let name = text(spec, field);
    if name.is_empty() {
        return Vec::new();
    }
    invalid_each(&path.child(field), name, apimachinery::names::dns_subdomain(name))
}

/// What is said of [`BETA_CLASS`].
const CLASS_DEPRECATED: &str = "deprecated since v1.8; use \"storageClassName\" attribute instead";

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
    let annotation = o["metadata"]["annotations"][BETA_CLASS].as_str();
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
