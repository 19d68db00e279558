//! APIService (upstream: `kube-aggregator/pkg/apis/apiregistration/validation`, `pkg/registry/apiservice`).

use apimachinery::names::{dns_subdomain, dns1035_label, path_segment};
use apimachinery::{FieldError, FieldPath, Subresource};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::check::invalid_each;
use crate::print::{age, name};
use crate::rules::Rules;
use crate::value::{flag, has, int, list, put, text};

/// Bounds of the two priorities; whoever leaves them gets upstream's sentences.
const GROUP_PRIORITY_MAX: i64 = 20_000;
const VERSION_PRIORITY_MAX: i64 = 1000;

pub(super) static RULES: Rules = Rules {
    name: |name, _| path_segment(name),
    unconditional_update: false,
    prepare_create: |o, context| {
        // What this server has itself is there at once.
        if !has(&o["spec"], "service") {
            let condition = json!({
                "type": "Available", "status": "True", "reason": "Local",
                "message": "Local APIServices are always available",
                "lastTransitionTime": apimachinery::metav1_time(context.now),
            });
            put(o, "status", json!({"conditions": [condition]}));
        }
    },
    validate,
    validate_update: |new, _, subresource| match subresource {
        Subresource::Status => conditions(new),
        _ => validate(new),
    },
    row: Some(|o, now| {
        let service = &o["spec"]["service"];
        let shown = format!("{}/{}", text(service, "namespace"), text(service, "name"));
        let condition = list(&o["status"], "conditions").iter().find(|c| text(c, "type") == "Available");
        let available = condition.map_or_else(
            || "Unknown".to_owned(),
            |c| match (text(c, "status"), text(c, "reason")) {
                (status, reason) if status == "True" || reason.is_empty() => status.to_owned(),
                (status, reason) => format!("{status} ({reason})"),
            },
        );
        vec![name(o), json!(if service.is_null() { "Local" } else { &shown }), json!(available), age(o, now)]
    }),
    ..Rules::NONE
};

fn validate(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let (group, version) = (text(spec, "group"), text(spec, "version"));
    let mut faults = Vec::new();
    let (called, wanted) = (text(&o["metadata"], "name"), format!("{version}.{group}"));
    if called != wanted {
        let why = format!("must be `spec.version+\".\"+spec.group`: {wanted:?}");
        faults.push(FieldError::invalid(&FieldPath::new("metadata.name"), called, why));
    }
    if group.is_empty() && version != "v1" {
        let why = "only v1 may have an empty group and it better be legacy kube";
        faults.push(FieldError::required(&path.child("group"), why));
    }
    if !group.is_empty() {
        faults.extend(invalid_each(&path.child("group"), group, dns_subdomain(group)));
    }
    faults.extend(invalid_each(&path.child("version"), version, dns1035_label(version)));
    for (key, max) in [("groupPriorityMinimum", GROUP_PRIORITY_MAX), ("versionPriority", VERSION_PRIORITY_MAX)] {
        let priority = int(spec, key).unwrap_or_default();
        if !(1..=max).contains(&priority) {
            let why = format!("must be positive and less than {max}");
            faults.push(FieldError::invalid(&path.child(key), priority, why));
        }
    }
    let (insecure, ca) = (flag(spec, "insecureSkipTLSVerify"), text(spec, "caBundle"));
    let bad_insecure = |why: &str| FieldError::invalid(&path.child("insecureSkipTLSVerify"), &json!(true), why);
    if has(spec, "service") {
        faults.extend(validate_service(&path.child("service"), &spec["service"]));
        if insecure && !ca.is_empty() {
            faults.push(bad_insecure("may not be true if caBundle is present"));
        }
        return faults;
    }
    if !ca.is_empty() {
        let bytes = BASE64_STANDARD.decode(ca).map_or(ca.len(), |decoded| decoded.len());
        let why = "local APIServices may not have a caBundle";
        faults.push(FieldError::invalid(&path.child("caBundle"), &format!("{bytes} bytes"), why));
    }
    if insecure {
        faults.push(bad_insecure("local APIServices may not have insecureSkipTLSVerify"));
    }
    faults
}

fn validate_service(path: &FieldPath, service: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for key in ["namespace", "name"] {
        if text(service, key).is_empty() {
            faults.push(FieldError::required(&path.child(key), ""));
        }
    }
    let port = int(service, "port").unwrap_or_default();
    if !(1..=65535).contains(&port) {
        let why = "port is not valid: must be between 1 and 65535, inclusive";
        faults.push(FieldError::invalid(&path.child("port"), port, why));
    }
    faults
}

fn conditions(o: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("status.conditions");
    let all = list(&o["status"], "conditions").iter().enumerate();
    all.flat_map(|(at, condition)| {
        let below = path.index(at).child("status");
        crate::check::one_of(&below, text(condition, "status"), &["True", "False", "Unknown"])
    })
    .collect()
}

#[cfg(test)]
mod tests;
