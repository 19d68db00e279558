use super::{by_activity, by_logging, go_type, listed_containers, selector_for};
use serde_json::{Value, json};
use std::cmp::Ordering;

fn pod(phase: &str, ready: Option<&str>, restarts: i64, created: &str) -> Value {
    let condition = ready.map(|since| json!({"type": "Ready", "status": "True", "lastTransitionTime": since}));
    json!({
        "metadata": {"creationTimestamp": created},
        "spec": {"nodeName": "n"},
        "status": {
            "phase": phase,
            "conditions": condition.into_iter().collect::<Vec<_>>(),
            "containerStatuses": [{"name": "c", "restartCount": restarts}],
        },
    })
}

const EARLY: &str = "2026-01-01T00:00:00Z";
const LATE: &str = "2026-01-02T00:00:00Z";

#[test]
fn logs_are_read_of_the_pod_that_has_been_ready_longest() {
    let order = |a: Value, b: Value| by_logging(&a, &b);
    assert_eq!(order(pod("Pending", None, 0, EARLY), pod("Running", None, 0, LATE)), Ordering::Greater);
    assert_eq!(order(pod("Running", Some(LATE), 0, EARLY), pod("Running", None, 0, EARLY)), Ordering::Less);
    assert_eq!(order(pod("Running", Some(LATE), 0, EARLY), pod("Running", Some(EARLY), 0, EARLY)), Ordering::Greater);
    assert_eq!(order(pod("Running", None, 3, EARLY), pod("Running", None, 0, EARLY)), Ordering::Less);
    assert_eq!(order(pod("Running", None, 0, EARLY), pod("Running", None, 0, LATE)), Ordering::Less);
}

#[test]
fn commands_run_in_the_pod_that_is_most_at_work() {
    let order = |a: Value, b: Value| by_activity(&a, &b);
    assert_eq!(order(pod("Running", None, 0, EARLY), pod("Pending", None, 0, EARLY)), Ordering::Less);
    assert_eq!(order(pod("Running", None, 0, EARLY), pod("Running", Some(LATE), 0, EARLY)), Ordering::Greater);
    let mut ending = pod("Running", Some(EARLY), 0, EARLY);
    ending["metadata"]["deletionTimestamp"] = json!(LATE);
    assert_eq!(order(ending, pod("Running", Some(LATE), 0, LATE)), Ordering::Greater);
    assert_eq!(order(pod("Running", None, 2, EARLY), pod("Running", None, 0, EARLY)), Ordering::Greater);
}

#[test]
fn selectors_of_objects() {
    let service = json!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": "s"}, "spec": {"selector": {"b": "2", "a": "1"}}});
    assert_eq!(selector_for(&service).unwrap(), "a=1,b=2");
    let headless = json!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": "s"}, "spec": {}});
    assert_eq!(selector_for(&headless).unwrap_err(), "invalid service 's': Service is defined without a selector");
    let config = json!({"kind": "ConfigMap", "apiVersion": "v1"});
    assert_eq!(selector_for(&config).unwrap_err(), "selector for *v1.ConfigMap not implemented");
    assert_eq!(go_type(&json!({"kind": "Job", "apiVersion": "batch/v1"})), "*v1.Job");
}

#[test]
fn containers_are_listed_with_their_sort() {
    let pod = json!({"spec": {
        "containers": [{"name": "a"}, {"name": "b"}],
        "initContainers": [{"name": "i"}],
        "ephemeralContainers": [{"name": "e"}],
    }});
    assert_eq!(listed_containers(&pod), "a, b, e (ephem), i (init)");
}
