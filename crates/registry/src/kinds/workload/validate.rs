//! Faults of the kinds with a pod template, in upstream's sentences.

use apimachinery::labels::Selector;
use apimachinery::names::dns_label;
use apimachinery::{FieldError, FieldPath, Subresource};
use serde_json::{Value, json};

use crate::check::{immutable, invalid_each, label_selector, not_negative, selector_text};
use crate::metadata::Raw;
use crate::pods;
use crate::value::{entries, has, int, list, text};

/// A number that is not negative, or a percentage.
pub(crate) fn int_or_percent(path: &FieldPath, value: &Value) -> Vec<FieldError> {
    match value {
        Value::String(text) => {
            let number = text.strip_suffix('%').unwrap_or_default();
            if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) {
                return Vec::new();
            }
            let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
            vec![FieldError::invalid(path, text, detail)]
        }
        other => match other.as_i64() {
            Some(n) if n < 0 => vec![FieldError::invalid(path, n, crate::check::NOT_NEGATIVE)],
            _ => Vec::new(),
        },
    }
}

/// A percentage of at most a hundred.
pub(crate) fn not_above_all(path: &FieldPath, value: &Value) -> Vec<FieldError> {
    let percent = value.as_str().and_then(|t| t.strip_suffix('%')).and_then(|n| n.parse::<i64>().ok());
    match percent.filter(|n| *n > 100) {
        Some(_) => vec![FieldError::invalid(path, value, "must not be greater than 100%")],
        None => Vec::new(),
    }
}

/// The number, or the percentage as a number; 0 for anything else.
fn amount(value: &Value) -> i64 {
    let percent = value.as_str().and_then(|t| t.strip_suffix('%')).and_then(|n| n.parse().ok());
    percent.or(value.as_i64()).unwrap_or_default()
}

/// Go's internal strategy, as it is printed in a fault.
fn strategy_text(strategy: &Value) -> Raw {
    let rolling = &strategy["rollingUpdate"];
    Raw(format!("{{\"Type\":{},\"RollingUpdate\":{rolling}}}", json!(text(strategy, "type"))))
}

fn is_empty(selector: &Value) -> bool {
    entries(selector, "matchLabels").next().is_none() && list(selector, "matchExpressions").is_empty()
}

/// A selector that must be there and select something.
fn required_selector(path: &FieldPath, spec: &Value, kind: &str) -> Vec<FieldError> {
    let selector = &spec["selector"];
    if selector.is_null() {
        return vec![FieldError::required(path, "")];
    }
    let mut faults = label_selector(path, selector);
    if is_empty(selector) {
        faults.push(FieldError::invalid(
            path,
            selector_text(selector),
            format!("empty selector is invalid for {kind}"),
        ));
    }
    faults
}

/// The selector, unless Go can't make one of it: unknown operators, values that don't go with the operator, bad keys.
fn usable(selector: &Value) -> Option<Selector> {
    let path = FieldPath::root();
    let faults = label_selector(&path, selector);
    if faults.is_empty() { Selector::from_label_selector(selector).ok() } else { None }
}

fn template_labels(template: &Value) -> std::collections::BTreeMap<String, String> {
    entries(&template["metadata"], "labels")
        .map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned()))
        .collect()
}

fn unmatched(path: &FieldPath, template: &Value) -> FieldError {
    let path = path.child("metadata").child("labels");
    FieldError::invalid(&path, &template["metadata"]["labels"], "`selector` does not match template `labels`")
}

/// What templates of controllers that keep pods running must be like.
fn always_running(path: &FieldPath, template: &Value, kind: &str) -> Vec<FieldError> {
    let (path, spec) = (path.child("spec"), &template["spec"]);
    let mut faults = Vec::new();
    let policy = text(spec, "restartPolicy");
    if policy != "Always" {
        faults.push(FieldError::not_supported(&path.child("restartPolicy"), policy, &["Always"]));
    }
    if has(spec, "activeDeadlineSeconds") {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        faults.push(FieldError::forbidden(&path.child("activeDeadlineSeconds"), detail));
    }
    faults
}

/// Selector and template of a Deployment or ReplicaSet.
fn selected_template(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let selector_path = path.child("selector");
    let mut faults = required_selector(&selector_path, spec, "deployment");
    let template_path = path.child("template");
    match usable(&spec["selector"]) {
        None => {
            faults.push(FieldError::invalid(
                &selector_path,
                selector_text(&spec["selector"]),
                "invalid label selector",
            ));
        }
        Some(selector) => {
            let template = &spec["template"];
            if !selector.is_everything() && !selector.matches(&template_labels(template)) {
                faults.push(unmatched(&template_path, template));
            }
            faults.extend(pods::validate_template(&template_path, template));
            faults.extend(always_running(&template_path, template, "ReplicaSet"));
        }
    }
    faults
}

fn status_counts(o: &Value, below_replicas: &[&str], others: &[&str], ready: &str) -> Vec<FieldError> {
    let (path, status) = (FieldPath::new("status"), &o["status"]);
    let mut faults: Vec<FieldError> = ["replicas"]
        .iter()
        .chain(below_replicas)
        .chain(others)
        .flat_map(|key| not_negative(&path, status, key))
        .collect();
    let count = |key: &str| int(status, key).unwrap_or_default();
    for key in below_replicas {
        if count(key) > count("replicas") {
            faults.push(FieldError::invalid(&path.child(key), count(key), "cannot be greater than status.replicas"));
        }
    }
    if count("availableReplicas") > count("readyReplicas") {
        let detail = format!("cannot be greater than {ready}");
        faults.push(FieldError::invalid(&path.child("availableReplicas"), count("availableReplicas"), detail));
    }
    faults
}

fn not_decremented(new: &Value, old: &Value) -> Vec<FieldError> {
    let count = |o: &Value| int(&o["status"], "collisionCount");
    match (count(new), count(old)) {
        (now, Some(before)) if now.unwrap_or_default() < before => {
            let path = FieldPath::new("status").child("collisionCount");
            vec![FieldError::invalid(&path, now.unwrap_or_default(), "cannot be decremented")]
        }
        _ => Vec::new(),
    }
}

pub(super) fn deployment(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let mut faults = not_negative(&path, spec, "replicas");
    faults.extend(selected_template(&path, spec));
    faults.extend(deployment_strategy(&path.child("strategy"), &spec["strategy"]));
    for key in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
        faults.extend(not_negative(&path, spec, key));
    }
    if let Some(deadline) = int(spec, "progressDeadlineSeconds")
        && deadline <= int(spec, "minReadySeconds").unwrap_or_default()
    {
        let path = path.child("progressDeadlineSeconds");
        faults.push(FieldError::invalid(&path, deadline, "must be greater than minReadySeconds"));
    }
    faults
}

fn deployment_strategy(path: &FieldPath, strategy: &Value) -> Vec<FieldError> {
    let (rolling_path, rolling) = (path.child("rollingUpdate"), &strategy["rollingUpdate"]);
    match text(strategy, "type") {
        "Recreate" => {
            if rolling.is_null() {
                return Vec::new();
            }
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            vec![FieldError::forbidden(&rolling_path, detail)]
        }
        "RollingUpdate" => {
            if rolling.is_null() {
                return vec![FieldError::required(&rolling_path, "this should be defaulted and never be nil")];
            }
            let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
            let unavailable_path = rolling_path.child("maxUnavailable");
            let mut faults = int_or_percent(&unavailable_path, unavailable);
            faults.extend(int_or_percent(&rolling_path.child("maxSurge"), surge));
            if amount(unavailable) == 0 && amount(surge) == 0 {
                let detail = "may not be 0 when `maxSurge` is 0";
                faults.push(FieldError::invalid(&unavailable_path, unavailable, detail));
            }
            faults.extend(not_above_all(&unavailable_path, unavailable));
            faults
        }
        _ => vec![FieldError::not_supported(path, strategy_text(strategy), &["Recreate", "RollingUpdate"])],
    }
}

pub(super) fn deployment_update(new: &Value, old: &Value, subresource: Subresource<'_>) -> Vec<FieldError> {
    if subresource == Subresource::Status {
        let below = ["updatedReplicas", "readyReplicas", "availableReplicas"];
        let others = ["observedGeneration", "unavailableReplicas", "terminatingReplicas", "collisionCount"];
        let mut faults = status_counts(new, &below, &others, "readyReplicas");
        faults.extend(not_decremented(new, old));
        return faults;
    }
    let mut faults = deployment(new);
    faults.extend(selector_is_kept(new, old));
    faults
}

fn selector_is_kept(new: &Value, old: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("spec").child("selector");
    let (now, was) = (&new["spec"]["selector"], &old["spec"]["selector"]);
    if now == was { Vec::new() } else { vec![FieldError::invalid(&path, selector_text(now), crate::check::IMMUTABLE)] }
}

pub(super) fn replica_set(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let mut faults = not_negative(&path, spec, "replicas");
    faults.extend(not_negative(&path, spec, "minReadySeconds"));
    faults.extend(selected_template(&path, spec));
    faults
}

pub(super) fn replica_set_update(new: &Value, old: &Value, subresource: Subresource<'_>) -> Vec<FieldError> {
    if subresource == Subresource::Status {
        let below = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
        return status_counts(new, &below, &["observedGeneration", "terminatingReplicas"], "readyReplicas");
    }
    let mut faults = replica_set(new);
    faults.extend(selector_is_kept(new, old));
    faults
}

pub(super) fn daemon_set(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let (selector, template) = (&spec["selector"], &spec["template"]);
    let (selector_path, template_path) = (path.child("selector"), path.child("template"));
    let mut faults = label_selector(&selector_path, selector);
    if usable(selector).is_some_and(|s| !s.matches(&template_labels(template))) {
        faults.push(unmatched(&template_path, template));
    }
    if !selector.is_null() && is_empty(selector) {
        faults.push(FieldError::invalid(
            &selector_path,
            selector_text(selector),
            "empty selector is invalid for daemonset",
        ));
    }
    faults.extend(pods::validate_template(&template_path, template));
    faults.extend(always_running(&template_path, template, "DaemonSet"));
    faults.extend(not_negative(&path, spec, "minReadySeconds"));
    faults.extend(daemon_set_strategy(&path.child("updateStrategy"), &spec["updateStrategy"]));
    faults.extend(not_negative(&path, spec, "revisionHistoryLimit"));
    faults
}

fn daemon_set_strategy(path: &FieldPath, strategy: &Value) -> Vec<FieldError> {
    match text(strategy, "type") {
        "OnDelete" => Vec::new(),
        "RollingUpdate" => {
            let (path, rolling) = (path.child("rollingUpdate"), &strategy["rollingUpdate"]);
            if rolling.is_null() {
                return vec![FieldError::required(&path, "")];
            }
            let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
            let (unavailable_path, surge_path) = (path.child("maxUnavailable"), path.child("maxSurge"));
            let mut faults = int_or_percent(&unavailable_path, unavailable);
            faults.extend(int_or_percent(&surge_path, surge));
            match (amount(unavailable) != 0, amount(surge) != 0) {
                (true, true) => {
                    let detail = "may not be set when maxUnavailable is non-zero";
                    faults.push(FieldError::invalid(&surge_path, surge, detail));
                }
                (false, false) => {
                    faults.push(FieldError::required(&unavailable_path, "cannot be 0 when maxSurge is 0"));
                }
                _ => {}
            }
            faults.extend(not_above_all(&unavailable_path, unavailable));
            faults.extend(not_above_all(&surge_path, surge));
            faults
        }
        _ => vec![FieldError::not_supported(path, strategy_text(strategy), &["RollingUpdate", "OnDelete"])],
    }
}

pub(super) fn daemon_set_update(new: &Value, old: &Value, subresource: Subresource<'_>) -> Vec<FieldError> {
    if subresource == Subresource::Status {
        let path = FieldPath::new("status");
        let keys = [
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "observedGeneration",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
            "collisionCount",
        ];
        let mut faults: Vec<FieldError> =
            keys.iter().flat_map(|key| not_negative(&path, &new["status"], key)).collect();
        faults.extend(not_decremented(new, old));
        return faults;
    }
    let mut faults = selector_is_kept(new, old);
    faults.extend(daemon_set(new));
    faults
}

pub(super) fn stateful_set(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let mut faults = Vec::new();
    let management = text(spec, "podManagementPolicy");
    if management != "OrderedReady" && management != "Parallel" {
        let detail = "must be 'OrderedReady' or 'Parallel'";
        faults.push(FieldError::invalid(&path.child("podManagementPolicy"), management, detail));
    }
    faults.extend(stateful_set_strategy(&path.child("updateStrategy"), &spec["updateStrategy"]));
    let (retention_path, retention) =
        (path.child("persistentVolumeClaimRetentionPolicy"), &spec["persistentVolumeClaimRetentionPolicy"]);
    for key in ["whenDeleted", "whenScaled"] {
        let policy = text(retention, key);
        if !retention.is_null() && policy != "Retain" && policy != "Delete" {
            faults.push(FieldError::not_supported(&retention_path.child(key), policy, &["Retain", "Delete"]));
        }
    }
    faults.extend(not_negative(&path, spec, "replicas"));
    faults.extend(not_negative(&path, spec, "minReadySeconds"));
    if let Some(start) = int(&spec["ordinals"], "start").filter(|n| *n < 0) {
        faults.push(FieldError::invalid(&path.child("ordinals.start"), start, crate::check::NOT_NEGATIVE));
    }
    let service = text(spec, "serviceName");
    if !service.is_empty() {
        faults.extend(invalid_each(&path.child("serviceName"), service, dns_label(service)));
    }
    let selector_path = path.child("selector");
    faults.extend(required_selector(&selector_path, spec, "statefulset"));
    let template_path = path.child("template");
    match usable(&spec["selector"]) {
        None => faults.push(FieldError::invalid(&selector_path, selector_text(&spec["selector"]), "")),
        Some(selector) => {
            let mut template = spec["template"].clone();
            add_claimed_volumes(&mut template, spec);
            if !selector.is_everything() && !selector.matches(&template_labels(&template)) {
                faults.push(unmatched(&template_path, &template));
            }
            faults.extend(pods::validate_template(&template_path, &template));
        }
    }
    faults.extend(always_running(&template_path, &spec["template"], "StatefulSet"));
    faults
}

/// The template as its pods will be: the volumes of the claim templates take the place of those of the same name.
fn add_claimed_volumes(template: &mut Value, spec: &Value) {
    let claims: Vec<&str> = list(spec, "volumeClaimTemplates").iter().map(|c| text(&c["metadata"], "name")).collect();
    if claims.is_empty() {
        return;
    }
    let mut volumes: Vec<Value> =
        claims.iter().map(|name| json!({ "name": name, "persistentVolumeClaim": { "claimName": name } })).collect();
    let own = list(&template["spec"], "volumes").iter().filter(|v| !claims.contains(&text(v, "name")));
    volumes.extend(own.cloned());
    template["spec"]["volumes"] = json!(volumes);
}

fn stateful_set_strategy(path: &FieldPath, strategy: &Value) -> Vec<FieldError> {
    let (rolling_path, rolling) = (path.child("rollingUpdate"), &strategy["rollingUpdate"]);
    match text(strategy, "type") {
        "OnDelete" => {
            if rolling.is_null() {
                return Vec::new();
            }
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            vec![FieldError::invalid(&rolling_path, rolling, detail)]
        }
        "RollingUpdate" => {
            let mut faults = not_negative(&rolling_path, rolling, "partition");
            if has(rolling, "maxUnavailable") {
                let path = rolling_path.child("maxUnavailable");
                faults.extend(int_or_percent(&path, &rolling["maxUnavailable"]));
                if amount(&rolling["maxUnavailable"]) == 0 {
                    faults.push(FieldError::invalid(&path, &rolling["maxUnavailable"], "cannot be 0"));
                }
                faults.extend(not_above_all(&path, &rolling["maxUnavailable"]));
            }
            faults
        }
        _ => {
            let detail = "must be 'RollingUpdate' or 'OnDelete'";
            vec![FieldError::invalid(path, strategy_text(strategy), detail)]
        }
    }
}

pub(super) fn stateful_set_update(new: &Value, old: &Value, subresource: Subresource<'_>) -> Vec<FieldError> {
    if subresource == Subresource::Status {
        let below = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
        let mut faults = status_counts(new, &below, &["observedGeneration", "collisionCount"], "status.readyReplicas");
        faults.extend(not_decremented(new, old));
        return faults;
    }
    let mut faults = stateful_set(new);
    let path = FieldPath::new("spec");
    for key in ["selector", "volumeClaimTemplates", "serviceName", "podManagementPolicy"] {
        faults.extend(immutable(&path.child(key), &new["spec"][key], &old["spec"][key]));
    }
    faults
}

pub(super) fn replication_controller(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let mut faults = not_negative(&path, spec, "minReadySeconds");
    if entries(spec, "selector").next().is_none() {
        faults.push(FieldError::required(&path.child("selector"), ""));
    }
    faults.extend(not_negative(&path, spec, "replicas"));
    let template_path = path.child("template");
    let template = &spec["template"];
    if template.is_null() {
        faults.push(FieldError::required(&template_path, ""));
        return faults;
    }
    let labels = &template["metadata"]["labels"];
    if entries(spec, "selector").any(|(k, v)| labels[k] != *v) {
        faults.push(unmatched(&template_path, template));
    }
    faults.extend(pods::validate_template(&template_path, template));
    faults.extend(always_running(&template_path, template, "ReplicationController"));
    faults
}

pub(super) fn pod_template(o: &Value) -> Vec<FieldError> {
    pods::validate_template(&FieldPath::new("template"), &o["template"])
}

pub(super) fn revision(o: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if o["data"].is_null() {
        faults.push(FieldError::required(&FieldPath::new("data"), "data is mandatory"));
    }
    faults.extend(not_negative(&FieldPath::root(), o, "revision"));
    faults
}
