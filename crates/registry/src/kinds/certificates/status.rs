//! What a signer may make of a PodCertificateRequest: it is issued, denied or failed, once.

use apimachinery::names::qualified_name;
use apimachinery::{FieldError, FieldPath};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::keys::{hidden, parse, parse_key};
use super::request::bytes;
use crate::check::{Seen, invalid_each, one_of};
use crate::pem;
use crate::value::{int, list, text, time};

const CHAIN_BYTES_MAX: usize = 100 << 10;
const REASON_BYTES_MAX: usize = 1 << 10;
const MESSAGE_BYTES_MAX: usize = 32 << 10;
const KNOWN: [&str; 3] = ["Issued", "Denied", "Failed"];
const LIFE_MIN: SignedDuration = SignedDuration::from_hours(1);
/// How far from both ends of a certificate's life its renewal begins.
const REFRESH_MARGIN: SignedDuration = SignedDuration::from_mins(10);

fn holds(o: &Value, kind: &str) -> bool {
    list(&o["status"], "conditions").iter().any(|c| text(c, "type") == kind && text(c, "status") == "True")
}

pub(super) fn validate(new: &Value, old: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("status");
    let faults = conditions(&path.child("conditions"), list(&new["status"], "conditions"));
    if !faults.is_empty() {
        return faults;
    }
    let changed =
        |to: &Value, from: &Value, detail: &str| if to == from { vec![] } else { vec![hidden(&path, detail)] };
    if KNOWN.iter().any(|kind| holds(old, kind)) {
        let detail = "immutable after PodCertificateRequest is issued, denied, or failed";
        return changed(&new["status"], &old["status"], detail);
    }
    if holds(new, "Denied") || holds(new, "Failed") {
        let only = json!({"conditions": new["status"]["conditions"]});
        let detail = "non-condition status fields must be empty when denying or failing the PodCertificateRequest";
        return changed(&new["status"], &only, detail);
    }
    if holds(new, "Issued") {
        return issued(new, old);
    }
    let detail = "status is immutable unless transitioning to \"Issued\", \"Denied\", or \"Failed\"";
    changed(&new["status"], &old["status"], detail)
}

fn conditions(path: &FieldPath, conditions: &[Value]) -> Vec<FieldError> {
    let (mut faults, mut seen, mut known) = (Vec::new(), Seen::default(), 0);
    for (at, condition) in conditions.iter().enumerate() {
        let here = path.index(at);
        let (kind, status, reason) = (text(condition, "type"), text(condition, "status"), text(condition, "reason"));
        if KNOWN.contains(&kind) {
            known += 1;
            if known > 1 {
                let detail = "There may be at most one condition with type \"Issued\", \"Denied\", or \"Failed\"";
                faults.push(FieldError::invalid(&here.child("type"), kind, detail));
            }
            faults.extend(one_of(&here.child("status"), status, &["True"]));
        } else {
            faults.push(FieldError::not_supported(&here.child("type"), kind, &KNOWN));
        }
        faults.extend(seen.check(&here, kind));
        faults.extend(invalid_each(&here.child("type"), kind, qualified_name(kind)));
        if time(condition, "lastTransitionTime").is_none() {
            faults.push(FieldError::required(&here.child("lastTransitionTime"), ""));
        }
        if reason.is_empty() {
            faults.push(FieldError::required(&here.child("reason"), ""));
        } else if !is_reason(reason) {
            let detail = "a condition reason must start with alphabetic character, optionally followed by a string of \
                          alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. \
                          'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used \
                          for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";
            faults.push(FieldError::invalid(&here.child("reason"), reason, detail));
        }
        for (key, max) in [("reason", REASON_BYTES_MAX), ("message", MESSAGE_BYTES_MAX)] {
            if text(condition, key).len() > max {
                faults.push(FieldError::too_long(&here.child(key), max));
            }
        }
    }
    faults
}

fn is_reason(reason: &str) -> bool {
    reason.starts_with(|c: char| c.is_ascii_alphabetic())
        && reason.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && reason.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ',' | ':'))
}

/// What is wrong with a certificate that was issued; the first faults that are found.
fn issued(new: &Value, old: &Value) -> Vec<FieldError> {
    let (path, status) = (FieldPath::new("status"), &new["status"]);
    let (chain_path, chain) = (path.child("certificateChain"), text(status, "certificateChain"));
    if chain.len() > CHAIN_BYTES_MAX {
        return vec![FieldError::too_long(&chain_path, CHAIN_BYTES_MAX)];
    }
    let bad = |detail: &str| vec![FieldError::invalid(&chain_path, chain, detail)];
    let blocks = pem::blocks(chain);
    let Some((leaf, others)) = blocks.split_first() else {
        return bad("issued certificate chain must contain at least one certificate");
    };
    if leaf.label != pem::CERTIFICATE {
        return bad("issued certificate chain must consist entirely of CERTIFICATE PEM blocks");
    }
    let Some(leaf) = parse_certificate(&leaf.bytes) else {
        return bad("leaf certificate does not parse as valid X.509");
    };
    let mut faults = dns_names(&chain_path, &leaf);
    if !is_for(&leaf, &old["spec"]) {
        faults.extend(bad("leaf certificate was not issued to the requested public key"));
        return faults;
    }
    let mut at = |key: &str, detail: &str| {
        let found = time(status, key);
        if found.is_none() {
            faults.push(FieldError::required(&path.child(key), detail));
        }
        found
    };
    let consistent = "must be present and consistent with the issued certificate";
    let times = (
        at("notBefore", consistent),
        at("notAfter", consistent),
        at("beginRefreshAt", "must be present and in the range [notbefore+10min, notafter-10min]"),
    );
    let (Some(not_before), Some(not_after), Some(refresh)) = times else { return faults };
    if !faults.is_empty() {
        return faults;
    }
    let validity = leaf.validity();
    for (key, said, inscribed, name) in [
        ("notBefore", not_before, validity.not_before.timestamp(), "NotBefore"),
        ("notAfter", not_after, validity.not_after.timestamp(), "NotAfter"),
    ] {
        if said.as_second() != inscribed || said.subsec_nanosecond() != 0 {
            let detail = format!("must be set to the {name} time encoded in the leaf certificate");
            return vec![FieldError::invalid(&path.child(key), &shown(said), detail)];
        }
    }
    let life = not_after.duration_since(not_before);
    if life < LIFE_MIN {
        return bad_life(&chain_path, life, "leaf certificate lifetime must be >= 1 hour".to_owned());
    }
    let max = int(&new["spec"], "maxExpirationSeconds").unwrap_or_default();
    if life > SignedDuration::from_secs(max) {
        return bad_life(
            &chain_path,
            life,
            format!("leaf certificate lifetime must be <= spec.maxExpirationSeconds ({max})"),
        );
    }
    let here = path.child("beginRefreshAt");
    if refresh.duration_since(not_before) < REFRESH_MARGIN {
        return vec![FieldError::invalid(&here, &shown(refresh), "must be at least 10 minutes after status.notBefore")];
    }
    if not_after.duration_since(refresh) < REFRESH_MARGIN {
        return vec![FieldError::invalid(&here, &shown(refresh), "must be at least 10 minutes before status.notAfter")];
    }
    for other in others {
        if other.label != pem::CERTIFICATE {
            return bad("issued certificate chain must consist entirely of CERTFICATE PEM blocks");
        }
        if parse_certificate(&other.bytes).is_none() {
            return bad("intermediate certificate does not parse as valid X.509");
        }
    }
    Vec::new()
}

fn shown(at: Timestamp) -> String {
    at.to_string()
}

fn bad_life(path: &FieldPath, life: SignedDuration, detail: String) -> Vec<FieldError> {
    vec![FieldError::invalid(path, life.as_secs(), detail)]
}

fn parse_certificate(bytes: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(bytes).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, certificate)| certificate)
}

/// Whether the certificate is for the key that was asked for.
fn is_for(leaf: &X509Certificate<'_>, spec: &Value) -> bool {
    let (stub, key) = (bytes(spec, "stubPKCS10Request"), bytes(spec, "pkixPublicKey"));
    let own = leaf.public_key().raw;
    if stub.is_empty() {
        return parse_key(&key).is_some_and(|key| key.raw == own);
    }
    parse(&stub).is_some_and(|request| request.certification_request_info.subject_pki.raw == own)
}

fn dns_names(path: &FieldPath, leaf: &X509Certificate<'_>) -> Vec<FieldError> {
    let names = leaf.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| names.value.general_names.iter());
    let mut faults = Vec::new();
    for name in names {
        let GeneralName::DNSName(name) = name else { continue };
        let mut fault = |detail: &str| faults.push(FieldError::invalid(path, *name, detail));
        if name.is_empty() {
            fault("leaf certificate should not contain empty DNSName");
        }
        if name.contains("..") {
            fault("leaf certificate's DNSName should not contain '..'");
        }
        if name.starts_with('.') || name.ends_with('.') {
            fault("leaf certificate's DNSName should not start or end with '.'");
        }
    }
    faults
}

#[cfg(test)]
mod tests;
