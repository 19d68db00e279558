use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{Failures, finished_at};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pod(value: Value) -> Arc<Pod> {
    Arc::new(serde_json::from_value(value).unwrap())
}

/// A Pod whose container ended at `second`.
fn ended(second: i64) -> Arc<Pod> {
    pod(json!({"status": {"containerStatuses": [terminated("main", second)]}}))
}

fn terminated(name: &str, second: i64) -> Value {
    json!({
        "name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 1, "finishedAt": at(second)}},
    })
}

#[test]
fn the_pause_doubles_until_ten_minutes() {
    for (count, last, now, seconds) in [
        (0, None, 100, 0),
        (1, Some(100), 100, 10),
        (1, Some(100), 104, 6),
        (1, Some(100), 110, 0),
        (1, Some(100), 500, 0),
        (2, Some(100), 100, 20),
        (3, Some(100), 105, 35),
        (7, Some(100), 100, 600),
        (i32::MAX, Some(100), 100, 600),
    ] {
        let failures = Failures { count, last: last.map(at) };
        assert_eq!(failures.remaining(at(now)).as_secs(), seconds, "{count} failures, {now}");
    }
}

#[test]
fn a_success_ends_the_series() {
    let before = Failures { count: 2, last: Some(at(50)) };
    for (succeeded, failed, count, last) in [
        (&[][..], &[][..], 2, Some(50)),
        (&[], &[60, 55], 4, Some(60)),
        (&[60], &[], 0, None),
        (&[60], &[55, 60], 0, None),
        (&[60, 58], &[70, 65, 55], 2, Some(70)),
    ] {
        let pods = |times: &[i64]| times.iter().map(|second| ended(*second)).collect::<Vec<_>>();
        let after = before.and(&pods(succeeded), &pods(failed));
        assert_eq!(after, Failures { count, last: last.map(at) }, "{succeeded:?} {failed:?}");
    }
}

#[test]
fn the_end_is_that_of_the_last_container() {
    let created = json!({"creationTimestamp": at(1)});
    let not_ready = json!([{"type": "Ready", "status": "False", "lastTransitionTime": at(30)}]);
    let running =
        json!({"name": "b", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}});
    for (value, second) in [
        (json!({"metadata": created}), 1),
        (json!({"metadata": {"deletionTimestamp": at(40), "deletionGracePeriodSeconds": 30}}), 10),
        (json!({"metadata": created, "status": {"conditions": not_ready}}), 30),
        (json!({"status": {"containerStatuses": [terminated("a", 20), terminated("b", 25)]}}), 25),
        (json!({"status": {"containerStatuses": [terminated("a", 20), running], "conditions": not_ready}}), 30),
        (
            json!({
                "spec": {"containers": [], "initContainers": [{"name": "setup"}, {"name": "side", "restartPolicy": "Always"}]},
                "status": {
                    "containerStatuses": [terminated("a", 20)],
                    "initContainerStatuses": [terminated("setup", 90), terminated("side", 22)],
                },
            }),
            22,
        ),
    ] {
        assert_eq!(finished_at(&pod(value.clone())), at(second), "{value}");
    }
}
