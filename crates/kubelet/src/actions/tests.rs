use cri::ContainerId;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Value, json};

use super::{Action, ContainerView, Doing, Ended, Views, actions, backoff_seconds, crashes_after};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn ended(code: i32, second: i64) -> Doing {
    Doing::Ended(Ended {
        id: ContainerId("x".into()),
        code,
        reason: String::new(),
        message: String::new(),
        started_at: Some(at(second - 1)),
        finished_at: at(second),
    })
}

fn running() -> Doing {
    Doing::Running { id: ContainerId("x".into()), since: at(0) }
}

fn views(list: &[(&str, Doing, u32)]) -> Views {
    let view = |doing: &Doing, crashes: u32| ContainerView {
        doing: doing.clone(),
        crashes,
        started: matches!(doing, Doing::Running { .. }),
        ..ContainerView::default()
    };
    list.iter().map(|(name, doing, crashes)| ((*name).to_owned(), view(doing, *crashes))).collect()
}

fn spec(value: Value) -> PodSpec {
    serde_json::from_value(value).unwrap()
}

fn new() -> Doing {
    ContainerView::default().doing
}

fn start(name: &str, again: bool) -> Action {
    Action::Start { name: name.into(), again }
}

#[test]
fn init_containers_run_one_after_the_other_and_before_the_rest() {
    let spec = spec(json!({"initContainers": [{"name": "i"}, {"name": "j"}], "containers": [{"name": "c"}]}));
    let step = |i: Doing, j: Doing| actions(&spec, &views(&[("i", i, 0), ("j", j, 0), ("c", new(), 0)]), at(10)).steps;
    assert_eq!(step(new(), new()), [start("i", false)]);
    assert_eq!(step(running(), new()), []);
    assert_eq!(step(ended(0, 5), new()), [start("j", false)]);
    assert_eq!(step(ended(0, 5), ended(0, 6)), [start("c", false)]);
}

#[test]
fn a_sidecar_starts_first_goes_on_and_is_stopped_last() {
    let spec = spec(json!({"restartPolicy": "Never", "containers": [{"name": "c"}],
                           "initContainers": [{"name": "s", "restartPolicy": "Always"}]}));
    let all = |s: Doing, c: Doing| actions(&spec, &views(&[("s", s, 0), ("c", c, 0)]), at(10));
    assert_eq!(all(new(), new()).steps, [start("s", false)]);
    assert_eq!(all(running(), new()).steps, [start("c", false)]);
    let last = all(running(), ended(0, 9));
    assert_eq!((last.steps, last.finished), (vec![Action::Stop { name: "s".into() }], false));
    assert!(all(ended(143, 9), ended(0, 9)).finished);
}

#[test]
fn restart_policies_decide_what_happens_after_an_end() {
    for (policy, code, expected, finished) in [
        ("Always", 0, vec![start("c", true)], false),
        ("OnFailure", 1, vec![start("c", true)], false),
        ("OnFailure", 0, vec![], true),
        ("Never", 1, vec![], true),
    ] {
        let spec = spec(json!({"restartPolicy": policy, "containers": [{"name": "c"}]}));
        let out = actions(&spec, &views(&[("c", ended(code, 5), 1)]), at(10));
        assert_eq!((out.steps, out.finished), (expected, finished), "{policy} {code}");
    }
}

#[test]
fn crashes_in_a_row_back_off_and_a_long_run_forgives() {
    let spec = spec(json!({"containers": [{"name": "c"}]}));
    let out = actions(&spec, &views(&[("c", ended(1, 5), 2)]), at(6));
    assert_eq!(out.steps, [Action::BackOff { name: "c".into(), seconds: 10, until: at(15) }]);
    assert_eq!(out.wake_at, Some(at(15)));
    assert_eq!(actions(&spec, &views(&[("c", ended(1, 5), 2)]), at(15)).steps, [start("c", true)]);
    assert_eq!([1, 2, 3, 6, 9].map(backoff_seconds), [10, 20, 40, 300, 300]);
    let Doing::Ended(mut end) = ended(1, 1000) else { unreachable!() };
    assert_eq!(crashes_after(4, &end), 5);
    end.started_at = Some(at(0));
    assert_eq!(crashes_after(4, &end), 1);
}

#[test]
fn a_failed_init_container_ends_a_pod_that_never_restarts() {
    let spec =
        spec(json!({"restartPolicy": "Never", "initContainers": [{"name": "i"}], "containers": [{"name": "c"}]}));
    assert!(actions(&spec, &views(&[("i", ended(1, 5), 1), ("c", new(), 0)]), at(10)).finished);
}

#[test]
fn an_ephemeral_container_starts_at_once_and_only_once() {
    let spec = spec(json!({"containers": [{"name": "c"}], "initContainers": [{"name": "i"}],
                           "ephemeralContainers": [{"name": "e"}]}));
    let all = |i: Doing, e: Doing| actions(&spec, &views(&[("i", i, 0), ("c", new(), 0), ("e", e, 0)]), at(10));
    assert_eq!(all(running(), new()).steps, [start("e", false)]);
    assert_eq!(all(running(), ended(1, 5)).steps, []);
    assert_eq!(all(ended(0, 5), ended(0, 6)).steps, [start("c", false)]);
}

#[test]
fn an_ephemeral_container_goes_when_the_others_have_ended() {
    let spec = spec(json!({"restartPolicy": "Never", "containers": [{"name": "c"}],
                           "ephemeralContainers": [{"name": "e"}]}));
    let all = |c: Doing, e: Doing| actions(&spec, &views(&[("c", c, 0), ("e", e, 0)]), at(10));
    let last = all(ended(0, 9), running());
    assert_eq!((last.steps, last.finished), (vec![Action::Stop { name: "e".into() }], false));
    assert!(all(ended(0, 9), ended(137, 9)).finished);
    assert!(!all(running(), ended(0, 9)).finished);
}
