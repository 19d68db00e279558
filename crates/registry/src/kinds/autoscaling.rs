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
    validate,
    validate_update: |new, _, subresource| match subresource {
        Subresource::Status => {
            let path = FieldPath::new("status");
            let keys = ["currentReplicas", "desiredReplicas"];
            keys.iter().flat_map(|key| not_negative(&path, &new["status"], key)).collect()
        }
        _ => validate(new),
    },
    row: Some(row),
    ..Rules::NONE
};

fn validate(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let mut faults = Vec::new();
    let minimum = int(spec, "minReplicas").unwrap_or(1);
    let maximum = int(spec, "maxReplicas").unwrap_or_default();
    if minimum < 1 {
        faults.push(FieldError::invalid(&path.child("minReplicas"), minimum, "must be greater than or equal to 1"));
    }
    if maximum < 1 {
        faults.push(FieldError::invalid(&path.child("maxReplicas"), maximum, "must be greater than 0"));
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
