use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
};
use serde_json::{Value, json};

use super::validate;

/// An empty PKCS#10 request that `key` has signed.
pub(in super::super) fn stub(key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serialize_request(key).expect("a request").der().to_vec()
}

/// A request without faults but for the key.
pub(in super::super) fn request(key: &Value) -> Value {
    let mut spec = json!({
        "signerName": "example.com/s", "podName": "web", "podUID": "1", "serviceAccountName": "default",
        "serviceAccountUID": "2", "nodeName": "n", "nodeUID": "3", "maxExpirationSeconds": 86_400,
    });
    for (name, value) in key.as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    json!({"metadata": {"name": "r", "namespace": "dev"}, "spec": spec})
}

fn faults(change: &Value) -> Vec<String> {
    validate(&request(change)).iter().map(ToString::to_string).collect()
}

#[test]
fn keys_are_proved_by_a_signature() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let mut stub = stub(&key);
        assert_eq!(faults(&json!({"stubPKCS10Request": STANDARD.encode(&stub)})), Vec::<String>::new());
        *stub.last_mut().expect("bytes") ^= 1;
        let expected = "spec.stubPKCS10Request: Invalid value: invalid signature";
        assert_eq!(faults(&json!({"stubPKCS10Request": STANDARD.encode(&stub)})), [expected]);
    }
    let expected = "spec.stubPKCS10Request: Invalid value: must be a valid PKCS#10 CSR";
    assert_eq!(faults(&json!({"stubPKCS10Request": "AQI="})), [expected]);
    let expected =
        "spec: Invalid value: exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set";
    assert_eq!(faults(&json!({})), [expected]);
}

#[test]
fn a_key_without_a_stub_is_proved_by_the_pods_uid() {
    let pkcs8 = ring::signature::Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).expect("a key");
    let pair = ring::signature::Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
    let key = KeyPair::try_from(pkcs8.as_ref()).expect("a key");
    let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
    let with = |said: &[u8]| {
        let (key, proof) = (STANDARD.encode(&spki), STANDARD.encode(pair.sign(said).as_ref()));
        faults(&json!({"pkixPublicKey": key, "proofOfPossession": proof}))
    };
    assert_eq!(with(b"1"), Vec::<String>::new());
    let expected = "spec.proofOfPossession: Invalid value: could not verify proof-of-possession signature";
    assert_eq!(with(b"2"), [expected]);
}

#[test]
fn times_and_names_have_bounds() {
    let stub = STANDARD.encode(stub(&KeyPair::generate().expect("a key")));
    for (change, expected) in [
        (
            json!({"maxExpirationSeconds": 3599}),
            "spec.maxExpirationSeconds: Invalid value: 3599: must be in the range [3600, 7862400]",
        ),
        (
            json!({"maxExpirationSeconds": 86_401, "signerName": "kubernetes.io/x"}),
            "spec.maxExpirationSeconds: Invalid value: 86401: must be in the range [3600, 86400]",
        ),
        (json!({"podUID": ""}), "spec.podUID: Invalid value: \"\": must not be empty"),
        (json!({"signerName": ""}), "spec.signerName: Required value"),
        (json!({"maxExpirationSeconds": null}), "spec.maxExpirationSeconds: Required value: must be set"),
    ] {
        let mut change = change;
        change["stubPKCS10Request"] = json!(stub);
        assert_eq!(faults(&change), [expected], "{change}");
    }
}
