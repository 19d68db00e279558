use std::time::Duration;

use cri::ContainerId;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::time::Instant;

use super::{Health, SetupFailures, contradicts, known_health};

#[test]
fn the_same_failure_is_told_less_and_less_often() {
    let (mut failures, start) = (SetupFailures::default(), Instant::now());
    let mut told =
        |message: &str, seconds: u64| failures.is_worth_telling(message, start + Duration::from_secs(seconds));
    let times: Vec<u64> = (0..600).filter(|second| told("no such ConfigMap", *second)).collect();
    assert_eq!(times, [0, 1, 2, 4, 8, 16, 32, 64, 128, 250, 372, 494]);
    assert!(told("no such Secret", 601), "another failure is news");
    assert!(!told("no such Secret", 601));
}

#[test]
fn health_is_remembered_of_the_same_run_only() {
    let status = json!({
        "containerStatuses": [
            {"name": "web", "containerID": "skiff://one", "started": true, "ready": true},
            {"name": "slow", "containerID": "skiff://two", "started": false, "ready": false},
        ],
        "initContainerStatuses": [{"name": "sidecar", "containerID": "skiff://three", "started": true, "ready": false}],
    });
    let known = |name: &str, id: &str| known_health(&status, name, &ContainerId(id.to_owned()));
    assert_eq!(known("web", "one"), Some(Health { started: true, ready: true }));
    assert_eq!(known("slow", "two"), Some(Health { started: false, ready: false }));
    assert_eq!(known("sidecar", "three"), Some(Health { started: true, ready: false }));
    assert_eq!(known("web", "zero"), None, "it was restarted meanwhile");
    assert_eq!(known_health(&json!({}), "web", &ContainerId("one".to_owned())), None);
}

/// A Pod with these conditions.
fn pod(conditions: &serde_json::Value) -> Pod {
    serde_json::from_value(json!({"status": {"conditions": conditions}})).expect("a Pod")
}

#[test]
fn others_may_contradict_a_condition_and_add_their_own() {
    let written = json!([{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"}]);
    for (shown, contradiction) in [
        (json!([{"type": "Ready", "status": "False"}, {"type": "Initialized", "status": "True"}]), true),
        (json!([{"type": "Ready", "status": "True"}, {"type": "DisruptionTarget", "status": "True"}]), false),
        (json!(null), false),
    ] {
        assert_eq!(contradicts(&pod(&shown), &written), contradiction, "{shown}");
    }
    assert!(!contradicts(&pod(&written), &json!(null)));
}
