//! A Job's policies: which failures end it, when it has succeeded, when Pods are replaced.

use std::collections::BTreeSet;

use apimachinery::names::qualified_name;
use apimachinery::{FieldError, FieldPath};
use serde_json::Value;

use super::indexes;
use crate::check::{invalid_each, not_negative, one_of};
use crate::metadata::Raw;
use crate::value::{has, int, list, text};

const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const CONDITIONS_MAX: usize = 20;
const INDEXES_LENGTH_MAX: usize = 64 * 1024;
const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];

/// Faults of all three.
pub(super) fn validate(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if has(spec, "podFailurePolicy") {
        let rules_path = path.child("podFailurePolicy").child("rules");
        let rules = list(&spec["podFailurePolicy"], "rules");
        if rules.len() > RULES_MAX {
            faults.push(FieldError::too_many(&rules_path, rules.len(), RULES_MAX));
        }
        for (index, rule) in rules.iter().enumerate() {
            faults.extend(failure_rule(&rules_path.index(index), rule, spec));
        }
    }
    if has(spec, "successPolicy") {
        let policy_path = path.child("successPolicy");
        if text(spec, "completionMode") == "Indexed" {
            faults.extend(success(&policy_path.child("rules"), spec));
        } else {
            let shown = Raw(shown_success(&spec["successPolicy"]));
            faults.push(FieldError::invalid(&policy_path, shown, "requires indexed completion mode"));
        }
    }
    if has(spec, "podReplacementPolicy") {
        let allowed: &[&str] =
            if has(spec, "podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
        faults.extend(one_of(&path.child("podReplacementPolicy"), text(spec, "podReplacementPolicy"), allowed));
    }
    faults
}

/// Values as upstream lists them where one is missing.
fn quoted(values: &[&str]) -> String {
    let all: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("valid values: [{}]", all.join(" "))
}

fn failure_rule(path: &FieldPath, rule: &Value, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let (action_path, action) = (path.child("action"), text(rule, "action"));
    if action.is_empty() {
        faults.push(FieldError::required(&action_path, quoted(&ACTIONS)));
    } else if action == "FailIndex" && !has(spec, "backoffLimitPerIndex") {
        faults.push(FieldError::invalid(&action_path, action, "requires the backoffLimitPerIndex to be set"));
    } else {
        faults.extend(one_of(&action_path, action, &ACTIONS));
    }
    let conditions = list(rule, "onPodConditions");
    if has(rule, "onExitCodes") {
        faults.extend(exit_codes(&path.child("onExitCodes"), &rule["onExitCodes"], &spec["template"]["spec"]));
    }
    faults.extend(pod_conditions(&path.child("onPodConditions"), conditions));
    let detail = match (has(rule, "onExitCodes"), conditions.is_empty()) {
        (true, false) => "specifying both OnExitCodes and OnPodConditions is not supported",
        (false, true) => "specifying one of OnExitCodes and OnPodConditions is required",
        _ => return faults,
    };
    faults.push(FieldError::invalid(path, Raw(String::new()), detail));
    faults
}

fn exit_codes(path: &FieldPath, rule: &Value, template: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let (operator_path, operator) = (path.child("operator"), text(rule, "operator"));
    if operator.is_empty() {
        faults.push(FieldError::required(&operator_path, quoted(&["In", "NotIn"])));
    } else {
        faults.extend(one_of(&operator_path, operator, &["In", "NotIn"]));
    }
    let name = text(rule, "containerName");
    let mut containers = ["containers", "initContainers"].into_iter().flat_map(|key| list(template, key));
    if has(rule, "containerName") && !containers.any(|container| text(container, "name") == name) {
        let detail = "must be one of the container or initContainer names in the pod template";
        faults.push(FieldError::invalid(&path.child("containerName"), name, detail));
    }
    let (values_path, values) = (path.child("values"), list(rule, "values"));
    if values.is_empty() {
        let shown = if rule["values"].is_array() { "[]" } else { "null" };
        faults.push(FieldError::invalid(&values_path, Raw(shown.to_owned()), "at least one value is required"));
    } else if values.len() > EXIT_CODES_MAX {
        faults.push(FieldError::too_many(&values_path, values.len(), EXIT_CODES_MAX));
    }
    let codes: Vec<i64> = values.iter().filter_map(Value::as_i64).collect();
    let mut seen = BTreeSet::new();
    for (index, code) in codes.iter().enumerate() {
        if operator == "In" && *code == 0 {
            let detail = "must not be 0 for the In operator";
            faults.push(FieldError::invalid(&values_path.index(index), *code, detail));
        }
        if !seen.insert(*code) {
            faults.push(FieldError::duplicate(&values_path.index(index), *code));
        }
    }
    if !codes.is_sorted() {
        faults.push(FieldError::invalid(&values_path, &rule["values"], "must be ordered"));
    }
    faults
}

fn pod_conditions(path: &FieldPath, patterns: &[Value]) -> Vec<FieldError> {
    const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
    let mut faults = Vec::new();
    if patterns.len() > CONDITIONS_MAX {
        faults.push(FieldError::too_many(path, patterns.len(), CONDITIONS_MAX));
    }
    for (index, pattern) in patterns.iter().enumerate() {
        let here = path.index(index);
        let kind = text(pattern, "type");
        faults.extend(invalid_each(&here.child("type"), kind, qualified_name(kind)));
        let (status_path, status) = (here.child("status"), text(pattern, "status"));
        if status.is_empty() {
            faults.push(FieldError::required(&status_path, quoted(&STATUSES)));
        } else {
            faults.extend(one_of(&status_path, status, &STATUSES));
        }
    }
    faults
}

fn success(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let rules = list(&spec["successPolicy"], "rules");
    if rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        faults.push(FieldError::required(path, detail));
    }
    if rules.len() > RULES_MAX {
        faults.push(FieldError::too_many(path, rules.len(), RULES_MAX));
    }
    let completions = int(spec, "completions").unwrap_or(0);
    for (index, rule) in rules.iter().enumerate() {
        faults.extend(success_rule(&path.index(index), rule, completions));
    }
    faults
}

fn success_rule(path: &FieldPath, rule: &Value, completions: i64) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let (count, indexes) = (int(rule, "succeededCount"), text(rule, "succeededIndexes"));
    if count.is_none() && !has(rule, "succeededIndexes") {
        let detail = "at least one of succeededCount or succeededIndexes must be specified";
        faults.push(FieldError::required(path, detail));
    }
    let mut total = 0;
    if has(rule, "succeededIndexes") {
        let path = path.child("succeededIndexes");
        if indexes.len() > INDEXES_LENGTH_MAX {
            faults.push(FieldError::too_long(&path, INDEXES_LENGTH_MAX));
        }
        match indexes::count(indexes, completions) {
            Ok(count) => total = count,
            Err(error) => {
                let detail = format!("error parsing succeededIndexes: {error}");
                faults.push(FieldError::invalid(&path, indexes, detail));
            }
        }
    }
    faults.extend(not_negative(path, rule, "succeededCount"));
    let at_most = |max: i64, what: &str| {
        let above = count.filter(|count| *count > max)?;
        let detail = format!("must be less than or equal to {max} (the number of {what})");
        Some(FieldError::invalid(&path.child("succeededCount"), above, detail))
    };
    faults.extend(at_most(completions, "specified completions"));
    if has(rule, "succeededIndexes") {
        faults.extend(at_most(total, "indexes in the specified succeededIndexes field"));
    }
    faults
}

/// A failure policy as upstream's internal type prints it.
pub(super) fn shown_failure(policy: &Value) -> String {
    shown(policy, |rule| {
        let codes = match &rule["onExitCodes"] {
            Value::Null => "null".to_owned(),
            codes => format!(
                "{{\"ContainerName\":{},\"Operator\":{},\"Values\":{}}}",
                codes["containerName"], codes["operator"], codes["values"]
            ),
        };
        let conditions = list(rule, "onPodConditions").iter();
        let conditions: Vec<String> = conditions
            .map(|pattern| format!("{{\"Type\":{},\"Status\":{}}}", pattern["type"], pattern["status"]))
            .collect();
        let conditions =
            if has(rule, "onPodConditions") { format!("[{}]", conditions.join(",")) } else { "null".to_owned() };
        format!("{{\"Action\":{},\"OnExitCodes\":{codes},\"OnPodConditions\":{conditions}}}", rule["action"])
    })
}

/// A success policy as upstream's internal type prints it.
pub(super) fn shown_success(policy: &Value) -> String {
    shown(policy, |rule| {
        format!("{{\"SucceededIndexes\":{},\"SucceededCount\":{}}}", rule["succeededIndexes"], rule["succeededCount"])
    })
}

fn shown(policy: &Value, rule: impl Fn(&Value) -> String) -> String {
    if policy.is_null() {
        return "null".to_owned();
    }
    let rules: Vec<String> = list(policy, "rules").iter().map(rule).collect();
    let rules = if policy["rules"].is_array() { format!("[{}]", rules.join(",")) } else { "null".to_owned() };
    format!("{{\"Rules\":{rules}}}")
}
