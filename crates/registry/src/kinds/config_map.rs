//! ConfigMap (upstream: `ValidateConfigMap`).

use apimachinery::{FieldError, FieldPath};
use serde_json::{Value, json};

use super::subdomain;
use crate::check::invalid_each;
use crate::print;
use crate::rules::Rules;
use crate::value::{entries, flag};

/// Most bytes of all values together (upstream: `MaxSecretSize`).
pub(super) const BYTES_MAX: usize = 1024 * 1024;

pub(super) static RULES: Rules = Rules {
    name: subdomain,
    validate,
    validate_update,
    row: Some(|o, now| {
        let count = entries(o, "data").count() + entries(o, "binaryData").count();
        vec![print::name(o), json!(count), print::age(o, now)]
    }),
    ..Rules::NONE
};

fn validate(o: &Value) -> Vec<FieldError> {
    let (data, binary) = (FieldPath::new("data"), FieldPath::new("binaryData"));
    let mut faults = Vec::new();
    let mut bytes = 0;
    for (key, value) in entries(o, "data") {
        faults.extend(invalid_each(&data.key(key), key, config_key(key)));
        if !o["binaryData"][key].is_null() {
            let detail = "duplicate of key present in binaryData";
            faults.push(FieldError::invalid(&data.key(key), key, detail));
        }
        bytes += value.as_str().unwrap_or_default().len();
    }
    for (key, value) in entries(o, "binaryData") {
        faults.extend(invalid_each(&binary.key(key), key, config_key(key)));
        bytes += decoded_length(value);
    }
    if bytes > BYTES_MAX {
        faults.push(FieldError::too_long(&FieldPath::nameless(), BYTES_MAX));
    }
    faults
}

fn validate_update(new: &Value, old: &Value, _: apimachinery::Subresource<'_>) -> Vec<FieldError> {
    let mut faults = unchanged_if_immutable(new, old, &["data", "binaryData"]);
    faults.extend(validate(new));
    faults
}

/// An object marked `immutable` keeps the mark and these fields.
pub(super) fn unchanged_if_immutable(new: &Value, old: &Value, fields: &[&str]) -> Vec<FieldError> {
    if !flag(old, "immutable") {
        return Vec::new();
    }
    let detail = "field is immutable when `immutable` is set";
    let mut changed: Vec<&str> = fields.iter().copied().filter(|f| new[f] != old[f]).collect();
    if !flag(new, "immutable") {
        changed.insert(0, "immutable");
    }
    changed.into_iter().map(|field| FieldError::forbidden(&FieldPath::new(field), detail)).collect()
}

/// Bytes that base64 text stands for.
pub(super) fn decoded_length(value: &Value) -> usize {
    let text = value.as_str().unwrap_or_default();
    text.len() / 4 * 3 - text.bytes().rev().take_while(|b| *b == b'=').count().min(text.len())
}

/// What is wrong with a key (`IsConfigMapKey`).
pub(crate) fn config_key(key: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if key.len() > 253 {
        faults.push("must be no more than 253 characters".to_owned());
    }
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        faults.push("a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')".to_owned());
    }
    match key {
        "." => faults.push("must not be '.'".to_owned()),
        ".." => faults.push("must not be '..'".to_owned()),
        key if key.starts_with("..") => faults.push("must not start with '..'".to_owned()),
        _ => {}
    }
    faults
}
