use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::JobStatus;
use serde_json::{Value, json};

use super::{Done, Listed, Said, list};
use crate::job::backoff::Failures;
use crate::job::plan::tests::{NOW, at, job, pod};
use crate::job::plan::{Observed, PodChange, plan};

/// The first step, all changes done, or those that are said.
fn listed(spec: &Value, status: &Value, pods: &[&str], done: Option<Done>) -> Listed {
    let (job, pods) = (job(spec, status), pods.iter().map(|words| pod(words)).collect::<Vec<_>>());
    let observed = Observed { job: &job, pods: &pods, failures: Failures::default(), now: at(NOW) };
    let plan = plan(&observed);
    let all = match &plan.pods {
        PodChange::None => 0,
        PodChange::Create(new) => new.len(),
        PodChange::Delete(pods) | PodChange::End(pods) => pods.len(),
    };
    list(&observed, plan, done.unwrap_or(Done { count: all, ready: 0 }))
}

/// Counters, listed Pods and true conditions.
fn words(status: &JobStatus) -> String {
    let number = |number: Option<i32>| number.unwrap_or(0);
    let uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
    let mut words = format!(
        "{} active {} terminating {}+{:?} succeeded {}+{:?} failed",
        number(status.active),
        number(status.terminating),
        number(status.succeeded),
        uncounted.succeeded.unwrap_or_default(),
        number(status.failed),
        uncounted.failed.unwrap_or_default(),
    )
    .replace('"', "");
    for condition in status.conditions.iter().flatten().filter(|c| c.status == "True") {
        words += &format!(" {}:{}", condition.type_, condition.reason.as_deref().unwrap_or_default());
    }
    words
}

fn reasons(said: &[Said]) -> Vec<&str> {
    said.iter().map(|said| said.reason.as_str()).collect()
}

fn released(listed: &Listed) -> BTreeSet<String> {
    listed.release.iter().filter_map(|pod| pod.metadata.uid.clone()).collect()
}

#[test]
fn pods_are_listed_then_counted() {
    let listed = listed(
        &json!({"completions": 5}),
        &json!({"succeeded": 1, "failed": 1}),
        &["a succeeded", "b failed@900"],
        None,
    );
    assert_eq!(words(&listed.status), "2 active 0 terminating 1+[a] succeeded 1+[b] failed");
    assert_eq!(released(&listed).into_iter().collect::<Vec<_>>(), ["a", "b"]);
    let settled = listed.settle(&released(&listed), true);
    assert_eq!(words(&settled.status), "2 active 0 terminating 2+[] succeeded 2+[] failed");
    let half = listed.settle(&BTreeSet::from(["b".to_owned()]), false);
    assert_eq!(words(&half.status), "2 active 0 terminating 1+[a] succeeded 2+[] failed");
}

#[test]
fn a_pod_that_is_listed_is_counted_once() {
    let before = json!({"uncountedTerminatedPods": {"succeeded": ["a", "gone"], "failed": ["b"]}});
    let with = ["a succeeded", "b failed@900 -", "c running"];
    let listed = listed(&json!({"completions": 5}), &before, &with, None);
    assert_eq!(words(&listed.status), "2 active 0 terminating 1+[a] succeeded 1+[] failed");
    assert_eq!(
        words(&listed.settle(&released(&listed), true).status),
        "2 active 0 terminating 2+[] succeeded 1+[] failed"
    );
}

#[test]
fn a_job_is_complete_once_all_is_counted() {
    let listed = listed(&json!({"completions": 2}), &json!({"succeeded": 1}), &["a succeeded"], None);
    assert_eq!(
        words(&listed.status),
        "0 active 0 terminating 1+[a] succeeded 0+[] failed SuccessCriteriaMet:CompletionsReached"
    );
    assert!(listed.settle(&BTreeSet::new(), false).said.is_empty());
    let settled = listed.settle(&released(&listed), true);
    assert_eq!(
        words(&settled.status),
        "0 active 0 terminating 2+[] succeeded 0+[] failed SuccessCriteriaMet:CompletionsReached Complete:CompletionsReached"
    );
    assert_eq!(settled.status.completion_time.map(|time| time.0), Some(at(NOW)));
    assert_eq!(reasons(&settled.said), ["Completed"]);
}

#[test]
fn what_still_ends_delays_the_end() {
    let spec = json!({"completions": 2, "backoffLimit": 0});
    let first = listed(&spec, &json!({}), &["a failed@900", "b running"], None);
    assert_eq!(
        words(&first.status),
        "0 active 1 terminating 0+[] succeeded 0+[a, b] failed FailureTarget:BackoffLimitExceeded"
    );
    let settled = first.settle(&released(&first), true);
    assert_eq!(
        words(&settled.status),
        "0 active 1 terminating 0+[] succeeded 2+[] failed FailureTarget:BackoffLimitExceeded"
    );
    assert!(settled.said.is_empty());
    let status = serde_json::to_value(&settled.status).unwrap();
    let last = listed(&spec, &status, &["b failed@1000 -"], None).settle(&BTreeSet::new(), true);
    assert_eq!(
        words(&last.status),
        "0 active 0 terminating 0+[] succeeded 2+[] failed FailureTarget:BackoffLimitExceeded Failed:BackoffLimitExceeded"
    );
    assert_eq!(reasons(&last.said), ["BackoffLimitExceeded"]);
}

#[test]
fn a_pod_that_could_not_be_deleted_delays_the_end() {
    let spec = json!({"completions": 2, "backoffLimit": 0});
    let none = Some(Done::default());
    let listed = listed(&spec, &json!({}), &["a failed@900", "b running"], none);
    assert_eq!(words(&listed.status), "1 active 0 terminating 0+[] succeeded 0+[a] failed");
}

#[test]
fn a_suspended_job_says_so() {
    let suspended = listed(&json!({"completions": 2, "suspend": true}), &json!({}), &["a running"], None);
    assert_eq!(words(&suspended.status), "0 active 1 terminating 0+[] succeeded 0+[] failed Suspended:JobSuspended");
    assert_eq!(suspended.status.start_time, None);
    assert_eq!(reasons(&suspended.said), ["Suspended"]);
    let status = serde_json::to_value(&suspended.status).unwrap();
    let again = listed(&json!({"completions": 2, "suspend": true}), &status, &[], None);
    assert!(again.said.is_empty());
    let resumed = listed(&json!({"completions": 2}), &status, &[], None);
    assert_eq!(words(&resumed.status), "2 active 0 terminating 0+[] succeeded 0+[] failed");
    assert_eq!(resumed.status.conditions.as_ref().unwrap()[0].reason.as_deref(), Some("JobResumed"));
    assert_eq!(resumed.status.start_time.map(|time| time.0), Some(at(NOW)));
    assert_eq!(reasons(&resumed.said), ["Resumed"]);
    let never = listed(&json!({"completions": 2}), &json!({}), &[], None);
    assert_eq!(never.status.conditions, None);
}

#[test]
fn indexes_are_counted_by_themselves() {
    let spec = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"});
    let pods = ["a succeeded #1", "b succeeded #1", "c running #2", "d succeeded #9"];
    let indexed = listed(&spec, &json!({"completedIndexes": "0", "succeeded": 1}), &pods, None);
    assert_eq!(indexed.status.completed_indexes.as_deref(), Some("0,1"));
    assert_eq!(words(&indexed.status), "1 active 0 terminating 2+[] succeeded 0+[] failed");
    assert_eq!(released(&indexed).into_iter().collect::<Vec<_>>(), ["a", "b", "d"]);
    assert_eq!(indexed.status.failed_indexes, None);
}

#[test]
fn a_failed_pod_stays_until_its_index_has_another() {
    let spec = json!({
        "completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimit": 1000, "backoffLimitPerIndex": 1,
    });
    let kept = listed(&spec, &json!({}), &["a failed@999 #0", "b running #1"], None);
    assert!(kept.release.is_empty());
    assert_eq!(kept.status.failed_indexes.as_deref(), Some(""));
    let replaced = listed(&spec, &json!({}), &["a failed@900 #0", "b running #1", "c running #0+1"], None);
    assert_eq!(released(&replaced).into_iter().collect::<Vec<_>>(), ["a"]);
    assert_eq!(words(&replaced.status), "2 active 0 terminating 0+[] succeeded 0+[a] failed");
    let lost = listed(&spec, &json!({"failed": 1}), &["b running #1", "c failed@950 #0+1"], None);
    assert_eq!(lost.status.failed_indexes.as_deref(), Some("0"));
    assert_eq!(released(&lost).into_iter().collect::<Vec<_>>(), ["c"]);
}

#[test]
fn ignored_failures_are_released_and_not_counted() {
    let spec = json!({"completions": 2, "backoffLimit": 0, "podFailurePolicy": {"rules": [
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}},
    ]}});
    let listed = listed(&spec, &json!({}), &["a failed@900=7"], None);
    assert_eq!(words(&listed.status), "2 active 0 terminating 0+[] succeeded 0+[] failed");
    assert_eq!(released(&listed).into_iter().collect::<Vec<_>>(), ["a"]);
}
