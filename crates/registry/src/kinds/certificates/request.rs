//! PodCertificateRequest: what a node asks for a Pod.

use apimachinery::names::dns_subdomain;
use apimachinery::{FieldError, FieldPath};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::keys::{hidden, proof_faults, stub_faults};
use super::names;
use crate::check::invalid_each;
use crate::value::{int, text};

const UID_BYTES_MAX: usize = 128;
const KEY_BYTES_MAX: usize = 10 << 10;
const EXPIRATION_MIN: i64 = 3600;
const EXPIRATION_MAX: i64 = 91 * 86_400;
const KUBERNETES_EXPIRATION_MAX: i64 = 86_400;

/// The bytes of a field.
pub(super) fn bytes(spec: &Value, key: &str) -> Vec<u8> {
    STANDARD.decode(text(spec, key)).unwrap_or_default()
}

pub(super) fn validate(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let signer = text(spec, "signerName");
    let mut faults = names::signer(&path.child("signerName"), signer);
    let annotations = path.child("unverifiedUserAnnotations");
    faults.extend(names::user_annotations(&annotations, &spec["unverifiedUserAnnotations"]));
    for (name, uid) in [("podName", "podUID"), ("serviceAccountName", "serviceAccountUID"), ("nodeName", "nodeUID")] {
        faults.extend(invalid_each(&path.child(name), text(spec, name), dns_subdomain(text(spec, name))));
        if text(spec, uid).is_empty() {
            faults.push(FieldError::invalid(&path.child(uid), "", "must not be empty"));
        }
        if text(spec, uid).len() > UID_BYTES_MAX {
            faults.push(FieldError::too_long(&path.child(uid), UID_BYTES_MAX));
        }
    }
    let here = path.child("maxExpirationSeconds");
    let Some(seconds) = int(spec, "maxExpirationSeconds") else {
        faults.push(FieldError::required(&here, "must be set"));
        return faults;
    };
    let max = if names::is_kubernetes(signer) { KUBERNETES_EXPIRATION_MAX } else { EXPIRATION_MAX };
    if !(EXPIRATION_MIN..=max).contains(&seconds) {
        let detail = format!("must be in the range [{EXPIRATION_MIN}, {max}]");
        faults.push(FieldError::invalid(&here, seconds, detail));
    }
    let [stub, key, proof] = ["stubPKCS10Request", "pkixPublicKey", "proofOfPossession"].map(|key| bytes(spec, key));
    match (stub.is_empty(), key.is_empty(), proof.is_empty()) {
        (false, true, true) => {
            let here = path.child("stubPKCS10Request");
            if stub.len() > KEY_BYTES_MAX {
                faults.push(FieldError::too_long(&here, KEY_BYTES_MAX));
            } else {
                faults.extend(stub_faults(&here, &stub));
            }
        }
        (true, false, false) => {
            let (of_key, of_proof) = (path.child("pkixPublicKey"), path.child("proofOfPossession"));
            if key.len() > KEY_BYTES_MAX {
                faults.push(FieldError::too_long(&of_key, KEY_BYTES_MAX));
            } else if proof.len() > KEY_BYTES_MAX {
                faults.push(FieldError::too_long(&of_proof, KEY_BYTES_MAX));
            } else {
                faults.extend(proof_faults(&of_key, &of_proof, &key, text(spec, "podUID").as_bytes(), &proof));
            }
        }
        _ => {
            let detail = "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set";
            faults.push(hidden(&path, detail));
        }
    }
    faults
}

#[cfg(test)]
pub(super) mod tests;
