//! Names of signers and of the trust bundles that they attest (upstream: `pkg/apis/core/validation/names.go`).

use apimachinery::names::{dns_label, dns_subdomain, qualified_name};
use apimachinery::{FieldError, FieldPath};
use serde_json::Value;

use crate::metadata::ANNOTATIONS_BYTES_MAX;

const DOMAIN_MAX: usize = 253;
/// A namespace, a name and a dot.
const PATH_MAX: usize = DOMAIN_MAX + 63 + 1;

/// Whether a signer is one of Kubernetes' own.
pub(crate) fn is_kubernetes(signer: &str) -> bool {
    let host = signer.split('/').next().unwrap_or_default();
    host == "kubernetes.io" || host.ends_with(".kubernetes.io")
}

/// What is wrong with a signer's name: it is `DOMAIN/PATH`.
pub(crate) fn signer(path: &FieldPath, signer: &str) -> Vec<FieldError> {
    if signer.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let mut parts = signer.split('/');
    let (Some(domain), Some(rest), None) = (parts.next(), parts.next(), parts.next()) else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return vec![FieldError::invalid(path, signer, detail)];
    };
    let mut faults = Vec::new();
    if domain.len() > DOMAIN_MAX {
        faults.push(FieldError::too_long(path, DOMAIN_MAX));
    }
    faults.extend(first_bad(path, domain, dns_label));
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        faults.push(FieldError::invalid(path, domain, detail));
    }
    faults.extend(first_bad(path, rest, dns_subdomain));
    if signer.len() > DOMAIN_MAX + PATH_MAX + 1 {
        faults.push(FieldError::too_long(path, DOMAIN_MAX + PATH_MAX + 1));
    }
    faults
}

/// The faults of the first part between dots that has any.
fn first_bad(path: &FieldPath, whole: &str, check: fn(&str) -> Vec<String>) -> Vec<FieldError> {
    let bad = whole.split('.').map(|part| (part, check(part))).find(|(_, faults)| !faults.is_empty());
    let (part, faults) = bad.unwrap_or_default();
    let told = faults.into_iter().map(|fault| format!("validating label {part:?}: {fault}"));
    told.map(|detail| FieldError::invalid(path, whole, detail)).collect()
}

/// What is wrong with the name of a trust bundle of `signer`, which may be empty.
pub(crate) fn bundle(name: &str, signer: &str) -> Vec<String> {
    if signer.is_empty() {
        if name.contains(':') {
            return vec!["ClusterTrustBundle without signer name must not have \":\" in its name".to_owned()];
        }
        return dns_subdomain(name);
    }
    let prefix = format!("{}:", signer.replace('/', ":"));
    match name.strip_prefix(&prefix) {
        Some(rest) => dns_subdomain(rest),
        None => vec![format!("ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}")],
    }
}

/// The signer that the name of a trust bundle tells of; empty if of none.
pub(crate) fn signer_of(bundle: &str) -> String {
    bundle.rfind(':').map(|at| bundle[..at].replace(':', "/")).unwrap_or_default()
}

/// What is wrong with annotations that a user gives a signer: their keys have a domain.
pub(crate) fn user_annotations(path: &FieldPath, annotations: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut size = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        size += key.len() + value.as_str().map_or(0, str::len);
        let key = key.to_lowercase();
        let mut bad = qualified_name(&key);
        if bad.is_empty() && !key.contains('/') {
            bad.push("must be a domain-prefixed key (such as \"acme.io/foo\")".to_owned());
        }
        faults.extend(crate::check::invalid_each(path, &key, bad));
    }
    if size > ANNOTATIONS_BYTES_MAX {
        faults.push(FieldError::too_long(path, ANNOTATIONS_BYTES_MAX));
    }
    faults
}

#[cfg(test)]
mod tests {
    use apimachinery::FieldPath;

    use super::{bundle, signer, signer_of};

    #[test]
    fn signers_have_a_domain_and_a_path() {
        for (name, faults) in [
            ("example.com/one", 0),
            ("a.b.c/ns.name", 0),
            ("", 1),
            ("example.com", 1),
            ("example.com/a/b", 1),
            ("localhost/x", 1),
            ("exa_mple.com/x", 1),
            ("example.com/X", 1),
        ] {
            assert_eq!(signer(&FieldPath::new("signerName"), name).len(), faults, "{name}");
        }
    }

    #[test]
    fn bundles_are_named_for_their_signer() {
        for (name, of, good) in [
            ("plain", "", true),
            ("a:b", "", false),
            ("example.com:one:x", "example.com/one", true),
            ("example.com:one", "example.com/one", false),
            ("example.com:one:x:y", "example.com/one", false),
        ] {
            assert_eq!(bundle(name, of).is_empty(), good, "{name} of {of}");
        }
        assert_eq!(signer_of("example.com:one:x"), "example.com/one");
        assert_eq!(signer_of("plain"), "");
    }
}
