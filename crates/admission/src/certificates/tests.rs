use std::sync::Arc;

use api::resources::{CLUSTERTRUSTBUNDLES, PODCERTIFICATEREQUESTS};
use apimachinery::{Admission, Object, Operation, Reader, Resource, UserInfo, Wish};
use serde_json::{Value, json};

use super::{ClusterTrustBundleAttest, PodCertificateSigning};
use crate::tests::request;

/// A world in which anybody may do the one thing.
pub(super) struct Granted(pub(super) &'static str, pub(super) &'static str);

impl Reader for Granted {
    fn get(&self, _: &'static Resource, _: &str, _: &str) -> Option<Arc<Object>> {
        None
    }

    fn list(&self, _: &'static Resource, _: &str) -> Vec<Arc<Object>> {
        Vec::new()
    }

    fn allows(&self, _: &UserInfo, wish: &Wish<'_>) -> bool {
        (wish.group, wish.resource) == ("certificates.k8s.io", "signers") && (wish.verb, wish.name) == (self.0, self.1)
    }
}

#[test]
fn who_decides_on_a_certificate_needs_permission_and_does_it_now() {
    let of = |status: Value| json!({"spec": {"signerName": "example.com/one"}, "status": status});
    let issued = |begin: &str| of(json!({"notBefore": begin}));
    let (now, late) = ("1970-01-01T00:04:59Z", "1970-01-01T00:05:00Z");
    let refused = "PodCertificateRequest.certificates.k8s.io \"r\" is invalid:";
    for (new, granted, expected) in [
        (issued(now), Granted("sign", "example.com/one"), None),
        (of(json!({})), Granted("", ""), None),
        (
            issued(now),
            Granted("attest", "example.com/one"),
            Some(format!(
                "{refused} spec.signerName: Forbidden: User \"\" is not permitted to \"sign\" for signer \"example.com/one\""
            )),
        ),
        (
            issued(late),
            Granted("sign", "example.com/*"),
            Some(format!(
                "{refused} status.notBefore: Invalid value: \"{late}\": must be set to within 5 minutes of kube-apiserver's \
                 current time"
            )),
        ),
    ] {
        let (mut object, old, mut warnings) = (new.clone(), of(json!({})), Vec::new());
        let mut request = request(Operation::Update, PODCERTIFICATEREQUESTS, "dev", "r", &mut object, &mut warnings);
        (request.old, request.subresource) = (Some(&old), "status");
        let verdict = PodCertificateSigning.validate(&mut request, &granted);
        assert_eq!(verdict.err().map(|error| error.message), expected, "{new}");
    }
}

#[test]
fn who_speaks_for_a_signer_needs_its_permission() {
    let of = |signer: &str| json!({"metadata": {"name": "b"}, "spec": {"signerName": signer, "trustBundle": "x"}});
    let mut owned = of("example.com/one");
    owned["metadata"]["ownerReferences"] = json!([{"name": "x"}]);
    let mut other = of("example.com/one");
    other["spec"]["trustBundle"] = json!("y");
    for (new, old, granted, passes) in [
        (of(""), None, Granted("sign", ""), true),
        (of("example.com/one"), None, Granted("attest", "example.com/one"), true),
        (of("example.com/one"), None, Granted("attest", "example.com/*"), true),
        (of("example.com/one"), None, Granted("sign", "example.com/one"), false),
        (of("example.com/one"), None, Granted("attest", "example.com/two"), false),
        (owned, Some(of("example.com/one")), Granted("", ""), true),
        (other, Some(of("example.com/one")), Granted("", ""), false),
    ] {
        let (mut object, mut warnings): (Value, _) = (new.clone(), Vec::new());
        let operation = if old.is_some() { Operation::Update } else { Operation::Create };
        let mut request = request(operation, CLUSTERTRUSTBUNDLES, "", "b", &mut object, &mut warnings);
        request.old = old.as_ref();
        let verdict = ClusterTrustBundleAttest.validate(&mut request, &granted);
        assert_eq!(verdict.is_ok(), passes, "{new} {verdict:?}");
    }
}
