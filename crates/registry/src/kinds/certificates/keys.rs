//! Public keys of requests, and what proves that somebody has the private one.

use apimachinery::{FieldError, FieldPath};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ED25519, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo, X509CertificationRequest};
use x509_parser::public_key::PublicKey;

const ED25519_KEY: &str = "1.3.101.112";
const EC_KEY: &str = "1.2.840.10045.2.1";
const RSA_KEY: &str = "1.2.840.113549.1.1.1";
/// Curves that are allowed, and the names of those that may be met otherwise.
const CURVES: [(&str, &str, bool); 4] = [
    ("1.2.840.10045.3.1.7", "P-256", true),
    ("1.3.132.0.34", "P-384", true),
    ("1.3.132.0.35", "P-521", true),
    ("1.3.132.0.33", "P-224", false),
];

/// A fault of a value that is not shown.
pub(super) fn hidden(path: &FieldPath, detail: &str) -> FieldError {
    FieldError { value: String::new(), ..FieldError::invalid(path, "", detail) }
}

/// A whole PKCS#10 request.
pub(super) fn parse(stub: &[u8]) -> Option<X509CertificationRequest<'_>> {
    X509CertificationRequest::from_der(stub).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, request)| request)
}

/// A whole PKIX public key.
pub(super) fn parse_key(key: &[u8]) -> Option<SubjectPublicKeyInfo<'_>> {
    SubjectPublicKeyInfo::from_der(key).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, key)| key)
}

/// What is wrong with a stub request. Signatures on the curve P-521 can't be checked by `ring`, so they count as invalid.
pub(super) fn stub_faults(path: &FieldPath, stub: &[u8]) -> Vec<FieldError> {
    let Some(request) = parse(stub) else { return vec![hidden(path, "must be a valid PKCS#10 CSR")] };
    let key = &request.certification_request_info.subject_pki;
    if let Some(fault) = kind_fault(path, key, "elliptic public keys must use curve P256, P384, or P521") {
        return vec![fault];
    }
    if request.verify_signature().is_err() {
        return vec![hidden(path, "invalid signature")];
    }
    Vec::new()
}

/// What is wrong with a public key whose owner has signed `said`.
pub(super) fn proof_faults(
    key_path: &FieldPath,
    proof_path: &FieldPath,
    key: &[u8],
    said: &[u8],
    proof: &[u8],
) -> Vec<FieldError> {
    let Some(key) = parse_key(key) else {
        return vec![hidden(key_path, "must be a valid PKIX-serialized public key")];
    };
    if let Some(fault) = kind_fault(key_path, &key, "elliptic public keys must use curve P256 or P384") {
        return vec![fault];
    }
    let algorithm: &'static dyn VerificationAlgorithm =
        match (key.algorithm.algorithm.to_id_string().as_str(), curve(&key)) {
            (ED25519_KEY, _) => &ED25519,
            (RSA_KEY, _) => &RSA_PSS_2048_8192_SHA256,
            (_, "P-384") => &ECDSA_P384_SHA256_ASN1,
            _ => &ECDSA_P256_SHA256_ASN1,
        };
    let known = UnparsedPublicKey::new(algorithm, &key.subject_public_key.data).verify(said, proof);
    if known.is_err() { vec![hidden(proof_path, "could not verify proof-of-possession signature")] } else { Vec::new() }
}

/// The name of an elliptic key's curve.
fn curve(key: &SubjectPublicKeyInfo<'_>) -> &'static str {
    let oid = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let oid = oid.map(|oid| oid.to_id_string()).unwrap_or_default();
    CURVES.iter().find(|(id, ..)| *id == oid).map_or("", |(_, name, _)| name)
}

/// Whether the key is of a kind that is allowed.
fn kind_fault(path: &FieldPath, key: &SubjectPublicKeyInfo<'_>, curves: &str) -> Option<FieldError> {
    match key.algorithm.algorithm.to_id_string().as_str() {
        ED25519_KEY => None,
        EC_KEY => {
            let curve = curve(key);
            let allowed = CURVES.iter().any(|(_, name, allowed)| *name == curve && *allowed);
            (!allowed).then(|| FieldError::invalid(path, &format!("curve {curve}"), curves))
        }
        RSA_KEY => {
            let bits = match key.parsed() {
                Ok(PublicKey::RSA(rsa)) => rsa.key_size(),
                _ => 0,
            };
            let detail = "RSA keys must have modulus size 3072 or 4096";
            (!matches!(bits, 3072 | 4096)).then(|| FieldError::invalid(path, &format!("{bits}-bit modulus"), detail))
        }
        _ => Some(hidden(path, "unknown public key type; supported types are Ed25519, ECDSA, and RSA")),
    }
}
