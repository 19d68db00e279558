use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde_json::{Value, json};

use super::{Step, plan};

fn pod(other: Value) -> Pod {
    let template = json!({"metadata": {"labels": {"app": "db"}}, "spec": {"accessModes": ["ReadWriteOnce"]}});
    let volumes = json!([{"name": "config", "configMap": {"name": "c"}}, {"name": "shared",
        "persistentVolumeClaim": {"claimName": "shared"}}, {"name": "data", "ephemeral": {"volumeClaimTemplate": template}}]);
    let mut meta = json!({"name": "p", "namespace": "default", "uid": "1"});
    meta.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": meta, "spec": {"containers": [], "volumes": volumes}})).unwrap()
}

fn owned_by(uid: &str) -> Option<Arc<PersistentVolumeClaim>> {
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid, "controller": true});
    let meta = json!({"name": "p-data", "namespace": "default", "ownerReferences": [owner]});
    Some(Arc::new(serde_json::from_value(json!({"metadata": meta})).unwrap()))
}

#[test]
fn a_claim_is_made_for_each_ephemeral_volume() {
    let steps = plan(&pod(json!({})), |_| None);
    let [(volume, Step::Create { name, claim })] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!((volume.as_str(), name.as_str()), ("data", "p-data"));
    assert_eq!(claim["metadata"]["labels"], json!({"app": "db"}));
    let owner = &claim["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["uid"], &owner["controller"]), (&json!("1"), &json!(true)));
    assert_eq!(claim["spec"]["accessModes"], json!(["ReadWriteOnce"]));
}

#[test]
fn one_that_is_there_must_be_the_pods() {
    let data = |step| vec![("data".to_owned(), step)];
    assert_eq!(plan(&pod(json!({})), |_| owned_by("1")), data(Step::Keep));
    let why = "PVC default/p-data was not created for pod default/p (pod is not owner)";
    assert_eq!(plan(&pod(json!({})), |_| owned_by("2")), data(Step::Refuse(why.to_owned())));
    assert_eq!(plan(&pod(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"})), |_| None), vec![]);
}
