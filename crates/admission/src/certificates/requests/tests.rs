use api::resources::CERTIFICATESIGNINGREQUESTS;
use apimachinery::{Admission, Operation, Reader, UserInfo};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use registry::pem;
use serde_json::{Value, json};

use super::super::tests::Granted;
use super::{CertificateApproval, CertificateRequester, CertificateSigning, CertificateSubjectRestriction};
use crate::tests::{World, request};

fn create(object: &mut Value, user: &UserInfo) -> Result<(), String> {
    let mut warnings = Vec::new();
    let mut request = request(Operation::Create, CERTIFICATESIGNINGREQUESTS, "", "r", object, &mut warnings);
    request.user = user;
    let world = World::default();
    let admitted = CertificateRequester.admit(&mut request, &world);
    let judged = admitted.and_then(|()| CertificateSubjectRestriction.validate(&mut request, &world));
    judged.map_err(|error| error.message)
}

#[test]
fn who_asks_is_written_down() {
    let mut object = json!({"spec": {"username": "somebody", "groups": ["system:masters"], "uid": "1"}});
    create(&mut object, &UserInfo::new("jane", &["dev"])).expect("it is taken");
    assert_eq!(object["spec"], json!({"username": "jane", "groups": ["dev", "system:authenticated"]}));
}

#[test]
fn a_client_certificate_makes_nobody_all_powerful() {
    let asks = |organization: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, organization);
        let stub = params.serialize_request(&KeyPair::generate().expect("a key")).expect("a request");
        let request = STANDARD.encode(pem::encode("CERTIFICATE REQUEST", stub.der()));
        let mut object = json!({"spec": {"request": request, "signerName": "kubernetes.io/kube-apiserver-client"}});
        create(&mut object, &UserInfo::new("jane", &[]))
    };
    assert_eq!(asks("dev"), Ok(()));
    let refused = "certificatesigningrequests.certificates.k8s.io \"r\" is forbidden: use of \
                   kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed";
    assert_eq!(asks("system:masters"), Err(refused.to_owned()));
}

#[test]
fn who_approves_and_who_signs_needs_permission() {
    let old = json!({"spec": {"signerName": "example.com/one"}});
    let run = |plugin: &dyn Admission, door: &'static str, change: &Value, granted: Granted| {
        let (mut object, mut warnings) = (old.clone(), Vec::new());
        object["status"] = change.clone();
        let resource = CERTIFICATESIGNINGREQUESTS;
        let mut request = request(Operation::Update, resource, "", "r", &mut object, &mut warnings);
        (request.old, request.subresource) = (Some(&old), door);
        let reader: &dyn Reader = &granted;
        plugin.validate(&mut request, reader).is_ok()
    };
    let decided = json!({"conditions": [{"type": "Approved"}]});
    for (plugin, door, verb) in
        [(&CertificateApproval as &dyn Admission, "approval", "approve"), (&CertificateSigning, "status", "sign")]
    {
        assert!(run(plugin, door, &decided, Granted(verb, "example.com/one")));
        assert!(run(plugin, door, &decided, Granted(verb, "example.com/*")));
        assert!(!run(plugin, door, &decided, Granted("other", "example.com/one")));
        assert!(!run(plugin, door, &decided, Granted(verb, "example.com/two")));
    }
    assert!(run(&CertificateSigning, "status", &json!(null), Granted("", "")), "nothing was signed");
}
