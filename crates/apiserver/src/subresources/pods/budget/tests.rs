use serde_json::{Value, json};

use super::{ignores_unhealthy, spend};

fn budget(status: Value) -> Value {
    let mut all = json!({"observedGeneration": 2, "currentHealthy": 3, "desiredHealthy": 2, "expectedPods": 3});
    all.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
    json!({"metadata": {"name": "b", "generation": 2}, "spec": {}, "status": all})
}

#[test]
fn an_eviction_takes_one_disruption() {
    let spent = spend(&budget(json!({"disruptionsAllowed": 2})), "p", "now").unwrap();
    assert_eq!((&spent["status"]["disruptionsAllowed"], &spent["status"]["conditions"]), (&json!(1), &Value::Null));
    assert_eq!(spent["status"]["disruptedPods"], json!({"p": "now"}));
    let last = spend(&spent, "q", "later").unwrap();
    assert_eq!(last["status"]["disruptedPods"], json!({"p": "now", "q": "later"}));
    assert_eq!(last["status"]["conditions"][0]["reason"], "InsufficientPods");
}

#[test]
fn a_refusal_says_why() {
    let disallowed = |reason: &str, message: &str| json!([{"type": "DisruptionAllowed", "status": "False", "reason": reason, "message": message}]);
    let refused = "Cannot evict pod as it would violate the pod's disruption budget.";
    let many: Value =
        (0..2001).map(|index| (format!("p{index}"), json!("now"))).collect::<serde_json::Map<_, _>>().into();
    for (status, code, retry, message, cause) in [
        (
            json!({"disruptionsAllowed": 1, "observedGeneration": 1}),
            429,
            10,
            refused,
            "The disruption budget b is still being processed by the server.",
        ),
        (
            json!({"disruptionsAllowed": 0, "currentHealthy": 2}),
            429,
            0,
            refused,
            "The disruption budget b needs 2 healthy pods and has 2 currently",
        ),
        (
            json!({"disruptionsAllowed": 0, "conditions": disallowed("SyncFailed", "why")}),
            429,
            0,
            refused,
            "The disruption budget b does not allow evicting pods currently because it failed sync: why",
        ),
        (
            json!({"disruptionsAllowed": 0, "conditions": disallowed("Other", "why")}),
            429,
            0,
            refused,
            "The disruption budget b does not allow evicting pods currently (Other): why",
        ),
        (
            json!({"disruptionsAllowed": 0, "conditions": disallowed("Other", "")}),
            429,
            0,
            refused,
            "The disruption budget b does not allow evicting pods currently",
        ),
        (
            json!({"disruptionsAllowed": -1}),
            403,
            0,
            "poddisruptionbudget.policy \"b\" is forbidden: pdb disruptions allowed is negative",
            "The disruption budget b does not allow evicting pods currently: pdb disruptions allowed is negative",
        ),
        (
            json!({"disruptionsAllowed": 1, "disruptedPods": many}),
            403,
            0,
            "poddisruptionbudget.policy \"b\" is forbidden: DisruptedPods map too big - too many evictions not confirmed \
             by PDB controller",
            "The disruption budget b does not allow evicting pods currently: too many pending evictions not confirmed by \
             PDB controller",
        ),
    ] {
        let error = spend(&budget(status), "p", "now").unwrap_err();
        assert_eq!((error.code, error.retry_after_seconds), (code, retry));
        assert_eq!((error.message.as_str(), error.causes[0].message.as_str()), (message, cause));
        assert_eq!(error.causes[0].reason, "DisruptionBudget");
    }
}

#[test]
fn a_pod_that_is_not_ready_may_go_if_the_others_suffice() {
    for (policy, healthy, desired, expected) in [
        (json!(null), 3, 2, true),
        (json!(null), 1, 2, false),
        (json!(null), 0, 0, false),
        (json!("IfHealthyBudget"), 1, 2, false),
        (json!("AlwaysAllow"), 1, 2, true),
    ] {
        let mut budget = budget(json!({"currentHealthy": healthy, "desiredHealthy": desired}));
        budget["spec"]["unhealthyPodEvictionPolicy"] = policy;
        assert_eq!(ignores_unhealthy(&budget), expected, "{budget}");
    }
}
