use k8s_openapi::api::batch::v1::PodFailurePolicy;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{Verdict, verdict};

fn exited(name: &str, code: i32) -> Value {
    json!({
        "name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": code}},
    })
}

/// Rules, the Pod's status, what follows.
fn check(rules: Value, status: Value, expected: &Verdict) {
    let policy: PodFailurePolicy = serde_json::from_value(json!({"rules": rules})).unwrap();
    let pod: Pod =
        serde_json::from_value(json!({"metadata": {"namespace": "ns", "name": "p"}, "status": status})).unwrap();
    assert_eq!(verdict(Some(&policy), &pod), *expected, "{rules} {status}");
}

#[test]
fn the_first_rule_that_matches_decides() {
    let main = |code| json!({"containerStatuses": [exited("main", code), exited("side", 0)]});
    let on = |action: &str, operator: &str, values: &[i32]| json!({"action": action, "onExitCodes": {"operator": operator, "values": values}});
    let only_side =
        json!({"action": "FailJob", "onExitCodes": {"containerName": "side", "operator": "NotIn", "values": [1]}});
    let disrupted = json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]});
    let condition = |status: &str| json!({"conditions": [{"type": "DisruptionTarget", "status": status}]});
    for (rules, status, expected) in [
        (json!([]), main(1), Verdict::Count),
        (json!([on("Ignore", "In", &[3, 1])]), main(1), Verdict::Ignore),
        (json!([on("Ignore", "In", &[3])]), main(1), Verdict::Count),
        (json!([on("FailIndex", "NotIn", &[3])]), main(1), Verdict::FailIndex),
        (json!([on("Count", "In", &[1]), on("Ignore", "NotIn", &[9])]), main(1), Verdict::Count),
        (json!([on("Ignore", "In", &[0])]), main(0), Verdict::Count),
        (json!([only_side]), main(7), Verdict::Count),
        (json!([disrupted]), condition("True"), Verdict::Ignore),
        (json!([disrupted]), condition("False"), Verdict::Count),
        (json!([on("Ignore", "NotIn", &[1]), disrupted]), json!({}), Verdict::Count),
    ] {
        check(rules, status, &expected);
    }
}

#[test]
fn a_job_fails_with_what_was_seen() {
    let fail = json!({"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}});
    let ignore = json!({"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1]}});
    check(
        json!([ignore, fail]),
        json!({"containerStatuses": [exited("main", 0)], "initContainerStatuses": [exited("setup", 42)]}),
        &Verdict::FailJob(
            "Container setup for pod ns/p failed with exit code 42 matching FailJob rule at index 1".to_owned(),
        ),
    );
    check(
        json!([{"action": "FailJob", "onPodConditions": [{"type": "ConfigIssue", "status": "True"}]}]),
        json!({"conditions": [{"type": "ConfigIssue", "status": "True"}]}),
        &Verdict::FailJob("Pod ns/p has condition ConfigIssue matching FailJob rule at index 0".to_owned()),
    );
}
