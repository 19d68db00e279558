//! ClusterTrustBundle: certificates of authorities, each once.

use std::collections::BTreeMap;

use apimachinery::{FieldError, FieldPath};
use serde_json::Value;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::names;
use crate::check::{immutable, invalid_each};
use crate::pem;
use crate::value::text;

/// Most bytes of a bundle.
const BUNDLE_BYTES_MAX: usize = 1 << 20;
/// What upstream shows in the place of a bundle.
const OMITTED: &str = "<value omitted>";

pub(super) fn validate(o: &Value) -> Vec<FieldError> {
    let mut faults = named(o);
    faults.extend(trust_anchors(&FieldPath::new("spec").child("trustBundle"), text(&o["spec"], "trustBundle")));
    faults
}

pub(super) fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut faults = named(new);
    // What was taken once is not judged again by another parser.
    if new["spec"]["trustBundle"] != old["spec"]["trustBundle"] {
        let path = FieldPath::new("spec").child("trustBundle");
        faults.extend(trust_anchors(&path, text(&new["spec"], "trustBundle")));
    }
    let path = FieldPath::new("spec").child("signerName");
    faults.extend(immutable(&path, &new["spec"]["signerName"], &old["spec"]["signerName"]));
    faults
}

/// The bundle's name and its signer's.
fn named(o: &Value) -> Vec<FieldError> {
    let (name, signer) = (text(&o["metadata"], "name"), text(&o["spec"], "signerName"));
    let mut faults = invalid_each(&FieldPath::new("metadata").child("name"), name, names::bundle(name, signer));
    if !signer.is_empty() {
        faults.extend(names::signer(&FieldPath::new("spec").child("signerName"), signer));
    }
    faults
}

fn trust_anchors(path: &FieldPath, bundle: &str) -> Vec<FieldError> {
    if bundle.len() > BUNDLE_BYTES_MAX {
        return vec![FieldError::too_long(path, BUNDLE_BYTES_MAX)];
    }
    let (mut faults, mut known) = (Vec::new(), BTreeMap::<Vec<u8>, Vec<usize>>::new());
    for (index, block) in pem::blocks(bundle).into_iter().enumerate() {
        match fault(&block) {
            Some(what) => faults.push(FieldError::invalid(path, OMITTED, format!("entry {index} {what}"))),
            None => known.entry(block.bytes).or_default().push(index),
        }
    }
    if !faults.is_empty() {
        return faults;
    }
    if known.is_empty() {
        return vec![FieldError::invalid(path, OMITTED, "at least one trust anchor must be provided")];
    }
    let doubles = known.values().filter(|indices| indices.len() > 1).map(|indices| {
        let shown: Vec<String> = indices.iter().map(ToString::to_string).collect();
        FieldError::invalid(path, OMITTED, format!("duplicate trust anchor (indices [{}])", shown.join(" ")))
    });
    doubles.collect()
}

/// Why a block is no trust anchor.
fn fault(block: &pem::Block) -> Option<String> {
    if block.label != pem::CERTIFICATE {
        return Some(format!("has bad block type: {}", block.label));
    }
    if block.has_headers {
        return Some("has PEM block headers".to_owned());
    }
    let Ok((rest, certificate)) = X509Certificate::from_der(&block.bytes) else {
        return Some("does not parse as X.509".to_owned());
    };
    if !rest.is_empty() {
        return Some("does not parse as X.509".to_owned());
    }
    (!certificate.is_ca()).then(|| "does not have the CA bit set".to_owned())
}

#[cfg(test)]
mod tests;
