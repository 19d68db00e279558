use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{Observed, PodChange, plan};
use crate::job::backoff::Failures;

/// Seconds since the Job's start.
pub(in crate::job) const NOW: i64 = 1000;

pub(in crate::job) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// A Job of these fields with this status, which began at 0.
pub(in crate::job) fn job(spec: &Value, status: &Value) -> Job {
    let mut all = json!({"parallelism": 2, "template": {"spec": {"containers": [], "restartPolicy": "Never"}}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let mut began = json!({"startTime": at(0)});
    began.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
    serde_json::from_value(json!({"spec": all, "status": began})).unwrap()
}

/// A Pod from words: its name, its state (`pending`, `running`, `ready`, `ending`, `succeeded`, or `failed@TIME` with the
/// exit code 1 or another, `failed@TIME=CODE`), and its index, `#INDEX` with `+FAILURES` before it. `-` is a Pod that has
/// no finalizer any more.
pub(in crate::job) fn pod(words: &str) -> Arc<Pod> {
    let mut words = words.split(' ');
    let (name, state) = (words.next().unwrap(), words.next().unwrap());
    let mut value = json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": name, "annotations": {},
            "finalizers": ["batch.kubernetes.io/job-tracking"], "creationTimestamp": at(0),
        },
        "status": {"phase": "Running"},
    });
    match state {
        "pending" => value["status"]["phase"] = json!("Pending"),
        "running" => {}
        "ready" => value["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]),
        "ending" => value["metadata"]["deletionTimestamp"] = json!(at(NOW)),
        "succeeded" => {
            value["status"] = json!({"phase": "Succeeded", "containerStatuses": [terminated(NOW, 0)]});
        }
        failed => {
            let (time, code) = failed.strip_prefix("failed@").unwrap().split_once('=').unwrap_or((&failed[7..], "1"));
            let (time, code) = (time.parse().unwrap(), code.parse().unwrap());
            value["status"] = json!({"phase": "Failed", "containerStatuses": [terminated(time, code)]});
        }
    }
    for word in words {
        if word == "-" {
            value["metadata"]["finalizers"] = json!([]);
        } else if let Some(index) = word.strip_prefix('#') {
            let (index, failures) = index.split_once('+').unwrap_or((index, ""));
            let annotations = &mut value["metadata"]["annotations"];
            annotations["batch.kubernetes.io/job-completion-index"] = json!(index);
            if !failures.is_empty() {
                annotations["batch.kubernetes.io/job-index-failure-count"] = json!(failures);
            }
        }
    }
    Arc::new(serde_json::from_value(value).unwrap())
}

fn terminated(second: i64, code: i32) -> Value {
    json!({
        "name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": code, "finishedAt": at(second)}},
    })
}

/// What the plan is, in words.
fn words(spec: &Value, status: &Value, pods: &[&str], failures: Failures) -> String {
    let (job, pods) = (job(spec, status), pods.iter().map(|words| pod(words)).collect::<Vec<_>>());
    let plan = plan(&Observed { job: &job, pods: &pods, failures, now: at(NOW) });
    let names = |pods: &[Arc<Pod>]| pods.iter().filter_map(|p| p.metadata.name.clone()).collect::<Vec<_>>().join(" ");
    let mut words = match &plan.pods {
        PodChange::None => "nothing".to_owned(),
        PodChange::Delete(pods) => format!("delete {}", names(pods)),
        PodChange::End(pods) => format!("end {}", names(pods)),
        PodChange::Create(new) => {
            let indexes = new.iter().map(|new| match (new.index, new.failures) {
                (None, _) => "one".to_owned(),
                (Some(index), None) => format!("#{index}"),
                (Some(index), Some(failures)) => format!("#{index}+{}~{}", failures.counted, failures.ignored),
            });
            format!("create {}", indexes.collect::<Vec<_>>().join(" "))
        }
    };
    if let Some(ended) = &plan.counted.ended {
        words += &format!(": {} {}", ended.type_, ended.reason.as_deref().unwrap_or_default());
    }
    if let Some(after) = plan.requeue_after {
        words += &format!(" after {}", after.as_secs());
    }
    words.trim_end().to_owned()
}

fn check(spec: Value, status: Value, pods: &[&str], expected: &str) {
    assert_eq!(words(&spec, &status, pods, Failures::default()), expected, "{spec} {status} {pods:?}");
}

#[test]
fn as_many_pods_as_are_missing() {
    let none = json!({});
    check(json!({"completions": 5}), none.clone(), &[], "create one one");
    check(json!({"completions": 1}), none.clone(), &[], "create one");
    check(json!({"completions": 5}), none.clone(), &["a running"], "create one");
    check(json!({"completions": 5}), none.clone(), &["a running", "b pending"], "nothing");
    check(json!({"completions": 5}), json!({"succeeded": 4}), &["a running"], "nothing");
    check(json!({"completions": 5}), json!({"succeeded": 4}), &[], "create one");
    check(json!({"completions": 5}), json!({"succeeded": 3}), &["a succeeded"], "create one");
    check(json!({"completions": 5}), json!({"succeeded": 3}), &["a succeeded -"], "create one one");
    check(json!({"completions": 2}), none.clone(), &["a ready", "b running", "c pending"], "delete c");
    check(json!({"completions": 2, "parallelism": 0}), none.clone(), &["a ready", "b running"], "delete b a");
    check(json!({"completions": 5, "suspend": true}), none.clone(), &["a running", "b ending"], "delete a");
    check(json!({"completions": 5, "suspend": true}), none, &[], "nothing");
}

#[test]
fn without_completions_the_first_success_is_enough() {
    check(json!({}), json!({}), &[], "create one one");
    check(json!({}), json!({}), &["a succeeded", "b running"], "nothing");
    check(json!({}), json!({"succeeded": 1}), &["b running"], "nothing");
}

#[test]
fn a_pod_on_its_way_out_counts_as_failed_unless_it_must_end_first() {
    let only_failed = json!({"completions": 5, "podReplacementPolicy": "Failed"});
    check(only_failed, json!({}), &["a ending", "b running"], "nothing");
    let failures = Failures { count: 1, last: Some(at(NOW - 60)) };
    let spec = json!({"completions": 5});
    assert_eq!(words(&spec, &json!({}), &["a running"], failures), "create one");
}

#[test]
fn failed_pods_are_replaced_after_a_pause() {
    check(json!({"completions": 5}), json!({}), &["a failed@996"], "nothing after 6");
    check(json!({"completions": 5}), json!({}), &["a failed@900"], "create one one");
    check(json!({"completions": 5}), json!({}), &["a failed@990", "b failed@995"], "nothing after 15");
    check(json!({"completions": 5}), json!({}), &["a failed@996", "b succeeded"], "create one one");
    let known = Failures { count: 2, last: Some(at(985)) };
    assert_eq!(words(&json!({"completions": 5}), &json!({}), &[], known), "nothing after 5");
}

#[test]
fn a_job_ends_when_a_limit_is_reached() {
    let limit = |limit: i32| json!({"completions": 5, "backoffLimit": limit});
    let pods = ["a failed@900", "b failed@910", "c running"];
    check(limit(1), json!({}), &pods, "end c: FailureTarget BackoffLimitExceeded");
    check(limit(2), json!({}), &pods, "create one");
    check(limit(2), json!({"failed": 1}), &pods, "end c: FailureTarget BackoffLimitExceeded");
    let listed = json!({"uncountedTerminatedPods": {"failed": ["a", "gone"]}});
    check(limit(2), listed, &pods, "end c: FailureTarget BackoffLimitExceeded");
    let deadline = |seconds: i64| json!({"completions": 5, "activeDeadlineSeconds": seconds});
    check(deadline(1000), json!({}), &["a running"], "end a: FailureTarget DeadlineExceeded");
    check(deadline(1010), json!({}), &["a running", "b running"], "nothing after 10");
    let mut suspended = deadline(1000);
    suspended["suspend"] = json!(true);
    check(suspended, json!({}), &[], "nothing");
}

#[test]
fn restarts_count_where_containers_are_started_again() {
    let template = json!({"spec": {"containers": [], "restartPolicy": "OnFailure"}});
    for (limit, restarts, expected) in
        [(3, 2, "nothing"), (3, 3, "end p: FailureTarget BackoffLimitExceeded"), (0, 0, "nothing")]
    {
        let job = job(&json!({"completions": 1, "backoffLimit": limit, "template": template}), &json!({}));
        let mut running = (*pod("p running")).clone();
        let container = json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": restarts});
        running.status.as_mut().unwrap().container_statuses = Some(vec![serde_json::from_value(container).unwrap()]);
        let pods = [Arc::new(running)];
        let plan = plan(&Observed { job: &job, pods: &pods, failures: Failures::default(), now: at(NOW) });
        let ends = matches!(plan.pods, PodChange::End(_));
        assert_eq!(ends, expected != "nothing", "{limit} {restarts}");
    }
}

#[test]
fn what_was_decided_stands() {
    let decided =
        |kind: &str| json!({"conditions": [{"type": kind, "status": "True", "reason": "Earlier"}], "failed": 9});
    let spec = json!({"completions": 5, "backoffLimit": 1});
    check(spec.clone(), decided("FailureTarget"), &["a running"], "end a: FailureTarget Earlier");
    check(spec, decided("SuccessCriteriaMet"), &["a running"], "end a: SuccessCriteriaMet Earlier");
}

#[test]
fn the_failure_policy_ends_or_forgives() {
    let spec = json!({"completions": 5, "backoffLimit": 0, "podFailurePolicy": {"rules": [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}},
    ]}});
    check(spec.clone(), json!({}), &["a failed@900=42", "b running"], "end b: FailureTarget PodFailurePolicy");
    check(spec.clone(), json!({}), &["a failed@900=7", "b running"], "create one");
    check(spec, json!({}), &["a failed@900=1", "b running"], "end b: FailureTarget BackoffLimitExceeded");
}

#[test]
fn each_index_gets_a_pod() {
    let spec = json!({"completions": 5, "parallelism": 3, "completionMode": "Indexed"});
    check(spec.clone(), json!({}), &[], "create #0 #1 #2");
    check(spec.clone(), json!({"completedIndexes": "0,2"}), &["a running #1"], "create #3 #4");
    check(spec.clone(), json!({"completedIndexes": "0,2"}), &["a succeeded #1", "b failed@900 #3"], "create #3 #4");
    check(spec.clone(), json!({}), &["a running #0", "b ready #0", "c running", "d running #7"], "delete c d a");
    check(spec.clone(), json!({}), &["a failed@996 #0"], "nothing after 6");
    let mut only_failed = spec;
    only_failed["podReplacementPolicy"] = json!("Failed");
    check(only_failed, json!({}), &["a ending #0"], "create #1 #2");
}

#[test]
fn indexes_fail_on_their_own() {
    let spec = json!({
        "completions": 4, "parallelism": 4, "completionMode": "Indexed", "backoffLimit": 1000,
        "backoffLimitPerIndex": 1, "maxFailedIndexes": 1,
    });
    check(spec.clone(), json!({}), &[], "create #0+0~0 #1+0~0 #2+0~0 #3+0~0");
    let one_failed = ["a failed@980 #0", "b running #1", "c running #2", "d running #3"];
    check(spec.clone(), json!({}), &one_failed, "create #0+1~0");
    let one_paused = ["a failed@995 #0", "b failed@900 #1", "c running #2", "d running #3"];
    check(spec.clone(), json!({}), &one_paused, "create #1+1~0 after 5");
    let one_lost = ["a failed@900 #0+1", "b running #1", "c running #2", "d running #3"];
    check(spec.clone(), json!({}), &one_lost, "nothing");
    let two_lost = ["a failed@900 #0+1", "b failed@900 #1+1", "c running #2"];
    check(spec.clone(), json!({}), &two_lost, "end c: FailureTarget MaxFailedIndexesExceeded");
    let rest = json!({"completedIndexes": "1-3"});
    check(spec, rest, &["a failed@900 #0+1"], "end : FailureTarget FailedIndexes");
}

#[test]
fn a_success_policy_ends_early() {
    let spec = |rule: Value| json!({"completions": 6, "parallelism": 6, "completionMode": "Indexed", "successPolicy": {"rules": [rule]}});
    let running = ["a running #1", "b running #4", "c running #5"];
    let done = json!({"completedIndexes": "0,2,3"});
    let met = "end a b c: SuccessCriteriaMet SuccessPolicy";
    for (rule, expected) in [
        (json!({"succeededIndexes": "0,2-3"}), met),
        (json!({"succeededIndexes": "0,4"}), "nothing"),
        (json!({"succeededIndexes": "0-5", "succeededCount": 3}), met),
        (json!({"succeededIndexes": "0-2", "succeededCount": 3}), "nothing"),
        (json!({"succeededCount": 3}), met),
        (json!({"succeededCount": 4}), "nothing"),
    ] {
        check(spec(rule), done.clone(), &running, expected);
    }
}
