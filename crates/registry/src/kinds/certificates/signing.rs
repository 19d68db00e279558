//! CertificateSigningRequest: asked for once, then approved or denied, then signed; each through a door of its own.

use apimachinery::{FieldError, FieldPath, Subresource, WriteContext, metav1_time};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{keys, names};
use crate::check::{Seen, one_of};
use crate::pem;
use crate::value::{child, has, int, list, put, text};

/// The label of a request's block.
const REQUEST: &str = "CERTIFICATE REQUEST";
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
const EXPIRATION_MIN: i64 = 600;
/// What a certificate may be for.
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// The conditions of one type.
fn of_type<'a>(o: &'a Value, kind: &str) -> Vec<&'a Value> {
    list(&o["status"], "conditions").iter().filter(|condition| text(condition, "type") == kind).collect()
}

pub(super) fn prepare_update(new: &mut Value, old: &Value, context: &WriteContext<'_>) {
    put(new, "spec", old["spec"].clone());
    let decided = match context.subresource {
        Subresource::None => return,
        Subresource::Status => ["Approved", "Denied"].as_slice(),
        Subresource::Other(_) => &[],
    };
    let now = metav1_time(context.now);
    let mut conditions = list(&new["status"], "conditions").to_vec();
    for condition in &mut conditions {
        let kind = text(condition, "type").to_owned();
        let before = of_type(old, &kind);
        // Who signs does not touch what was decided.
        if decided.contains(&kind.as_str())
            && let [before] = before.as_slice()
        {
            *condition = (*before).clone();
        }
        if !has(condition, "lastUpdateTime") {
            condition["lastUpdateTime"] = json!(now);
        }
        if !has(condition, "lastTransitionTime") {
            let same = before.iter().find(|before| before["status"] == condition["status"]);
            let since = same.map(|before| before["lastTransitionTime"].clone()).filter(|since| !since.is_null());
            condition["lastTransitionTime"] = since.unwrap_or_else(|| json!(now));
        }
    }
    if matches!(context.subresource, Subresource::Other(_)) {
        // Who approves changes nothing but the conditions.
        put(new, "status", old["status"].clone());
    }
    if has(&new["status"], "conditions") || !conditions.is_empty() {
        child(new, "status")["conditions"] = Value::Array(conditions);
    }
}

pub(super) fn validate(o: &Value) -> Vec<FieldError> {
    let (path, spec, mut faults) = (FieldPath::new("spec"), &o["spec"], Vec::new());
    let request = text(spec, "request");
    if let Some(fault) = request_fault(request) {
        faults.push(FieldError::invalid(&path.child("request"), request, fault));
    }
    let usages = list(spec, "usages");
    if usages.is_empty() {
        faults.push(FieldError::required(&path.child("usages"), ""));
    }
    let mut seen = Seen::default();
    for (at, usage) in usages.iter().enumerate() {
        let (here, usage) = (path.child("usages").index(at), usage.as_str().unwrap_or_default());
        faults.extend(one_of(&here, usage, &USAGES));
        faults.extend(seen.check(&here, usage));
    }
    let (here, signer) = (path.child("signerName"), text(spec, "signerName"));
    if signer == LEGACY_SIGNER {
        let detail = "the legacy signerName is not allowed via this API version";
        faults.push(FieldError::invalid(&here, signer, detail));
    } else {
        faults.extend(names::signer(&here, signer));
    }
    if let Some(seconds) = int(spec, "expirationSeconds").filter(|seconds| *seconds < EXPIRATION_MIN) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        faults.push(FieldError::invalid(&path.child("expirationSeconds"), seconds, detail));
    }
    faults
}

/// Why a text is no request that its asker has signed.
fn request_fault(request: &str) -> Option<String> {
    let text = STANDARD.decode(request).unwrap_or_default();
    let block = pem::blocks(&String::from_utf8_lossy(&text)).into_iter().next();
    let Some(block) = block.filter(|block| block.label == REQUEST) else {
        return Some("PEM block type must be CERTIFICATE REQUEST".to_owned());
    };
    let Some(parsed) = keys::parse(&block.bytes) else {
        return Some("x509: malformed certificate request".to_owned());
    };
    parsed.verify_signature().err().map(|_| "x509: the signature of the certificate request is invalid".to_owned())
}

/// The spec stays as it was taken; what may change depends on the door.
pub(super) fn validate_update(new: &Value, old: &Value, subresource: Subresource<'_>) -> Vec<FieldError> {
    let status = FieldPath::new("status");
    let path = status.child("conditions");
    let mut faults = conditions(&path, list(&new["status"], "conditions"));
    for kind in ["Approved", "Denied", "Failed"] {
        let (before, after) = (of_type(old, kind), of_type(new, kind));
        let approves = matches!(subresource, Subresource::Other(_)) || kind == "Failed";
        if after.len() < before.len() {
            let detail = format!("updates may not remove a condition of type {kind:?}");
            faults.push(FieldError::forbidden(&path, detail));
        } else if !approves && after.len() > before.len() {
            faults.push(FieldError::forbidden(&path, format!("updates may not add a condition of type {kind:?}")));
        } else if !approves && after != before {
            faults.push(FieldError::forbidden(&path, format!("updates may not modify a condition of type {kind:?}")));
        }
    }
    let (before, after) = (text(&old["status"], "certificate"), text(&new["status"], "certificate"));
    if before != after {
        let here = status.child("certificate");
        if subresource != Subresource::Status {
            faults.push(FieldError::forbidden(&here, "updates may not set certificate content"));
        } else if !before.is_empty() {
            faults.push(FieldError::forbidden(&here, "updates may not modify existing certificate content"));
        } else if let Some(fault) = certificate_fault(after) {
            faults.push(FieldError::invalid(&here, "<certificate data>", fault));
        }
    }
    faults
}

fn conditions(path: &FieldPath, conditions: &[Value]) -> Vec<FieldError> {
    let (mut faults, mut seen) = (Vec::new(), Seen::default());
    for (at, condition) in conditions.iter().enumerate() {
        let (here, kind, status) = (path.index(at), text(condition, "type"), text(condition, "status"));
        if kind.is_empty() {
            faults.push(FieldError::required(&here.child("type"), ""));
        }
        let allowed: &[&str] = match kind {
            "Approved" | "Denied" | "Failed" => &["True"],
            _ => &["False", "True", "Unknown"],
        };
        if status.is_empty() {
            faults.push(FieldError::required(&here.child("status"), ""));
        } else {
            faults.extend(one_of(&here.child("status"), status, allowed));
        }
        let other = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !other.is_empty() && conditions[..at].iter().any(|before| text(before, "type") == other) {
            let detail = "Approved and Denied conditions are mutually exclusive";
            faults.push(FieldError::invalid(path, kind, detail));
        }
        faults.extend(seen.check(&here.child("type"), kind));
    }
    faults
}

/// Why a text is no certificate, PEM.
fn certificate_fault(certificate: &str) -> Option<String> {
    let text = STANDARD.decode(certificate).unwrap_or_default();
    let blocks = pem::blocks(&String::from_utf8_lossy(&text));
    if blocks.is_empty() {
        return Some("must contain at least one CERTIFICATE PEM block".to_owned());
    }
    blocks.iter().find_map(|block| {
        if block.label != pem::CERTIFICATE {
            return Some(format!("only CERTIFICATE PEM blocks are allowed, found {:?}", block.label));
        }
        if block.has_headers {
            return Some("no PEM block headers are permitted".to_owned());
        }
        x509_parser::parse_x509_certificate(&block.bytes).err().map(|_| "x509: malformed certificate".to_owned())
    })
}

#[cfg(test)]
mod tests;
