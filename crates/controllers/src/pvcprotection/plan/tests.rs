use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde_json::{Value, json};

use super::{FINALIZER, Step, plan};

fn claim(deleted: bool, conditions: Value) -> PersistentVolumeClaim {
    let deleted = deleted.then_some("2026-01-01T00:00:00Z");
    serde_json::from_value(json!({
        "metadata": {
            "name": "p-data", "namespace": "default", "uid": "c", "finalizers": [FINALIZER, "x/y"],
            "deletionTimestamp": deleted, "ownerReferences": [{
                "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true,
            }],
        },
        "status": {"phase": "Bound", "conditions": conditions},
    }))
    .unwrap()
}

fn pod(node: &str, phase: &str, volume: Value, grace: Option<i64>) -> Vec<Arc<Pod>> {
    let deleted = grace.map(|_| "2026-01-01T00:00:00Z");
    let running =
        json!([{"name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}]);
    let pod = json!({
        "metadata": {
            "name": "p", "namespace": "default", "uid": "u", "deletionTimestamp": deleted,
            "deletionGracePeriodSeconds": grace,
        },
        "spec": {"nodeName": node, "containers": [], "volumes": [volume]},
        "status": {"phase": phase, "containerStatuses": if phase == "Running" { running } else { json!(null) }},
    });
    vec![Arc::new(serde_json::from_value(pod).unwrap())]
}

fn named() -> Value {
    json!({"name": "data", "persistentVolumeClaim": {"claimName": "p-data"}})
}

fn own() -> Value {
    json!({"name": "data", "ephemeral": {}})
}

#[test]
fn a_deleted_claim_goes_when_no_pod_on_a_node_has_it() {
    let gone = vec![Step::Finalizers(vec!["x/y".to_owned()])];
    for (what, pods, wanted) in [
        ("no Pod", vec![], gone.clone()),
        ("a Pod without a node", pod("", "Pending", named(), None), gone.clone()),
        ("a Pod that runs", pod("n", "Running", named(), None), vec![]),
        ("a Pod that has ended", pod("n", "Succeeded", named(), None), vec![]),
        ("a Pod with the claim made for it", pod("n", "Running", own(), None), vec![]),
        ("that Pod, going away", pod("n", "Running", own(), Some(30)), vec![]),
        ("that Pod, when its node is done with it", pod("n", "Succeeded", own(), Some(0)), gone),
    ] {
        assert_eq!(plan(&claim(true, json!(null)), &pods), wanted, "{what}");
    }
}

#[test]
fn a_bound_claim_says_whether_a_pod_wants_it() {
    let said = |status: &str| json!([{"type": "Unused", "status": status}]);
    for (what, conditions, pods, wanted) in [
        ("nothing said, no Pod", json!(null), vec![], vec![Step::Unused(true)]),
        ("nothing said, a Pod", json!(null), pod("", "Pending", named(), None), vec![Step::Unused(false)]),
        ("said", said("True"), vec![], vec![]),
        ("a Pod came", said("True"), pod("n", "Running", named(), None), vec![Step::Unused(false)]),
        ("the Pod has ended", said("False"), pod("n", "Failed", named(), None), vec![Step::Unused(true)]),
        ("the Pod still runs", said("False"), pod("n", "Running", named(), Some(30)), vec![]),
    ] {
        assert_eq!(plan(&claim(false, conditions), &pods), wanted, "{what}");
    }
}

#[test]
fn a_claim_from_before_is_protected() {
    let mut claim = claim(false, json!([{"type": "Unused", "status": "True"}]));
    claim.metadata.finalizers = None;
    assert_eq!(plan(&claim, &[]), [Step::Finalizers(vec![FINALIZER.to_owned()])]);
}
