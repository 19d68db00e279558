use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use registry::pem;
use serde_json::{Value, json};

use super::{Signing, approvable, signing};

/// A request of `name` in `organization` for a host `dns`, if that is not empty.
fn request(signer: &str, name: &str, organization: &str, dns: &str, usages: &[&str]) -> Value {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, organization);
    if !dns.is_empty() {
        params.subject_alt_names = vec![SanType::DnsName(dns.try_into().expect("a name"))];
    }
    let stub = params.serialize_request(&KeyPair::generate().expect("a key")).expect("a request");
    let text = STANDARD.encode(pem::encode("CERTIFICATE REQUEST", stub.der()));
    json!({"spec": {"request": text, "signerName": signer, "usages": usages, "username": "system:node:n"}})
}

const KUBELET: [&str; 3] = ["digital signature", "key encipherment", "client auth"];
const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";

#[test]
fn kubelets_are_approved_by_their_permissions() {
    let of = |name: &str, organization: &str, dns: &str| {
        let request = request(KUBELET_CLIENT, name, organization, dns, &KUBELET);
        approvable(&request).iter().map(|permission| permission.subresource).collect::<Vec<_>>()
    };
    assert_eq!(of("system:node:n", "system:nodes", ""), ["selfnodeclient", "nodeclient"]);
    assert_eq!(of("system:node:m", "system:nodes", ""), ["nodeclient"]);
    assert_eq!(of("jane", "system:nodes", ""), Vec::<&str>::new());
    assert_eq!(of("system:node:n", "system:masters", ""), Vec::<&str>::new());
    assert_eq!(of("system:node:n", "system:nodes", "n.example.com"), Vec::<&str>::new());
    let mut decided = request(KUBELET_CLIENT, "system:node:n", "system:nodes", "", &KUBELET);
    decided["status"] = json!({"conditions": [{"type": "Denied", "status": "True"}]});
    assert_eq!(approvable(&decided), vec![]);
}

#[test]
fn signers_have_their_rules() {
    let serving = ["digital signature", "server auth"];
    let (node, nodes) = ("system:node:n", "system:nodes");
    let client = "kubernetes.io/kube-apiserver-client";
    for (mut request, expected) in [
        (request(KUBELET_CLIENT, node, nodes, "", &KUBELET), None),
        (request(client, "jane", "dev", "", &["client auth"]), None),
        (request("kubernetes.io/kubelet-serving", node, nodes, "n.example.com", &serving), None),
        (
            request("kubernetes.io/kubelet-serving", node, nodes, "", &serving),
            Some("DNS or IP subjectAltName is required"),
        ),
        (
            request(KUBELET_CLIENT, node, nodes, "", &["client auth"]),
            Some("usages did not match [client auth digital signature key encipherment]"),
        ),
        (
            request(client, "jane", "dev", "", &["server auth"]),
            Some("invalid usage for client certificate: server auth"),
        ),
        (
            request(client, "jane", "dev", "", &["digital signature"]),
            Some("missing required usage for client certificate: client auth"),
        ),
    ] {
        assert_eq!(signing(&request), Signing::None, "nobody has approved it");
        request["status"] = json!({"conditions": [{"type": "Approved", "status": "True"}]});
        match (signing(&request), expected) {
            (Signing::Sign(_), None) => {}
            (Signing::Fail(why), Some(expected)) => assert_eq!(why, expected),
            (other, _) => panic!("{expected:?}: {other:?}"),
        }
        request["spec"]["signerName"] = json!("example.com/s");
        assert_eq!(signing(&request), Signing::None, "it is another signer's");
    }
}
