//! PodDisruptionBudget (upstream: `pkg/apis/policy/validation`).

use apimachinery::{FieldError, FieldPath, Subresource};
use serde_json::{Value, json};

use super::subdomain;
use super::workload::{int_or_percent, not_above_all};
use crate::check::{label_selector, not_negative, one_of};
use crate::print;
use crate::rules::{Generation, Rules};
use crate::value::{has, text};

pub(super) static RULES: Rules = Rules {
    name: subdomain,
    generation: Generation::Of("spec"),
    unconditional_update: false,
    validate,
    validate_update: |new, _, subresource| match subresource {
        Subresource::Status => status(new),
        _ => validate(new),
    },
    row: Some(|o, now| {
        let or_na = |key: &str| match &o["spec"][key] {
            Value::Null => json!("N/A"),
            Value::String(text) => json!(text),
            number => json!(number.to_string()),
        };
        let allowed = print::number(&o["status"]["disruptionsAllowed"]);
        vec![print::name(o), or_na("minAvailable"), or_na("maxUnavailable"), allowed, print::age(o, now)]
    }),
    ..Rules::NONE
};

fn validate(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let mut faults = Vec::new();
    if has(spec, "minAvailable") && has(spec, "maxUnavailable") {
        let shown = crate::metadata::Raw(go_spec(spec));
        faults.push(FieldError::invalid(&path, shown, "minAvailable and maxUnavailable cannot be both set"));
    }
    for key in ["minAvailable", "maxUnavailable"] {
        if has(spec, key) {
            faults.extend(int_or_percent(&path.child(key), &spec[key]));
            faults.extend(not_above_all(&path.child(key), &spec[key]));
        }
    }
    faults.extend(label_selector(&path.child("selector"), &spec["selector"]));
    if has(spec, "unhealthyPodEvictionPolicy") {
        let policy = path.child("unhealthyPodEvictionPolicy");
        faults.extend(one_of(&policy, text(spec, "unhealthyPodEvictionPolicy"), &["AlwaysAllow", "IfHealthyBudget"]));
    }
    faults
}

/// The spec as upstream's internal type prints it.
fn go_spec(spec: &Value) -> String {
    let parts = ["minAvailable", "selector", "maxUnavailable", "unhealthyPodEvictionPolicy"];
    let shown: Vec<String> =
        parts.iter().map(|key| format!("\"{}{}\":{}", key[..1].to_uppercase(), &key[1..], spec[key])).collect();
    format!("{{{}}}", shown.join(","))
}

fn status(o: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("status");
    ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"]
        .iter()
        .flat_map(|key| not_negative(&path, &o["status"], key))
        .collect()
}
