use api::resources::{NODES, PODCERTIFICATEREQUESTS, PODS, SERVICEACCOUNTS};
use apimachinery::{Admission, Operation, UserInfo};
use serde_json::{Value, json};

use crate::NodeRestriction;
use crate::tests::{World, request};

fn verdict(change: &Value) -> Result<(), String> {
    let projected = json!({"sources": [{"podCertificate": {"signerName": "example.com/s"}}]});
    let pod = |name: &str, node: &str| {
        let spec = json!({"nodeName": node, "serviceAccountName": "default", "volumes": [{"projected": projected}]});
        json!({"metadata": {"name": name, "namespace": "dev", "uid": format!("uid-{name}")}, "spec": spec})
    };
    let world = World::of(&[
        (NODES, &[json!({"metadata": {"name": "n", "uid": "uid-n"}})]),
        (PODS, &[pod("web", "n"), pod("far", "m")]),
        (SERVICEACCOUNTS, &[json!({"metadata": {"name": "default", "namespace": "dev", "uid": "uid-default"}})]),
    ]);
    let mut object = json!({"metadata": {"namespace": "dev"}, "spec": {
        "signerName": "example.com/s", "podName": "web", "podUID": "uid-web", "nodeName": "n", "nodeUID": "uid-n",
        "serviceAccountName": "default", "serviceAccountUID": "uid-default",
    }});
    for (key, value) in change.as_object().into_iter().flatten() {
        object["spec"][key] = value.clone();
    }
    let user = UserInfo::new("system:node:n", &["system:nodes"]);
    let mut warnings = Vec::new();
    let mut request = request(Operation::Create, PODCERTIFICATEREQUESTS, "dev", "", &mut object, &mut warnings);
    request.user = &user;
    NodeRestriction.admit(&mut request, &world).map_err(|error| error.message)
}

#[test]
fn a_node_asks_for_its_own_pods_only() {
    let forbidden = "podcertificaterequests.certificates.k8s.io is forbidden:";
    for (change, expected) in [
        (json!({}), None),
        (
            json!({"nodeName": "m"}),
            Some(format!(
                "{forbidden} PodCertificateRequest.Spec.NodeName=\"m\", which is not the requesting node \"n\""
            )),
        ),
        (
            json!({"podName": "far", "podUID": "uid-far"}),
            Some(format!(
                "{forbidden} pod \"dev/far\" is not running on node \"n\" named in the PodCertificateRequest"
            )),
        ),
        (
            json!({"podUID": "other"}),
            Some(
                "Internal error occurred: PodCertificateRequest for pod \"dev/web\" contains pod UID (\"other\") which differs \
                 from running pod \"uid-web\""
                    .to_owned(),
            ),
        ),
        (
            json!({"serviceAccountName": "admin"}),
            Some(format!(
                "{forbidden} PodCertificateRequest for pod \"dev/web\" contains serviceAccountName (\"admin\") that differs \
                 from running pod (\"default\")"
            )),
        ),
        (
            json!({"signerName": "example.com/t"}),
            Some(format!(
                "{forbidden} pod \"dev/web\" does not mount a podCertificate projected volume for signer \"example.com/t\""
            )),
        ),
    ] {
        assert_eq!(verdict(&change).err(), expected, "{change}");
    }
}
