use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use serde_json::{Value, json};

use super::{Found, Volumes};

fn claim(version: &str, annotations: Value, volume: &str) -> Arc<PersistentVolumeClaim> {
    let meta = json!({"name": "data", "namespace": "default", "uid": "1", "resourceVersion": version,
        "annotations": annotations});
    let value = json!({"metadata": meta, "spec": {"volumeName": volume}});
    Arc::new(serde_json::from_value(value).unwrap())
}

fn volume(version: &str, reference: Value) -> Arc<PersistentVolume> {
    let value = json!({"metadata": {"name": "v", "resourceVersion": version}, "spec": {"claimRef": reference}});
    Arc::new(serde_json::from_value(value).unwrap())
}

fn node(name: &str) -> Node {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

/// What is known of both objects.
fn both(claim: Arc<PersistentVolumeClaim>, volume: Arc<PersistentVolume>) -> Volumes {
    let mut volumes = Volumes::default();
    volumes.set_claim(claim);
    volumes.set_volume(volume);
    volumes
}

#[test]
fn what_is_assumed_holds_until_the_server_says_more_or_nothing_came_of_it() {
    let (claim, free) = (claim("1", Value::Null, ""), volume("2", Value::Null));
    let taken = |volumes: &Volumes| volumes.volume("v").unwrap().spec.as_ref().unwrap().claim_ref.is_some();
    let found = || Found { bindings: vec![(claim.clone(), free.clone())], provisions: vec![] };
    let mut volumes = both(claim.clone(), free.clone());
    let reservation = volumes.reserve(found(), "a");
    assert!(taken(&volumes) && volumes.volumes().all(|volume| volume.spec.as_ref().unwrap().claim_ref.is_some()));
    let annotations = reservation.bindings[0].volume.metadata.annotations.clone().unwrap();
    assert_eq!(annotations["pv.kubernetes.io/bound-by-controller"], "yes");
    volumes.set_volume(free.clone());
    assert!(taken(&volumes), "the same once more is no news");
    volumes.release(&reservation);
    assert!(!taken(&volumes));
    volumes.reserve(found(), "a");
    volumes.set_volume(volume("3", Value::Null));
    assert!(!taken(&volumes), "somebody has written it meanwhile");
    volumes.reserve(found(), "a");
    assert!(!taken(&volumes), "it was decided on what is past");
}

#[test]
fn a_volume_that_was_meant_for_the_claim_stays_the_users() {
    let meant = volume("2", json!({"name": "data", "namespace": "default"}));
    let claim = claim("1", Value::Null, "");
    let found = Found { bindings: vec![(claim.clone(), meant.clone())], provisions: vec![] };
    let reservation = both(claim, meant).reserve(found, "a");
    let bound = &reservation.bindings[0].volume;
    assert_eq!(bound.metadata.annotations, None);
    assert_eq!(bound.spec.as_ref().unwrap().claim_ref.as_ref().unwrap().uid.as_deref(), Some("1"));
}

#[test]
fn a_pod_waits_until_its_claims_are_bound_or_can_not_be() {
    let selected = |node: &str| json!({"volume.kubernetes.io/selected-node": node});
    let done = json!({"volume.kubernetes.io/selected-node": "a", "pv.kubernetes.io/bind-completed": "yes"});
    let check = |now: Arc<PersistentVolumeClaim>, expected: Result<bool, &str>| {
        let begun = claim("1", Value::Null, "");
        let mut volumes = both(begun.clone(), volume("2", Value::Null));
        let reservation = volumes.reserve(Found { bindings: vec![], provisions: vec![begun] }, "a");
        volumes.set_claim(now);
        assert_eq!(volumes.is_bound(&reservation, &node("a")), expected.map_err(str::to_owned));
    };
    check(claim("2", selected("a"), ""), Ok(false));
    check(claim("2", selected("a"), "v"), Ok(false));
    check(claim("2", done.clone(), "not-seen-yet"), Ok(false));
    check(claim("2", done, "v"), Ok(true));
    check(claim("2", json!({}), ""), Err("provisioning failed for PVC \"data\""));
    check(claim("2", Value::Null, ""), Err("selectedNode annotation reset for PVC \"data\""));
    let begun = claim("1", Value::Null, "");
    let mut volumes = both(begun.clone(), volume("2", Value::Null));
    let reservation =
        volumes.reserve(Found { bindings: vec![(begun, volume("2", Value::Null))], provisions: vec![] }, "a");
    assert_eq!(volumes.is_bound(&reservation, &node("a")), Err("ClaimRef got reset for pv \"v\"".to_owned()));
    volumes.set_volume(volume("3", json!({"name": "data", "namespace": "default", "uid": "1"})));
    assert_eq!(volumes.is_bound(&reservation, &node("a")), Ok(false));
    volumes.remove_claim("default/data");
    let missing = "failed to check binding: persistentvolumeclaims \"default/data\" not found";
    assert_eq!(volumes.is_bound(&reservation, &node("a")), Err(missing.to_owned()));
}
