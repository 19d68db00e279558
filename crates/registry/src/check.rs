//! Checks that many kinds share, in upstream's sentences.

use apimachinery::field::Printed;
use apimachinery::names::{label_value, qualified_name};
use apimachinery::{FieldError, FieldPath};
use serde_json::Value;

use crate::value::{int, list, text};

pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// `path: Invalid value` for every sentence in `faults`.
pub(crate) fn invalid_each(path: &FieldPath, value: &str, faults: Vec<String>) -> Vec<FieldError> {
    faults.into_iter().map(|fault| FieldError::invalid(path, value, fault)).collect()
}

/// A number that may not be below zero, if it is there.
pub(crate) fn not_negative(path: &FieldPath, object: &Value, key: &str) -> Vec<FieldError> {
    let below = int(object, key).filter(|n| *n < 0);
    below.map(|n| FieldError::invalid(&path.child(key), n, NOT_NEGATIVE)).into_iter().collect()
}

/// A field that may not change.
pub(crate) fn immutable(path: &FieldPath, new: &Value, old: &Value) -> Vec<FieldError> {
    if new == old { Vec::new() } else { vec![FieldError::invalid(path, new, IMMUTABLE)] }
}

/// The same where upstream shows no value.
pub(crate) fn immutable_hidden(path: &FieldPath, new: &Value, old: &Value) -> Vec<FieldError> {
    if new == old { Vec::new() } else { vec![FieldError::invalid(path, &Value::Null, IMMUTABLE)] }
}

/// A text that must be one of `allowed`.
pub(crate) fn one_of(path: &FieldPath, value: &str, allowed: &[&str]) -> Vec<FieldError> {
    if allowed.contains(&value) { Vec::new() } else { vec![FieldError::not_supported(path, value, allowed)] }
}

/// A port number.
pub(crate) fn port_number(path: &FieldPath, number: i64) -> Vec<FieldError> {
    if (1..=65535).contains(&number) {
        return Vec::new();
    }
    vec![FieldError::invalid(path, number, "must be between 1 and 65535, inclusive")]
}

/// What is wrong with the name of a port (`IsValidPortName`).
pub(crate) fn port_name(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.len() > 15 {
        faults.push("must be no more than 15 characters".to_owned());
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        faults.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        faults.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        faults.push("must not contain consecutive hyphens".to_owned());
    }
    if !name.is_empty() && (name.starts_with('-') || name.ends_with('-')) {
        faults.push("must not begin or end with a hyphen".to_owned());
    }
    faults
}

/// A port number or the name of a port.
pub(crate) fn port_number_or_name(path: &FieldPath, port: &Value) -> Vec<FieldError> {
    match port {
        Value::String(name) => invalid_each(path, name, port_name(name)),
        other => port_number(path, other.as_i64().unwrap_or_default()),
    }
}

/// An address. Upstream's sentence for a new field.
pub(crate) fn ip(path: &FieldPath, text: &str) -> Vec<FieldError> {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Vec::new();
    }
    vec![FieldError::invalid(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
}

/// A `LabelSelector`.
pub(crate) fn label_selector(path: &FieldPath, selector: &Value) -> Vec<FieldError> {
    let mut faults = crate::metadata::labels(&path.child("matchLabels"), &selector["matchLabels"]);
    for (at, expression) in list(selector, "matchExpressions").iter().enumerate() {
        faults.extend(selector_requirement(&path.child("matchExpressions").index(at), expression));
    }
    faults
}

fn selector_requirement(path: &FieldPath, expression: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let values = list(expression, "values");
    match text(expression, "operator") {
        "In" | "NotIn" => {
            if values.is_empty() {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                faults.push(FieldError::required(&path.child("values"), detail));
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                faults.push(FieldError::forbidden(&path.child("values"), detail));
            }
        }
        other => faults.push(FieldError::invalid(&path.child("operator"), other, "not a valid selector operator")),
    }
    let key = text(expression, "key");
    faults.extend(invalid_each(&path.child("key"), key, qualified_name(key)));
    for (at, value) in values.iter().enumerate() {
        let value = value.as_str().unwrap_or_default();
        faults.extend(invalid_each(&path.child("values").index(at), value, label_value(value)));
    }
    faults
}

/// A `LabelSelector` as upstream prints it in a fault: in the order of Go's fields.
pub(crate) fn selector_text(selector: &Value) -> crate::metadata::Raw {
    let mut parts = Vec::new();
    if let Some(labels) = selector["matchLabels"].as_object() {
        parts.push(format!("\"matchLabels\":{}", Value::Object(labels.clone())));
    }
    let expressions: Vec<String> = list(selector, "matchExpressions")
        .iter()
        .map(|e| {
            let values = if e["values"].is_array() { format!(",\"values\":{}", e["values"]) } else { String::new() };
            format!("{{\"key\":{},\"operator\":{}{values}}}", e["key"], e["operator"])
        })
        .collect();
    if !expressions.is_empty() {
        parts.push(format!("\"matchExpressions\":[{}]", expressions.join(",")));
    }
    crate::metadata::Raw(if selector.is_null() { "null".to_owned() } else { format!("{{{}}}", parts.join(",")) })
}

/// Values that occur twice; each later one is a fault.
#[derive(Default)]
pub(crate) struct Seen(std::collections::HashSet<String>);

impl Seen {
    /// A fault if `value` was here before.
    pub(crate) fn check(&mut self, path: &FieldPath, value: &str) -> Option<FieldError> {
        self.check_as(path, value, value)
    }

    /// The same, showing another text.
    pub(crate) fn check_as(&mut self, path: &FieldPath, value: &str, shown: impl Printed) -> Option<FieldError> {
        if self.0.insert(value.to_owned()) { None } else { Some(FieldError::duplicate(path, shown)) }
    }
}
