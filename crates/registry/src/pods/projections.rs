//! Faults of what a projected volume puts together.

use std::collections::BTreeSet;

use apimachinery::{FieldError, FieldPath};
use serde_json::Value;

use super::volumes::{downward_file, key_to_path, required, unreserved_path};
use crate::check::{label_selector, one_of};
use crate::kinds::certificates::names;
use crate::value::{has, int, list, text};

/// The shortest life of a certificate that may be asked for.
const EXPIRATION_MIN: i64 = 3600;
/// The longest.
const EXPIRATION_MAX: i64 = 91 * 86_400;
/// The longest that Kubernetes' own signers give.
const KUBERNETES_EXPIRATION_MAX: i64 = 86_400;
const KEY_TYPES: [&str; 6] = ["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];

pub(super) fn projections(path: &FieldPath, projected: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut taken = Taken { path, paths: BTreeSet::new() };
    for (at, source) in list(projected, "sources").iter().enumerate() {
        let here = path.child("sources").index(at);
        for key in ["secret", "configMap"] {
            if has(source, key) {
                faults.extend(required(&here.child(key), &source[key], "name"));
                for (nth, item) in list(&source[key], "items").iter().enumerate() {
                    faults.extend(key_to_path(&here.child(key).child("items").index(nth), item));
                    faults.extend(taken.take(text(item, "path"), text(&source[key], "name")));
                }
            }
        }
        for file in list(&source["downwardAPI"], "items") {
            faults.extend(downward_file(&here.child("downwardAPI"), file));
            faults.extend(taken.take(text(file, "path"), text(file, "path")));
        }
        if has(source, "serviceAccountToken") {
            let token = here.child("serviceAccountToken");
            faults.extend(token_projection(path, &token, &source["serviceAccountToken"]));
        }
        if has(source, "clusterTrustBundle") {
            let (here, bundle) = (here.child("clusterTrustBundle"), &source["clusterTrustBundle"]);
            faults.extend(trust_bundle(&here, bundle));
            faults.extend(taken.take(text(bundle, "path"), text(bundle, "path")));
        }
        if has(source, "podCertificate") {
            faults.extend(pod_certificate(&here.child("podCertificate"), &source["podCertificate"], &mut taken));
        }
        if entries_count(source) > 1 {
            faults.push(FieldError::forbidden(&here, "may not specify more than 1 volume type per source"));
        }
    }
    faults
}

/// The paths that files of the volume have.
struct Taken<'a> {
    path: &'a FieldPath,
    paths: BTreeSet<String>,
}

impl Taken<'_> {
    fn take(&mut self, file: &str, shown: &str) -> Option<FieldError> {
        let twice = !file.is_empty() && !self.paths.insert(file.to_owned());
        twice.then(|| FieldError::invalid(self.path, shown, "conflicting duplicate paths"))
    }
}

fn entries_count(source: &Value) -> usize {
    source.as_object().map_or(0, |o| o.values().filter(|v| !v.is_null()).count())
}

fn token_projection(volume: &FieldPath, path: &FieldPath, token: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let seconds = path.child("expirationSeconds");
    match int(token, "expirationSeconds") {
        None => faults.push(FieldError::required(&seconds, "")),
        Some(n) if n < 600 => {
            faults.push(FieldError::invalid(&seconds, n, "may not specify a duration less than 10 minutes"));
        }
        Some(n) if n > 1 << 32 => {
            faults.push(FieldError::invalid(&seconds, n, "may not specify a duration larger than 2^32 seconds"));
        }
        Some(_) => {}
    }
    let target = text(token, "path");
    // Upstream shows the volume's path here.
    let here = volume.child("path");
    if target.is_empty() {
        faults.push(FieldError::required(&here, ""));
    } else {
        faults.extend(unreserved_path(&here, target));
    }
    faults
}

fn trust_bundle(path: &FieldPath, bundle: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let (name, signer) = (text(bundle, "name"), text(bundle, "signerName"));
    match (has(bundle, "name"), has(bundle, "signerName")) {
        (true, true) => {
            faults.push(FieldError::invalid(path, bundle, "only one of name and signerName may be used"));
        }
        (true, false) => {
            let here = path.child("name");
            if name.is_empty() {
                faults.push(FieldError::required(&here, "must be a valid object name"));
            }
            let bad = names::bundle(name, &names::signer_of(name)).into_iter();
            faults.extend(
                bad.map(|fault| {
                    FieldError::invalid(&here, name, format!("not a valid clustertrustbundlename: {fault}"))
                }),
            );
            if has(bundle, "labelSelector") {
                let detail = "labelSelector must be unset if name is specified";
                faults.push(FieldError::invalid(&path.child("labelSelector"), &bundle["labelSelector"], detail));
            }
        }
        (false, true) => {
            let here = path.child("signerName");
            if signer.is_empty() {
                faults.push(FieldError::required(&here, "must be a valid signer name"));
            }
            faults.extend(names::signer(&here, signer));
            faults.extend(label_selector(&path.child("labelSelector"), &bundle["labelSelector"]));
        }
        (false, false) => {
            faults.push(FieldError::required(path, "either name or signerName must be specified"));
        }
    }
    let file = text(bundle, "path");
    if file.is_empty() {
        faults.push(FieldError::required(&path.child("path"), ""));
    }
    faults.extend(unreserved_path(&path.child("path"), file));
    faults
}

fn pod_certificate(path: &FieldPath, certificate: &Value, taken: &mut Taken<'_>) -> Vec<FieldError> {
    let signer = text(certificate, "signerName");
    let mut faults = names::signer(&path.child("signerName"), signer);
    faults.extend(names::user_annotations(&path.child("userAnnotations"), &certificate["userAnnotations"]));
    faults.extend(one_of(&path.child("keyType"), text(certificate, "keyType"), &KEY_TYPES));
    if let Some(seconds) = int(certificate, "maxExpirationSeconds") {
        let here = path.child("maxExpirationSeconds");
        let max = if names::is_kubernetes(signer) { KUBERNETES_EXPIRATION_MAX } else { EXPIRATION_MAX };
        if seconds < EXPIRATION_MIN {
            let detail = format!("if provided, maxExpirationSeconds must be >= {EXPIRATION_MIN}");
            faults.push(FieldError::invalid(&here, seconds, detail));
        }
        if seconds > max {
            let detail = format!("if provided, maxExpirationSeconds must be <= {max}");
            faults.push(FieldError::invalid(&here, seconds, detail));
        }
    }
    let mut any = false;
    for key in ["credentialBundlePath", "keyPath", "certificateChainPath"] {
        let file = text(certificate, key);
        if !file.is_empty() {
            any = true;
            faults.extend(unreserved_path(&path.child(key), file));
            faults.extend(taken.take(file, file));
        }
    }
    if !any {
        let detail = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
        faults.push(FieldError::required(path, detail));
    }
    faults
}

#[cfg(test)]
mod tests;
