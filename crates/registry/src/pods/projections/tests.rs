use apimachinery::FieldPath;
use serde_json::{Value, json};

use super::projections;

fn faults(sources: &Value) -> Vec<String> {
    let found = projections(&FieldPath::new("projected"), &json!({"sources": sources}));
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn certificates_and_trust_anchors_have_their_rules() {
    let certificate = |change: Value| {
        let mut source = json!({"signerName": "example.com/s", "keyType": "ED25519", "credentialBundlePath": "c.pem"});
        for (key, value) in change.as_object().into_iter().flatten() {
            source[key] = value.clone();
        }
        json!([{"podCertificate": source}])
    };
    let bundle = |source: Value| json!([{"clusterTrustBundle": source}]);
    let at = "projected.sources[0]";
    for (sources, expected) in [
        (certificate(json!({})), vec![]),
        (certificate(json!({"maxExpirationSeconds": 91 * 86_400})), vec![]),
        (
            certificate(json!({"maxExpirationSeconds": 3599})),
            vec![format!(
                "{at}.podCertificate.maxExpirationSeconds: Invalid value: 3599: if provided, maxExpirationSeconds must be >= 3600"
            )],
        ),
        (
            certificate(json!({"maxExpirationSeconds": 91 * 86_400 + 1})),
            vec![format!(
                "{at}.podCertificate.maxExpirationSeconds: Invalid value: 7862401: if provided, maxExpirationSeconds must be \
                 <= 7862400"
            )],
        ),
        (
            certificate(json!({"maxExpirationSeconds": 86_401, "signerName": "kubernetes.io/x"})),
            vec![format!(
                "{at}.podCertificate.maxExpirationSeconds: Invalid value: 86401: if provided, maxExpirationSeconds must be <= \
                 86400"
            )],
        ),
        (
            certificate(json!({"credentialBundlePath": null})),
            vec![format!(
                "{at}.podCertificate: Required value: specify at least one of credentialBundlePath, keyPath, and \
                 certificateChainPath"
            )],
        ),
        (
            certificate(json!({"keyPath": "c.pem"})),
            vec!["projected: Invalid value: \"c.pem\": conflicting duplicate paths".to_owned()],
        ),
        (
            certificate(json!({"userAnnotations": {"plain": "x"}})),
            vec![format!(
                "{at}.podCertificate.userAnnotations: Invalid value: \"plain\": must be a domain-prefixed key (such as \
                 \"acme.io/foo\")"
            )],
        ),
        (bundle(json!({"name": "example.com:s:one", "path": "ca.pem"})), vec![]),
        (bundle(json!({"signerName": "example.com/s", "labelSelector": {}, "path": "ca.pem"})), vec![]),
        (
            bundle(json!({"path": "ca.pem"})),
            vec![format!("{at}.clusterTrustBundle: Required value: either name or signerName must be specified")],
        ),
        (bundle(json!({"name": "one"})), vec![format!("{at}.clusterTrustBundle.path: Required value")]),
    ] {
        assert_eq!(faults(&sources), expected, "{sources}");
    }
}
