//! Faults of what says where a pod may run: affinity, tolerations, spreading.

use apimachinery::names::{dns_label, label_value, qualified_name};
use apimachinery::{FieldError, FieldPath};
use serde_json::Value;

use crate::check::{invalid_each, label_selector, one_of};
use crate::value::{has, int, list, text};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn affinity(path: &FieldPath, affinity: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if has(affinity, "nodeAffinity") {
        faults.extend(node_affinity(&path.child("nodeAffinity"), &affinity["nodeAffinity"]));
    }
    for key in ["podAffinity", "podAntiAffinity"] {
        let (path, affinity) = (path.child(key), &affinity[key]);
        for (at, term) in list(affinity, REQUIRED).iter().enumerate() {
            faults.extend(pod_term(&path.child(REQUIRED).index(at), term));
        }
        for (at, weighted) in list(affinity, PREFERRED).iter().enumerate() {
            let path = path.child(PREFERRED).index(at);
            faults.extend(weight(&path, weighted));
            faults.extend(pod_term(&path.child("podAffinityTerm"), &weighted["podAffinityTerm"]));
        }
    }
    faults
}

fn weight(path: &FieldPath, weighted: &Value) -> Vec<FieldError> {
    let weight = int(weighted, "weight").unwrap_or_default();
    if (1..=100).contains(&weight) {
        return Vec::new();
    }
    vec![FieldError::invalid(&path.child("weight"), weight, "must be in the range 1-100")]
}

fn node_affinity(path: &FieldPath, affinity: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if has(affinity, REQUIRED) {
        faults.extend(node_selector(&path.child(REQUIRED), &affinity[REQUIRED]));
    }
    for (at, weighted) in list(affinity, PREFERRED).iter().enumerate() {
        let path = path.child(PREFERRED).index(at);
        faults.extend(weight(&path, weighted));
        // A value that no label has is only warned of: the Pod may do without.
        faults.extend(node_term(&path.child("preference"), &weighted["preference"], false));
    }
    faults
}

/// A node selector, of a Pod or a volume.
pub(crate) fn node_selector(path: &FieldPath, selector: &Value) -> Vec<FieldError> {
    let path = path.child("nodeSelectorTerms");
    let terms = list(selector, "nodeSelectorTerms");
    let mut faults: Vec<FieldError> =
        terms.iter().enumerate().flat_map(|(at, term)| node_term(&path.index(at), term, true)).collect();
    if terms.is_empty() {
        faults.push(FieldError::required(&path, "must have at least one node selector term"));
    }
    faults
}

fn node_term(path: &FieldPath, term: &Value, required: bool) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for (at, expression) in list(term, "matchExpressions").iter().enumerate() {
        let path = path.child("matchExpressions").index(at);
        faults.extend(node_requirement(&path, expression));
        for (at, value) in list(expression, "values").iter().enumerate().filter(|_| required) {
            let value = value.as_str().unwrap_or_default();
            faults.extend(invalid_each(&path.child("values").index(at), value, label_value(value)));
        }
    }
    for (at, field) in list(term, "matchFields").iter().enumerate() {
        let path = path.child("matchFields").index(at);
        if list(field, "values").len() != 1 {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            faults.push(FieldError::required(&path.child("values"), detail));
        }
        if !matches!(text(field, "operator"), "In" | "NotIn") {
            let operator = text(field, "operator");
            faults.push(FieldError::invalid(&path.child("operator"), operator, "not a valid selector operator"));
        }
        if text(field, "key") != "metadata.name" {
            let key = text(field, "key");
            faults.push(FieldError::invalid(&path.child("key"), key, "not a valid field selector key"));
        }
    }
    faults
}

fn node_requirement(path: &FieldPath, expression: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let values = list(expression, "values");
    let here = path.child("values");
    match text(expression, "operator") {
        "In" | "NotIn" => {
            if values.is_empty() {
                faults.push(FieldError::required(&here, "must be specified when `operator` is 'In' or 'NotIn'"));
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                faults.push(FieldError::forbidden(&here, detail));
            }
        }
        "Gt" | "Lt" => {
            if values.len() != 1 {
                let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                faults.push(FieldError::required(&here, detail));
            }
        }
        other => faults.push(FieldError::invalid(&path.child("operator"), other, "not a valid selector operator")),
    }
    let key = text(expression, "key");
    faults.extend(invalid_each(&path.child("key"), key, qualified_name(key)));
    faults
}

fn pod_term(path: &FieldPath, term: &Value) -> Vec<FieldError> {
    let mut faults = label_selector(&path.child("labelSelector"), &term["labelSelector"]);
    faults.extend(label_selector(&path.child("namespaceSelector"), &term["namespaceSelector"]));
    for name in list(term, "namespaces").iter().filter_map(Value::as_str) {
        faults.extend(invalid_each(&path.child("namespace"), name, dns_label(name)));
    }
    let key = text(term, "topologyKey");
    if key.is_empty() {
        faults.push(FieldError::required(&path.child("topologyKey"), "can not be empty"));
    }
    faults.extend(invalid_each(&path.child("topologyKey"), key, qualified_name(key)));
    faults
}

pub(super) fn tolerations(path: &FieldPath, tolerations: &[Value]) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for (at, toleration) in tolerations.iter().enumerate() {
        let here = path.index(at);
        let (key, operator) = (text(toleration, "key"), text(toleration, "operator"));
        let (value, effect) = (text(toleration, "value"), text(toleration, "effect"));
        let operator_path = here.child("operator");
        if !key.is_empty() {
            faults.extend(invalid_each(&here.child("key"), key, qualified_name(key)));
        } else if operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            faults.push(FieldError::invalid(&operator_path, operator, detail));
        }
        if has(toleration, "tolerationSeconds") && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            faults.push(FieldError::invalid(&here.child("effect"), effect, detail));
        }
        match operator {
            "" | "Equal" => {
                let wrong = label_value(value);
                if !wrong.is_empty() {
                    faults.push(FieldError::invalid(&operator_path, value, wrong.join(";")));
                }
            }
            "Exists" => {
                if !value.is_empty() {
                    let detail = "value must be empty when `operator` is 'Exists'";
                    faults.push(FieldError::invalid(&operator_path, value, detail));
                }
            }
            other => faults.push(FieldError::not_supported(&operator_path, other, &["Equal", "Exists"])),
        }
        if !effect.is_empty() {
            let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
            faults.extend(one_of(&here.child("effect"), effect, &effects));
        }
    }
    faults
}

pub(super) fn spread(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let constraints = list(spec, "topologySpreadConstraints");
    for (at, constraint) in constraints.iter().enumerate() {
        let here = path.index(at);
        let skew = int(constraint, "maxSkew").unwrap_or_default();
        if skew <= 0 {
            faults.push(FieldError::invalid(&here.child("maxSkew"), skew, "must be greater than zero"));
        }
        let (key, otherwise) = (text(constraint, "topologyKey"), text(constraint, "whenUnsatisfiable"));
        if key.is_empty() {
            faults.push(FieldError::required(&here.child("topologyKey"), "can not be empty"));
        } else {
            faults.extend(invalid_each(&here.child("topologyKey"), key, qualified_name(key)));
        }
        let choices = ["DoNotSchedule", "ScheduleAnyway"];
        faults.extend(one_of(&here.child("whenUnsatisfiable"), otherwise, &choices));
        let same = |other: &Value| text(other, "topologyKey") == key && text(other, "whenUnsatisfiable") == otherwise;
        if constraints[at + 1..].iter().any(same) {
            let here = here.child("{topologyKey, whenUnsatisfiable}");
            faults.push(FieldError::duplicate(&here, &format!("{{{key}, {otherwise}}}")));
        }
        if let Some(domains) = int(constraint, "minDomains") {
            let here = here.child("minDomains");
            if domains <= 0 {
                faults.push(FieldError::invalid(&here, domains, "must be greater than zero"));
            }
            if otherwise != "DoNotSchedule" {
                let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {otherwise}");
                faults.push(FieldError::invalid(&here, domains, detail));
            }
        }
        for key in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if has(constraint, key) {
                faults.extend(one_of(&here.child(key), text(constraint, key), &["Honor", "Ignore"]));
            }
        }
        faults.extend(label_selector(&here.child("labelSelector"), &constraint["labelSelector"]));
    }
    faults
}
