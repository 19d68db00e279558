use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{Observed, Plan, Scale, needs_scale, plan};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn budget(spec: &Value, status: &Value) -> PodDisruptionBudget {
    let mut all = json!({"selector": {"matchLabels": {"app": "web"}}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": {"name": "b", "generation": 3}, "spec": all, "status": status})).unwrap()
}

/// Pods `p0`, `p1` … from letters: `r`eady, `n`ot ready, `d`eleted.
fn pods(letters: &str) -> Vec<Arc<Pod>> {
    let made = letters.chars().enumerate().map(|(index, letter)| {
        let mut value = json!({"metadata": {"name": format!("p{index}")}, "status": {"conditions": [
            {"type": "Ready", "status": if letter == 'n' { "False" } else { "True" }},
        ]}});
        if letter == 'd' {
            value["metadata"]["deletionTimestamp"] = json!(at(1000));
        }
        Arc::new(serde_json::from_value(value).unwrap())
    });
    made.collect()
}

fn made(spec: &Value, status: &Value, letters: &str, scale: Result<i32, &str>, now: i64) -> Plan {
    let scale = scale.map(|replicas| Scale { replicas, unmanaged: false }).map_err(str::to_owned);
    plan(&Observed { budget: &budget(spec, status), pods: &pods(letters), scale, now: at(now) })
}

/// Allowed, healthy, desired, expected.
fn numbers(plan: &Plan) -> [i32; 4] {
    let status = &plan.status;
    [status.disruptions_allowed, status.current_healthy, status.desired_healthy, status.expected_pods]
        .map(Option::unwrap_or_default)
}

#[test]
fn what_is_allowed_follows_from_what_is_healthy() {
    for (spec, letters, scale, expected) in [
        (json!({"minAvailable": 2}), "rrr", 0, [1, 3, 2, 3]),
        (json!({"minAvailable": 2}), "rrnd", 0, [0, 2, 2, 4]),
        (json!({"minAvailable": 2}), "", 0, [0, 0, 2, 0]),
        (json!({"minAvailable": 0}), "", 0, [0, 0, 0, 0]),
        (json!({"minAvailable": "50%"}), "rrr", 3, [1, 3, 2, 3]),
        (json!({"minAvailable": "100%"}), "rrr", 3, [0, 3, 3, 3]),
        (json!({"maxUnavailable": 1}), "rrr", 3, [1, 3, 2, 3]),
        (json!({"maxUnavailable": 1}), "rrn", 3, [0, 2, 2, 3]),
        (json!({"maxUnavailable": 9}), "rr", 3, [2, 2, 0, 3]),
        (json!({"maxUnavailable": "34%"}), "rrrr", 4, [2, 4, 2, 4]),
        (json!({"maxUnavailable": "0%"}), "rrrr", 4, [0, 4, 4, 4]),
        (json!({}), "rr", 2, [0, 2, 0, 0]),
    ] {
        let plan = made(&spec, &json!({}), letters, Ok(scale), 1000);
        assert_eq!(numbers(&plan), expected, "{spec} {letters}");
        let condition = &plan.status.conditions.as_ref().unwrap()[0];
        let told = (condition.status.as_str(), condition.reason.as_str());
        assert_eq!(told, if expected[0] > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") });
        assert_eq!((plan.status.observed_generation, condition.observed_generation), (Some(3), Some(3)));
        assert_eq!(plan.said.iter().map(|said| said.reason.as_str()).collect::<Vec<_>>().join(" "), {
            if letters.is_empty() { "NoPods" } else { "" }
        });
    }
}

#[test]
fn an_evicted_pod_is_expected_to_go() {
    let spec = json!({"minAvailable": 1});
    let status = json!({"disruptedPods": {"p0": at(1000), "p1": at(990), "p2": at(1000), "gone": at(1000)}});
    let soon = made(&spec, &status, "rrdr", Ok(0), 1030);
    assert_eq!(numbers(&soon), [0, 1, 1, 4]);
    assert_eq!(soon.status.disrupted_pods.as_ref().unwrap().keys().collect::<Vec<_>>(), ["p0", "p1"]);
    assert_eq!(soon.requeue_after.map(|after| after.as_secs()), Some(80));
    let later = made(&spec, &status, "rrdr", Ok(0), 1115);
    assert_eq!(numbers(&later), [1, 2, 1, 4]);
    assert_eq!(later.not_deleted.len(), 1);
    assert_eq!(later.requeue_after.map(|after| after.as_secs()), Some(5));
    assert_eq!(made(&spec, &status, "rrdr", Ok(0), 1130).status.disrupted_pods, None);
}

#[test]
fn what_can_not_be_told_allows_nothing() {
    let before = json!({
        "disruptionsAllowed": 2, "currentHealthy": 3, "desiredHealthy": 1, "expectedPods": 3, "observedGeneration": 2,
        "conditions": [{
            "type": "DisruptionAllowed", "status": "True", "reason": "SufficientPods", "message": "",
            "lastTransitionTime": at(10), "observedGeneration": 2,
        }],
    });
    let failed = made(&json!({"maxUnavailable": 1}), &before, "rrr", Err("found no controllers for pod \"p0\""), 1000);
    assert_eq!(numbers(&failed), [0, 3, 1, 3]);
    let condition = &failed.status.conditions.as_ref().unwrap()[0];
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "SyncFailed"));
    assert_eq!(condition.message, "found no controllers for pod \"p0\"");
    assert_eq!(condition.last_transition_time.0, at(1000));
    assert_eq!(failed.said[0].reason, "CalculateExpectedPodCountFailed");
    let status = serde_json::to_value(&failed.status).unwrap();
    let again = made(&json!({"maxUnavailable": 1}), &status, "rrr", Ok(3), 2000);
    assert_eq!(again.status.conditions.as_ref().unwrap()[0].message, "");
}

#[test]
fn only_shares_need_the_owners() {
    for (spec, needs) in [
        (json!({"minAvailable": 1}), false),
        (json!({"minAvailable": "10%"}), true),
        (json!({"maxUnavailable": 1}), true),
        (json!({}), false),
    ] {
        assert_eq!(needs_scale(&budget(&spec, &json!({}))), needs, "{spec}");
    }
}

#[test]
fn pods_of_nobody_are_told() {
    let observed = Observed {
        budget: &budget(&json!({"maxUnavailable": 1}), &json!({})),
        pods: &pods("rr"),
        scale: Ok(Scale { replicas: 0, unmanaged: true }),
        now: at(1000),
    };
    let said = plan(&observed).said;
    assert_eq!(said[0].reason, "UnmanagedPods");
    let selector =
        "&LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:[]LabelSelectorRequirement{},}";
    assert!(
        said[0].message.starts_with(&format!("Pods selected by this PodDisruptionBudget (selector: {selector}) were"))
    );
}
