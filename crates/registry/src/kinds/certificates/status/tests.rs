use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::super::request::tests::{request, stub};
use super::validate;
use crate::pem;

const BEGIN: i64 = 1_767_312_000;
const HOUR: i64 = 3600;

fn at(second: i64) -> String {
    jiff::Timestamp::from_second(second).expect("a time").to_string()
}

/// A certificate for `key` that lives so long.
fn certificate(key: &KeyPair, seconds: i64) -> String {
    let time = |second: i64| rcgen::date_time_ymd(2026, 1, 2) + std::time::Duration::from_secs(second.unsigned_abs());
    let mut params = CertificateParams::new(vec!["web.example.com".to_owned()]).expect("names");
    (params.not_before, params.not_after) = (time(0), time(seconds));
    pem::encode(pem::CERTIFICATE, params.self_signed(key).expect("a certificate").der())
}

fn condition(kind: &str) -> Value {
    json!([{"type": kind, "status": "True", "reason": "Why", "message": "m", "lastTransitionTime": at(BEGIN)}])
}

fn issued(chain: &str, end: i64, refresh: i64) -> Value {
    json!({
        "conditions": condition("Issued"), "certificateChain": chain,
        "notBefore": at(BEGIN), "notAfter": at(BEGIN + end), "beginRefreshAt": at(BEGIN + refresh),
    })
}

#[test]
fn a_certificate_is_judged_when_it_is_issued() {
    let (key, other) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let old = request(&json!({"stubPKCS10Request": STANDARD.encode(stub(&key))}));
    let good = certificate(&key, HOUR);
    for (status, expected) in [
        (issued(&good, HOUR, 1800), ""),
        (issued(&format!("{good}{}", certificate(&other, HOUR)), HOUR, 1800), ""),
        (issued(&certificate(&other, HOUR), HOUR, 1800), "leaf certificate was not issued to the requested public key"),
        (issued("", HOUR, 1800), "issued certificate chain must contain at least one certificate"),
        (issued(&good, HOUR + 1, 1800), "must be set to the NotAfter time encoded in the leaf certificate"),
        (issued(&certificate(&key, HOUR - 1), HOUR - 1, 1800), "leaf certificate lifetime must be >= 1 hour"),
        (
            issued(&certificate(&key, 25 * HOUR), 25 * HOUR, 1800),
            "leaf certificate lifetime must be <= spec.maxExpirationSeconds (86400)",
        ),
        (issued(&good, HOUR, 599), "must be at least 10 minutes after status.notBefore"),
        (issued(&good, HOUR, 3001), "must be at least 10 minutes before status.notAfter"),
        (json!({"conditions": condition("Denied")}), ""),
        (
            json!({"conditions": condition("Failed"), "certificateChain": good}),
            "non-condition status fields must be empty when denying or failing the PodCertificateRequest",
        ),
        (json!({"conditions": condition("Other")}), "supported values: \"Issued\", \"Denied\", \"Failed\""),
        (
            json!({"certificateChain": good}),
            "status is immutable unless transitioning to \"Issued\", \"Denied\", or \"Failed\"",
        ),
    ] {
        let mut new = old.clone();
        new["status"] = status;
        let faults: Vec<String> = validate(&new, &old).iter().map(ToString::to_string).collect();
        let fits =
            if expected.is_empty() { faults.is_empty() } else { faults.len() == 1 && faults[0].ends_with(expected) };
        assert!(fits, "{expected:?}: {faults:?}");
    }
}

#[test]
fn what_is_decided_stays() {
    let mut old = request(&json!({}));
    old["status"] = json!({"conditions": condition("Denied")});
    assert!(validate(&old, &old).is_empty());
    let mut new = old.clone();
    new["status"] = json!({"conditions": condition("Failed")});
    let faults: Vec<String> = validate(&new, &old).iter().map(ToString::to_string).collect();
    assert_eq!(faults, ["status: Invalid value: immutable after PodCertificateRequest is issued, denied, or failed"]);
}
