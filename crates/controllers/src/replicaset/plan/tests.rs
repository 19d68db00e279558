use std::sync::Arc;
use std::time::Duration;

use apimachinery::ApiError;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{Observed, Plan, PodChange, plan};

const NOW: &str = "2026-01-01T01:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn set(replicas: i32, status: Value) -> ReplicaSet {
    let template = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}});
    serde_json::from_value(json!({
        "metadata": {"name": "web", "generation": 2},
        "spec": {"replicas": replicas, "minReadySeconds": 15, "selector": {"matchLabels": {"app": "web"}}, "template": template},
        "status": status,
    }))
    .unwrap()
}

/// A Pod from `name phase [readiness [leaving]]` words, as `a Running ready`.
fn pod(words: &str) -> Arc<Pod> {
    let word = |at: usize| words.split(' ').nth(at).unwrap_or_default();
    let ready = if word(2) == "ready" { "True" } else { "False" };
    let mut pod = json!({
        "metadata": {"name": word(0), "uid": word(0), "labels": {"app": "web", "tier": "front"}},
        "spec": {"nodeName": "n", "containers": []},
        "status": {"phase": word(1), "conditions": [
            {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:59:50Z"}]},
    });
    if word(3) == "leaving" {
        pod["metadata"]["deletionTimestamp"] = json!(NOW);
    }
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn look(set: &ReplicaSet, pods: &[&str]) -> Plan {
    let pods: Vec<Arc<Pod>> = pods.iter().map(|words| pod(words)).collect();
    plan(&Observed { set, pods: &pods, now: now() })
}

#[test]
fn the_number_of_pods_is_made_right() {
    for (replicas, pods, wanted) in [
        (2, vec![], "+2"),
        (2, vec!["a Running ready"], "+1"),
        (1, vec!["a Running ready"], ""),
        (1, vec!["a Failed", "b Succeeded", "c Running no leaving"], "+1"),
        (1, vec!["a Running ready", "b Pending", "c Running"], "-b -c"),
        (600, vec![], "+500"),
    ] {
        let shown = match look(&set(replicas, json!(null)), &pods).pods {
            PodChange::None => String::new(),
            PodChange::Create(count) => format!("+{count}"),
            PodChange::Delete(pods) => {
                let names = pods.iter().map(|pod| format!("-{}", pod.metadata.name.as_deref().unwrap()));
                names.collect::<Vec<_>>().join(" ")
            }
        };
        assert_eq!(shown, wanted, "{replicas} of {pods:?}");
    }
}

#[test]
fn the_status_counts() {
    let plan = look(&set(3, json!(null)), &["a Running ready", "b Running", "c Running no leaving", "d Failed"]);
    assert_eq!(
        serde_json::to_value(plan.status(None, now())).unwrap(),
        json!({"replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 1, "terminatingReplicas": 1,
               "observedGeneration": 2})
    );
    assert_eq!(plan.requeue_after, Some(Duration::from_secs(5)), "ready for 10 of 15 s");
}

#[test]
fn a_failure_is_a_condition_until_it_is_over() {
    let refused = ApiError::forbidden("", "pods", "web-x", "exceeded quota");
    let status = look(&set(1, json!(null)), &[]).status(Some(&refused), now());
    let condition = json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                           "message": refused.message, "lastTransitionTime": NOW});
    assert_eq!(json!(status.conditions), json!([condition]));
    let failed = set(1, json!({"replicas": 0, "conditions": [condition]}));
    let later = ApiError::forbidden("", "pods", "web-x", "something else");
    assert_eq!(json!(look(&failed, &[]).status(Some(&later), now()).conditions), json!([condition]), "the first stays");
    assert_eq!(look(&failed, &[]).status(None, now()).conditions, None);
}
