use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::{Value, json};

use super::{validate, validate_update};
use crate::pem;

fn certificate(authority: bool) -> String {
    let mut params = CertificateParams::default();
    if authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let key = KeyPair::generate().expect("a key");
    pem::encode(pem::CERTIFICATE, params.self_signed(&key).expect("a certificate").der())
}

fn bundle(trust: &str) -> Value {
    json!({"metadata": {"name": "one"}, "spec": {"trustBundle": trust}})
}

#[test]
fn a_bundle_holds_authorities_each_once() {
    let (one, other, leaf) = (certificate(true), certificate(true), certificate(false));
    let omitted = "spec.trustBundle: Invalid value: \"<value omitted>\":";
    for (trust, expected) in [
        (format!("# comment\n{one}{other}"), vec![]),
        (String::new(), vec![format!("{omitted} at least one trust anchor must be provided")]),
        (format!("{one}{other}{one}"), vec![format!("{omitted} duplicate trust anchor (indices [0 2])")]),
        (format!("{one}{leaf}"), vec![format!("{omitted} entry 1 does not have the CA bit set")]),
        (pem::encode("KEY", b"x"), vec![format!("{omitted} entry 0 has bad block type: KEY")]),
        (pem::encode(pem::CERTIFICATE, b"x"), vec![format!("{omitted} entry 0 does not parse as X.509")]),
        (one.replacen('\n', "\na: b\n\n", 1), vec![format!("{omitted} entry 0 has PEM block headers")]),
    ] {
        let faults: Vec<String> = validate(&bundle(&trust)).iter().map(ToString::to_string).collect();
        assert_eq!(faults, expected, "{trust}");
    }
}

#[test]
fn a_bundle_keeps_its_signer_and_what_it_has_is_not_judged_again() {
    let broken = bundle("nothing");
    assert!(validate_update(&broken, &broken).is_empty());
    let mut signed = broken.clone();
    signed["spec"]["signerName"] = json!("example.com/s");
    let faults: Vec<String> = validate_update(&signed, &broken).iter().map(ToString::to_string).collect();
    let expected = [
        "metadata.name: Invalid value: \"one\": ClusterTrustBundle for signerName example.com/s must be named with prefix \
         example.com:s:",
        "spec.signerName: Invalid value: \"example.com/s\": field is immutable",
    ];
    assert_eq!(faults, expected);
}
