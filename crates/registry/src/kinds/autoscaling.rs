//! HorizontalPodAutoscaler.

use apimachinery::names::path_segment;
use apimachinery::{FieldError, FieldPath, Subresource};
use serde_json::{Value, json};

use super::subdomain;
use crate::check::{invalid_each, not_negative};
use crate::print;
use crate::rules::{Generation, Rules};
use crate::value::{has, int, list, text};

pub(super) static RULES: Rules = Rules {
    name: subdomain,
    generation: Generation::Of("spec"),
    validate: |o| {
        let mut faults = validate(o);
        faults.extend(target_version(o));
        faults
    },
    validate_update: |new, old, subresource| match subresource {
        Subresource::Status => {
            let path = FieldPath::new("status");
            let keys = ["currentReplicas", "desiredReplicas"];
            keys.iter().flat_map(|key| not_negative(&path, &new["status"], key)).collect()
        }
        _ => {
            let mut faults = validate(new);
            if new["spec"]["scaleTargetRef"] != old["spec"]["scaleTargetRef"] {
                faults.extend(target_version(new));
            }
            faults
        }
    },
    row: Some(row),
    ..Rules::NONE
};

fn validate(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let mut faults = Vec::new();
    let minimum = int(spec, "minReplicas").unwrap_or(1);
    let maximum = int(spec, "maxReplicas").unwrap_or_default();
    if minimum < 0 {
        faults.push(FieldError::invalid(&path.child("minReplicas"), minimum, crate::check::NOT_NEGATIVE));
    }
    if maximum == 0 {
        faults.push(FieldError::required(&path.child("maxReplicas"), ""));
    } else if maximum < 0 {
        faults.push(FieldError::invalid(&path.child("maxReplicas"), maximum, "must be greater than or equal to 1"));
    }
    if maximum < minimum {
        let detail = "must be greater than or equal to `minReplicas`";
        faults.push(FieldError::invalid(&path.child("maxReplicas"), maximum, detail));
    }
    let target = path.child("scaleTargetRef");
    for key in ["kind", "name"] {
        let value = text(&spec["scaleTargetRef"], key);
        if value.is_empty() {
            faults.push(FieldError::required(&target.child(key), ""));
        } else {
            faults.extend(invalid_each(&target.child(key), value, path_segment(value)));
        }
    }
    let metrics = list(spec, "metrics");
    for (at, metric) in metrics.iter().enumerate() {
        faults.extend(metric_faults(&path.child("metrics").index(at), metric));
    }
    let scales_to_zero = metrics.iter().any(|m| matches!(text(m, "type"), "Object" | "External"));
    if minimum == 0 && !scales_to_zero {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        faults.push(FieldError::forbidden(&path.child("metrics"), detail));
    }
    faults
}

/// The target's group must be told: the only scalable kind of the core group is the oldest one.
fn target_version(o: &Value) -> Vec<FieldError> {
    let target = &o["spec"]["scaleTargetRef"];
    let version = text(target, "apiVersion");
    if version.contains('/') || text(target, "kind") == "ReplicationController" {
        return Vec::new();
    }
    let path = FieldPath::new("spec").child("scaleTargetRef").child("apiVersion");
    vec![FieldError::invalid(&path, version, "apiVersion must specify API group")]
}

/// The kinds of metrics and the fields that hold them.
const METRICS: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

fn metric_faults(path: &FieldPath, metric: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let (kind, here) = (text(metric, "type"), path.child("type"));
    if kind.is_empty() {
        faults.push(FieldError::required(&here, "must specify a metric source type"));
    }
    let expected = METRICS.iter().find(|(name, _)| *name == kind).map(|(_, field)| *field);
    match expected {
        None => faults.extend(crate::check::one_of(&here, kind, &METRICS.map(|(name, _)| name))),
        Some(field) if !has(metric, field) => {
            let detail = "must populate information for the given metric source";
            faults.push(FieldError::required(&path.child(field), detail));
        }
        Some(_) => {}
    }
    let present: Vec<&str> = METRICS.iter().map(|(_, field)| *field).filter(|field| has(metric, field)).collect();
    if present.len() != 1 {
        for field in present.into_iter().filter(|field| Some(*field) != expected) {
            faults.push(FieldError::forbidden(&path.child(field), "must populate the given metric source only"));
        }
    }
    faults
}

/// More metrics than these are only counted.
const METRICS_SHOWN: usize = 2;

fn row(o: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let (spec, status) = (&o["spec"], &o["status"]);
    let target = &spec["scaleTargetRef"];
    vec![
        print::name(o),
        json!(format!("{}/{}", text(target, "kind"), text(target, "name"))),
        json!(metrics(o)),
        json!(int(spec, "minReplicas").map_or_else(|| "<unset>".to_owned(), |n| n.to_string())),
        print::number(&spec["maxReplicas"]),
        print::number(&status["currentReplicas"]),
        print::age(o, now),
    ]
}

fn metrics(o: &Value) -> String {
    let spec = &o["spec"];
    if let Some(target) = int(spec, "targetCPUUtilizationPercentage") {
        let current = int(&o["status"], "currentCPUUtilizationPercentage");
        let current = current.map_or_else(|| "<unknown>".to_owned(), |n| format!("{n}%"));
        return format!("cpu: {current}/{target}%");
    }
    let (specs, statuses) = (list(spec, "metrics"), list(&o["status"], "currentMetrics"));
    if specs.is_empty() {
        return "<none>".to_owned();
    }
    let shown: Vec<String> = specs
        .iter()
        .enumerate()
        .take(METRICS_SHOWN)
        .map(|(at, metric)| one_metric(metric, statuses.get(at).unwrap_or(&Value::Null)))
        .collect();
    let shown = shown.join(", ");
    match specs.len() - METRICS_SHOWN.min(specs.len()) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

fn one_metric(metric: &Value, status: &Value) -> String {
    let (field, named) = match text(metric, "type") {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let (source, current) = (&metric[field], &status[field]["current"]);
    let target = &source["target"];
    let or_unknown = |key: &str| current[key].as_str().unwrap_or("<unknown>").to_owned();
    let percent = |value: &Value, otherwise: &str| {
        value["averageUtilization"].as_i64().map_or_else(|| otherwise.to_owned(), |n| format!("{n}%"))
    };
    let shown = match (named, has(target, "averageValue")) {
        (true, true) => format!("{}/{}", or_unknown("averageValue"), text(target, "averageValue")),
        (true, false) => format!("{}/{}", percent(current, "<unknown>"), percent(target, "<auto>")),
        (false, true) if field == "pods" => format!("{}/{}", or_unknown("averageValue"), text(target, "averageValue")),
        (false, true) => format!("{}/{} (avg)", or_unknown("averageValue"), text(target, "averageValue")),
        (false, false) => format!("{}/{}", or_unknown("value"), text(target, "value")),
    };
    if named { format!("{}: {shown}", text(source, "name")) } else { shown }
}
