use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::left;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn time_runs_from_the_end() {
    let condition = |kind: &str, status: &str| json!([{"type": kind, "status": status, "lastTransitionTime": at(100)}]);
    for (ttl, conditions, deleted, now, expected) in [
        (json!(30), condition("Complete", "True"), false, 110, Some(20)),
        (json!(30), condition("Failed", "True"), false, 130, Some(0)),
        (json!(30), condition("Failed", "True"), false, 500, Some(0)),
        (json!(0), condition("Complete", "True"), false, 100, Some(0)),
        // A clock that is behind gives it more time.
        (json!(30), condition("Complete", "True"), false, 90, Some(40)),
        (Value::Null, condition("Complete", "True"), false, 500, None),
        (json!(30), condition("Complete", "False"), false, 500, None),
        (json!(30), condition("Suspended", "True"), false, 500, None),
        (json!(30), condition("Complete", "True"), true, 500, None),
    ] {
        let mut value = json!({
            "metadata": {"name": "j"},
            "spec": {"ttlSecondsAfterFinished": ttl, "template": {}},
            "status": {"conditions": conditions},
        });
        if deleted {
            value["metadata"]["deletionTimestamp"] = json!(at(100));
        }
        let job: Job = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(left(&job, at(now)).map(|left| left.as_secs()), expected, "{value} {now}");
    }
}
