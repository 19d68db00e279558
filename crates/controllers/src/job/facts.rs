//! What the controller reads from a Job and from its Pods.

use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::Pod;

use crate::pods;

/// Keeps a Pod until the Job's status has counted it.
pub(crate) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// A Pod's index: an annotation, and a label for the environment of its containers.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// How often Pods of this index failed before, as far as that counts.
pub(super) const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// How often Pods of this index failed before in a way that does not count.
pub(super) const INDEX_IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

// === Jobs ===

pub(super) fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.suspend).unwrap_or(false)
}

/// The number of indexes, if the Job has any.
pub(super) fn indexed_completions(job: &Job) -> Option<i32> {
    let spec = job.spec.as_ref()?;
    spec.completions.filter(|_| spec.completion_mode.as_deref() == Some("Indexed"))
}

/// Whether a Pod is replaced only once it has ended.
pub(super) fn replaces_only_failed(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.pod_replacement_policy.as_deref()) == Some("Failed")
}

/// The condition of this type that is true.
pub(super) fn true_condition<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    let mut conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.find(|condition| condition.type_ == kind && condition.status == "True")
}

/// The condition that says that a Job has ended: `Complete` or `Failed`.
pub(crate) fn finished(job: &Job) -> Option<&JobCondition> {
    let mut conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.find(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True")
}

/// Whether another controller looks after the Job.
pub(super) fn is_managed_elsewhere(job: &Job) -> bool {
    let manager = job.spec.as_ref().and_then(|spec| spec.managed_by.as_deref());
    manager.is_some_and(|manager| manager != "kubernetes.io/job-controller")
}

// === Pods ===

pub(super) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

pub(super) fn is_tracked(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

pub(super) fn has_succeeded(pod: &Pod) -> bool {
    pods::phase(pod) == "Succeeded"
}

/// Whether a Pod counts as failed. A deleted one may never get so far as to say it.
pub(super) fn has_failed(pod: &Pod, job: &Job) -> bool {
    match pods::phase(pod) {
        "Failed" => true,
        "Succeeded" => false,
        _ => !replaces_only_failed(job) && pod.metadata.deletion_timestamp.is_some(),
    }
}

fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// A Pod's index.
pub(super) fn index(pod: &Pod) -> Option<i32> {
    annotation(pod, INDEX)?.parse().ok().filter(|index| *index >= 0)
}

/// How often Pods of an index failed before this one: with and without effect.
pub(super) fn index_failures(pod: &Pod) -> [i32; 2] {
    [INDEX_FAILURES, INDEX_IGNORED_FAILURES].map(|key| {
        let count = annotation(pod, key).and_then(|text| text.parse().ok());
        count.filter(|count| *count >= 0).unwrap_or(0)
    })
}
