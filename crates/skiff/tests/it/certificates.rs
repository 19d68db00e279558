//! Certificates for people: upstream's task "Issue a Certificate for a Kubernetes API Client Using a CertificateSigningRequest".

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::json;

use crate::cluster::Cluster;

#[test]
fn a_user_gets_a_certificate_and_the_rights_of_its_name() {
    let cluster = Cluster::prepare();
    cluster.start_on_own_port();
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "ann");
    let request = params.serialize_request(&key).and_then(|request| request.pem()).expect("a request");
    let manifest = json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "ann"},
        "spec": {
            "request": k8s_openapi::ByteString(request.into_bytes()),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "expirationSeconds": 86400,
            "usages": ["client auth"],
        },
    });
    cluster.kubectl_reading(&["apply", "-f", "-"], &manifest.to_string()).ok();
    assert!(cluster.kubectl(&["get", "csr"]).ok().contains("Pending"));
    let said = cluster.kubectl(&["certificate", "approve", "ann"]).ok();
    assert_eq!(said, "certificatesigningrequest.certificates.k8s.io/ann approved\n");
    let denied = cluster.kubectl(&["certificate", "deny", "ann"]).failed();
    assert_eq!(denied, "error: certificate signing request \"ann\" is already Approved\n");
    let none = cluster.kubectl(&["certificate", "approve"]).failed();
    assert_eq!(none, "error: one or more CSRs must be specified as <name> or -f <filename>\n");
    cluster.kubectl(&["wait", "--for=jsonpath={.status.certificate}", "csr/ann", "--timeout=30s"]).ok();
    assert!(cluster.kubectl(&["get", "csr"]).ok().contains("Approved,Issued"));
    let template = "-o=go-template={{.status.certificate | base64decode}}";
    let certificate = cluster.kubectl(&["get", "csr", "ann", template]).ok();
    cluster.write("ann.crt", certificate.as_bytes());
    cluster.write("ann.key", key.serialize_pem().as_bytes());
    let files = [("--client-certificate", cluster.path("ann.crt")), ("--client-key", cluster.path("ann.key"))]
        .map(|(flag, path)| format!("{flag}={path}"));
    cluster.kubectl(&["config", "set-credentials", "ann", &files[0], &files[1], "--embed-certs"]).ok();
    let who = cluster.kubectl(&["--user=ann", "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]).ok();
    assert_eq!(who, "ann");
    let refused = cluster.kubectl(&["--user=ann", "get", "pods"]).failed();
    assert!(refused.contains("User \"ann\" cannot list resource \"pods\""), "{refused}");
    let role = ["create", "role", "reader", "--verb=get,list", "--resource=po,deployments.apps/scale"];
    assert_eq!(cluster.kubectl(&role).ok(), "role.rbac.authorization.k8s.io/reader created\n");
    let rules = cluster.get(&["role", "reader"])["rules"].clone();
    let expected = json!([
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "list"]},
    ]);
    assert_eq!(rules, expected);
    cluster.kubectl(&["create", "rolebinding", "ann", "--role=reader", "--user=ann"]).ok();
    assert_eq!(cluster.kubectl(&["--user=ann", "get", "pods", "-o", "name"]).ok(), "");
}
