//! PriorityClass (upstream: `pkg/apis/scheduling/validation`).

use apimachinery::{FieldError, FieldPath};
use serde_json::{Value, json};

use super::subdomain;
use crate::check::immutable;
use crate::print;
use crate::rules::{Generation, Rules};
use crate::value::{flag, int, text};

/// The highest priority that a user may give; the system's own classes lie above.
const USER_MAX: i64 = 1_000_000_000;
/// The system's own classes.
const SYSTEM: [(&str, i64); 2] = [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

pub(super) static PRIORITY_CLASS: Rules = Rules {
    name: subdomain,
    generation: Generation::Constant,
    validate,
    validate_update: |new, old, _| {
        let path = FieldPath::new("preemptionPolicy");
        let mut faults = immutable(&path, &new["preemptionPolicy"], &old["preemptionPolicy"]);
        if new["value"] != old["value"] {
            faults.push(FieldError::forbidden(&FieldPath::new("value"), "may not be changed in an update."));
        }
        faults
    },
    row: Some(|o, now| {
        vec![
            print::name(o),
            print::number(&o["value"]),
            json!(flag(o, "globalDefault")),
            print::age(o, now),
            json!(text(o, "preemptionPolicy")),
        ]
    }),
    ..Rules::NONE
};

fn validate(o: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let name = text(&o["metadata"], "name");
    let value = int(o, "value").unwrap_or_default();
    if name.starts_with("system-") {
        if !SYSTEM.contains(&(name, value)) {
            let detail = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {name} is not a known system priority class"
            );
            faults.push(FieldError::forbidden(&FieldPath::new("metadata").child("name"), detail));
        }
    } else if value > USER_MAX {
        let detail = format!("maximum allowed value of a user defined priority is {USER_MAX}");
        faults.push(FieldError::forbidden(&FieldPath::new("value"), detail));
    }
    faults.extend(preemption_policy(&FieldPath::new("preemptionPolicy"), text(o, "preemptionPolicy")));
    faults
}

/// Never, or over pods of lower priority.
pub(crate) fn preemption_policy(path: &FieldPath, policy: &str) -> Vec<FieldError> {
    match policy {
        "" => vec![FieldError::required(path, "")],
        other => crate::check::one_of(path, other, &["PreemptLowerPriority", "Never"]),
    }
}
