//! Secret (upstream: `ValidateSecret`).

use apimachinery::{FieldError, FieldPath, Subresource};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::config_map::{BYTES_MAX, config_key, decoded_length, unchanged_if_immutable};
use super::subdomain;
use crate::check::{immutable, invalid_each};
use crate::print;
use crate::rules::{Rules, Selectable, at_path};
use crate::value::{child, entries, has, put, text};

pub(super) static RULES: Rules = Rules {
    name: subdomain,
    prepare_create: |o, _| merge_texts(o),
    prepare_update: |new, old, _| {
        merge_texts(new);
        if text(new, "type").is_empty() {
            put(new, "type", old["type"].clone());
        }
    },
    validate,
    validate_update,
    selectable: Selectable { names: &["type"], read: at_path },
    row: Some(|o, now| vec![print::name(o), o["type"].clone(), json!(entries(o, "data").count()), print::age(o, now)]),
    ..Rules::NONE
};

/// `stringData` goes into `data` and is never stored.
fn merge_texts(o: &mut Value) {
    let texts = o["stringData"].as_object().cloned().unwrap_or_default();
    put(o, "stringData", Value::Null);
    for (key, value) in texts {
        let encoded = STANDARD.encode(value.as_str().unwrap_or_default());
        child(o, "data")[&key] = json!(encoded);
    }
}

fn validate(o: &Value) -> Vec<FieldError> {
    let data = FieldPath::new("data");
    let mut faults = Vec::new();
    let mut bytes = 0;
    for (key, value) in entries(o, "data") {
        faults.extend(invalid_each(&data.key(key), key, config_key(key)));
        bytes += decoded_length(value);
    }
    if bytes > BYTES_MAX {
        faults.push(FieldError::too_long(&data, BYTES_MAX));
    }
    let required = |key: &str| -> Vec<FieldError> {
        if has(&o["data"], key) { Vec::new() } else { vec![FieldError::required(&data.key(key), "")] }
    };
    match text(o, "type") {
        "kubernetes.io/service-account-token" => {
            let path = FieldPath::new("metadata").child("annotations").key("kubernetes.io/service-account.name");
            if text(&o["metadata"]["annotations"], "kubernetes.io/service-account.name").is_empty() {
                faults.push(FieldError::required(&path, ""));
            }
        }
        "kubernetes.io/dockercfg" => faults.extend(json_key(o, ".dockercfg", &required)),
        "kubernetes.io/dockerconfigjson" => faults.extend(json_key(o, ".dockerconfigjson", &required)),
        "kubernetes.io/basic-auth" if !has(&o["data"], "username") && !has(&o["data"], "password") => {
            faults.extend(required("username"));
            faults.extend(required("password"));
        }
        "kubernetes.io/ssh-auth" if text(&o["data"], "ssh-privatekey").is_empty() => {
            faults.push(FieldError::required(&data.key("ssh-privatekey"), ""));
        }
        "kubernetes.io/tls" => {
            faults.extend(required("tls.crt"));
            faults.extend(required("tls.key"));
        }
        _ => {}
    }
    faults
}

/// A key that must hold JSON.
fn json_key(o: &Value, key: &str, required: &dyn Fn(&str) -> Vec<FieldError>) -> Vec<FieldError> {
    let Some(encoded) = o["data"][key].as_str() else {
        return required(key);
    };
    let decoded = STANDARD.decode(encoded).unwrap_or_default();
    match serde_json::from_slice::<serde_json::Map<String, Value>>(&decoded) {
        Ok(_) => Vec::new(),
        Err(_) => {
            // The value is a credential: it is never shown.
            let path = FieldPath::new("data").key(key);
            vec![FieldError::invalid(&path, "<secret contents redacted>", go_json_fault(&decoded))]
        }
    }
}

/// What Go's JSON decoder says of bytes that are no object.
fn go_json_fault(bytes: &[u8]) -> String {
    let first = bytes.iter().position(|b| !b.is_ascii_whitespace()).map(|at| bytes[at]);
    match first {
        None => "unexpected end of JSON input".to_owned(),
        Some(b) if b.is_ascii_graphic() => {
            format!("invalid character '{}' looking for beginning of value", char::from(b))
        }
        Some(b) => format!("invalid character '\\x{b:02x}' looking for beginning of value"),
    }
}

fn validate_update(new: &Value, old: &Value, _: Subresource<'_>) -> Vec<FieldError> {
    let mut faults = immutable(&FieldPath::new("type"), &new["type"], &old["type"]);
    faults.extend(unchanged_if_immutable(new, old, &["data"]));
    faults.extend(validate(new));
    faults
}
