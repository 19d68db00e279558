use apimachinery::{Subresource, WriteContext};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use component_base::Random;
use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::super::request::tests::stub;
use super::{prepare_update, validate, validate_update};
use crate::pem;

fn request(change: &Value) -> Value {
    let key = KeyPair::generate().expect("a key");
    let request = STANDARD.encode(pem::encode("CERTIFICATE REQUEST", &stub(&key)));
    let mut spec = json!({"request": request, "signerName": "example.com/s", "usages": ["client auth"]});
    for (name, value) in change.as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    json!({"metadata": {"name": "r"}, "spec": spec})
}

fn condition(kind: &str, reason: &str) -> Value {
    json!({"type": kind, "status": "True", "reason": reason})
}

#[test]
fn a_request_is_signed_and_says_what_for() {
    for (change, expected) in [
        (json!({}), vec![]),
        (
            json!({"request": "AQI="}),
            vec!["spec.request: Invalid value: \"AQI=\": PEM block type must be CERTIFICATE REQUEST"],
        ),
        (json!({"usages": []}), vec!["spec.usages: Required value"]),
        (json!({"usages": ["client auth", "client auth"]}), vec!["spec.usages[1]: Duplicate value: \"client auth\""]),
        (
            json!({"signerName": "kubernetes.io/legacy-unknown"}),
            vec![
                "spec.signerName: Invalid value: \"kubernetes.io/legacy-unknown\": the legacy signerName is not allowed via \
                 this API version",
            ],
        ),
        (
            json!({"expirationSeconds": 599}),
            vec![
                "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)",
            ],
        ),
    ] {
        let faults: Vec<String> = validate(&request(&change)).iter().map(ToString::to_string).collect();
        assert_eq!(faults, expected, "{change}");
    }
}

fn update(old: &Value, status: Value, door: Subresource<'_>) -> (Value, Vec<String>) {
    let mut new = old.clone();
    new["spec"]["signerName"] = json!("example.com/other");
    new["status"] = status;
    let random = Random::from_seed(1);
    let context = WriteContext { now: Timestamp::UNIX_EPOCH, random: &random, subresource: door, user: "" };
    prepare_update(&mut new, old, &context);
    let faults = validate_update(&new, old, door).iter().map(ToString::to_string).collect();
    assert_eq!(new["spec"], old["spec"], "nobody changes what was asked for");
    (new, faults)
}

#[test]
fn each_door_lets_its_own_changes_through() {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::default().self_signed(&key).expect("a certificate");
    let certificate = json!(STANDARD.encode(pem::encode(pem::CERTIFICATE, certificate.der())));
    let (approval, status) = (Subresource::Other("approval"), Subresource::Status);
    let asked = request(&json!({}));
    let decided = json!({"conditions": [condition("Approved", "Good")], "certificate": certificate});
    let (approved, faults) = update(&asked, decided, approval);
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(approved["status"]["certificate"], Value::Null, "who approves does not sign");
    assert_eq!(approved["status"]["conditions"][0]["lastUpdateTime"], "1970-01-01T00:00:00Z");
    let forbidden = "status.conditions: Forbidden: updates may not";
    let add = format!("{forbidden} add a condition of type \"Approved\"");
    assert_eq!(update(&asked, json!({"conditions": [condition("Approved", "Good")]}), status).1, [add]);
    let signed = json!({"conditions": [condition("Approved", "Bad")], "certificate": certificate});
    let (signed, faults) = update(&approved, signed, status);
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(signed["status"]["conditions"], approved["status"]["conditions"], "who signs does not approve");
    let remove = format!("{forbidden} remove a condition of type \"Approved\"");
    assert_eq!(update(&approved, json!({}), approval).1, [remove]);
    let both = json!({"conditions": [condition("Approved", "a"), condition("Denied", "b")]});
    let exclusive =
        "status.conditions: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive";
    assert_eq!(update(&approved, both, approval).1, [exclusive]);
    let broken = json!({"conditions": approved["status"]["conditions"], "certificate": "AQI="});
    let block =
        "status.certificate: Invalid value: \"<certificate data>\": must contain at least one CERTIFICATE PEM block";
    assert_eq!(update(&approved, broken, status).1, [block]);
}
