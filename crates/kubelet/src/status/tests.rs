use cri::ContainerId;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{PodView, build};
use crate::actions::{ContainerView, Doing, Ended, Views};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pod() -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}))
        .unwrap()
}

fn status(view: ContainerView, finished: bool, old: &Value) -> Value {
    let views: Views = [("c".to_owned(), view)].into();
    let pod_view = PodView { finished, sandbox_ready: true, ..PodView::default() };
    build(&pod(), &views, &pod_view, old, at(100))
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == kind).unwrap()
}

#[test]
fn a_new_pod_is_pending_and_says_which_container_is_not_ready() {
    let status = status(ContainerView::default(), false, &Value::Null);
    assert_eq!(status["phase"], "Pending");
    assert_eq!(status["containerStatuses"][0]["state"]["waiting"]["reason"], "ContainerCreating");
    assert_eq!(condition(&status, "Ready")["message"], "containers with unready status: [c]");
}

#[test]
fn a_ready_container_makes_a_ready_pod_and_times_stay() {
    let running = Doing::Running { id: ContainerId("x".into()), since: at(5) };
    let view = ContainerView { doing: running, ready: true, started: true, ..ContainerView::default() };
    let first = status(view.clone(), false, &Value::Null);
    assert_eq!((&first["phase"], &condition(&first, "Ready")["status"]), (&json!("Running"), &json!("True")));
    let mut old = first.clone();
    old["conditions"][2]["lastTransitionTime"] = json!("1970-01-01T00:00:07Z");
    let second = status(view, false, &old);
    assert_eq!(condition(&second, "Ready")["lastTransitionTime"], "1970-01-01T00:00:07Z");
}

#[test]
fn a_container_that_crashes_leaves_the_pod_running_with_its_last_state() {
    let end = Ended {
        id: ContainerId("x".into()),
        code: 1,
        reason: "Error".into(),
        message: String::new(),
        started_at: Some(at(1)),
        finished_at: at(2),
    };
    let doing = Doing::Waiting { reason: "CrashLoopBackOff".into(), message: "m".into(), retry_at: Some(at(9)) };
    let view = ContainerView { doing, last: Some(end.clone()), restarts: 3, ..ContainerView::default() };
    let crashing = status(view, false, &Value::Null);
    assert_eq!(crashing["phase"], "Running");
    assert_eq!(crashing["containerStatuses"][0]["restartCount"], 3);
    assert_eq!(crashing["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 1);
    let over = ContainerView { doing: Doing::Ended(end), ..ContainerView::default() };
    assert_eq!(status(over, true, &Value::Null)["phase"], "Failed");
}
