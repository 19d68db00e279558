use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::left;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn a_disruption_that_does_not_come_is_taken_back() {
    for (status, reason, phase, deleted, now, expected) in [
        ("True", "EvictionByEvictionAPI", "Running", false, 1000, Some(120)),
        ("True", "EvictionByEvictionAPI", "Pending", false, 1100, Some(20)),
        ("True", "PreemptionByScheduler", "Running", false, 2000, Some(0)),
        ("True", "TerminationByKubelet", "Running", false, 2000, None),
        ("True", "EvictionByEvictionAPI", "Failed", false, 2000, None),
        ("True", "EvictionByEvictionAPI", "Running", true, 2000, None),
        ("False", "", "Running", false, 2000, None),
    ] {
        let mut value = json!({"metadata": {"name": "p"}, "status": {"phase": phase, "conditions": [
            {"type": "DisruptionTarget", "status": status, "reason": reason, "lastTransitionTime": at(1000)},
        ]}});
        if deleted {
            value["metadata"]["deletionTimestamp"] = json!(at(1000));
        }
        let pod: Pod = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(left(&pod, at(now)).map(|left| left.as_secs()), expected, "{value}");
    }
}
