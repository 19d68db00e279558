//! Which trust bundle there should be. Pure.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Who has signed the API server's certificate.
pub(super) const SIGNER: &str = "kubernetes.io/kube-apiserver-serving";
/// Bytes of the digest in a bundle's name.
const DIGEST_BYTES: usize = 12;

/// What is to be done.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// The bundle is not there.
    pub(super) create: bool,
    /// The bundle as it should be, if it says something else.
    pub(super) update: Option<Value>,
    /// Bundles of authorities that were before.
    pub(super) delete: Vec<String>,
}

/// The name of the bundle of an authority.
pub(super) fn bundle_name(authority: &str) -> String {
    let digest = Sha256::digest(authority.as_bytes());
    let digest: String = digest.iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!("{}:{digest}", SIGNER.replace('/', ":"))
}

/// Decides, given the signer's bundles.
pub(super) fn plan(observed: &[Value], authority: &str) -> Plan {
    let wanted = bundle_name(authority);
    let name = |bundle: &Value| bundle["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let own = observed.iter().find(|bundle| name(bundle) == wanted);
    let update = own.filter(|bundle| bundle["spec"]["trustBundle"] != authority).map(|bundle| {
        let mut bundle = bundle.clone();
        bundle["spec"]["trustBundle"] = json!(authority);
        bundle
    });
    let delete = observed.iter().map(name).filter(|name| *name != wanted).collect();
    Plan { create: own.is_none(), update, delete }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Plan, bundle_name, plan};

    #[test]
    fn there_is_one_bundle_of_the_authority_of_now() {
        let name = bundle_name("abc");
        assert_eq!(name, "kubernetes.io:kube-apiserver-serving:ba7816bf8f01cfea414140de");
        let bundle = |name: &str, trust: &str| json!({"metadata": {"name": name}, "spec": {"trustBundle": trust}});
        let same = bundle(&name, "abc");
        for (observed, expected) in [
            (vec![], Plan { create: true, ..Plan::default() }),
            (vec![same.clone()], Plan::default()),
            (vec![bundle(&name, "x")], Plan { update: Some(same.clone()), ..Plan::default() }),
            (vec![bundle("old", "x"), same.clone()], Plan { delete: vec!["old".to_owned()], ..Plan::default() }),
        ] {
            assert_eq!(plan(&observed, "abc"), expected, "{observed:?}");
        }
    }
}
