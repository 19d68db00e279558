//! The Job's status, in two steps so that no Pod is counted twice: it first lists the Pods that have ended, then their
//! finalizers go, and only then are they counted and the Job is over (upstream: `trackJobStatusAndRemoveFinalizers`).
//! Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::{JobCondition, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use super::end::{self, FAILURE, SUCCESS, condition};
use super::facts;
use super::failure_policy::{Verdict, verdict};
use super::plan::{IndexProgress, Observed, Plan, PodChange, number, uncounted};
use crate::said::Said;

/// Pods that the status lists at most, so that it stays below 20 KB.
const UNCOUNTED_MAX: usize = 500;

/// How many Pods were really made or deleted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    pub(super) count: usize,
    /// Of those that were deleted.
    pub(super) ready: usize,
}

/// The first step.
#[derive(Debug)]
pub(super) struct Listed {
    /// To be written before finalizers go.
    pub(super) status: JobStatus,
    /// The Pods that then lose theirs.
    pub(super) release: Vec<Arc<Pod>>,
    pub(super) said: Vec<Said>,
    /// The Job's last condition, once nothing is left to count.
    last: Option<JobCondition>,
    /// Pods that had a finalizer.
    tracked: BTreeSet<String>,
    completions: Option<i32>,
    now: Timestamp,
}

/// The second step.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) status: JobStatus,
    pub(super) said: Vec<Said>,
}

/// The first step, after the plan's changes were `done`.
pub(super) fn list(observed: &Observed<'_>, mut plan: Plan, done: Done) -> Listed {
    let now = observed.now;
    let counted = &mut plan.counted;
    match &plan.pods {
        PodChange::None => {}
        PodChange::Create(_) => counted.active += number(done.count),
        PodChange::Delete(pods) | PodChange::End(pods) => {
            counted.active -= number(done.count);
            counted.terminating += number(done.count);
            counted.ready = (counted.ready - number(done.ready)).min(counted.active).max(0);
            // While there are Pods that could not be deleted, the end can't be told.
            if matches!(plan.pods, PodChange::End(_)) && done.count != pods.len() {
                counted.ended = None;
            }
        }
    }
    let completions = observed.job.spec.as_ref().and_then(|spec| spec.completions);
    let mut said = Vec::new();
    if !matches!(plan.pods, PodChange::End(_)) {
        let complete = counted.succeeded >= completions.unwrap_or(1) && counted.active == 0;
        if complete {
            let message = "Reached expected number of succeeded pods";
            counted.ended = Some(condition(SUCCESS, "CompletionsReached", message, now));
        } else if counted.managed {
            said.extend(suspension(&mut counted.status, facts::is_suspended(observed.job), now));
        }
    }
    let some = |number: i32| (number != 0).then_some(number);
    let mut status = std::mem::take(&mut counted.status);
    status.active = some(counted.active);
    status.ready = Some(counted.ready);
    status.terminating = Some(counted.terminating);
    let tracked: BTreeSet<String> =
        observed.pods.iter().filter(|pod| facts::is_tracked(pod)).map(|pod| facts::uid(pod).to_owned()).collect();
    count_released(&mut status, &tracked);
    let ended = counted.ended.take();
    let ListedPods { release, all } = list_pods(observed, &mut status, counted.indexes.as_ref(), ended.as_ref());
    if let Some(indexes) = &counted.indexes {
        status.succeeded = some(indexes.succeeded.len());
        status.completed_indexes = Some(indexes.succeeded.to_string()).filter(|text| !text.is_empty());
        status.failed_indexes = indexes.failed.as_ref().map(ToString::to_string);
    }
    let last = ended.map(|interim| {
        let kind = if interim.type_ == FAILURE { "Failed" } else { "Complete" };
        let [reason, message] = [&interim.reason, &interim.message].map(|text| text.clone().unwrap_or_default());
        let conditions = status.conditions.get_or_insert_default();
        if !conditions.iter().any(|c| c.type_ == interim.type_ && c.status == "True") {
            conditions.push(interim);
        }
        condition(kind, &reason, &message, now)
    });
    Listed { status, release, said, last: last.filter(|_| all), tracked, completions, now }
}

/// Says that the Job is suspended, or no longer is. Its time runs anew then.
fn suspension(status: &mut JobStatus, suspended: bool, now: Timestamp) -> Option<Said> {
    let conditions = status.conditions.get_or_insert_default();
    let present = conditions.iter().position(|c| c.type_ == "Suspended");
    let (state, reason, message) =
        if suspended { ("True", "JobSuspended", "Job suspended") } else { ("False", "JobResumed", "Job resumed") };
    let mut new = condition("Suspended", reason, message, now);
    new.status = state.to_owned();
    match present {
        Some(at) if conditions[at].status == state => return None,
        Some(at) => conditions[at] = new,
        None if suspended => conditions.push(new),
        None => {
            status.conditions = status.conditions.take().filter(|conditions| !conditions.is_empty());
            return None;
        }
    }
    status.start_time = (!suspended).then(|| end::time(now));
    Some(Said::normal(if suspended { "Suspended" } else { "Resumed" }, message))
}

/// Counts the listed Pods that have no finalizer any more.
fn count_released(status: &mut JobStatus, tracked: &BTreeSet<String>) {
    let listed = status.uncounted_terminated_pods.get_or_insert_default();
    let count = |uids: &mut Option<Vec<String>>, counter: &mut Option<i32>| {
        let before = uids.as_ref().map_or(0, Vec::len);
        *uids = uids.take().map(|uids| uids.into_iter().filter(|uid| tracked.contains(uid)).collect());
        let gone = before - uids.as_ref().map_or(0, Vec::len);
        *uids = uids.take().filter(|uids: &Vec<String>| !uids.is_empty());
        *counter = Some(counter.unwrap_or(0) + number(gone)).filter(|count| *count != 0);
    };
    count(&mut listed.succeeded, &mut status.succeeded);
    count(&mut listed.failed, &mut status.failed);
}

struct ListedPods {
    release: Vec<Arc<Pod>>,
    /// Whether there was room for all.
    all: bool,
}

fn list_pods(
    observed: &Observed<'_>,
    status: &mut JobStatus,
    indexes: Option<&IndexProgress>,
    ended: Option<&JobCondition>,
) -> ListedPods {
    let job = observed.job;
    let policy = job.spec.as_ref().and_then(|spec| spec.pod_failure_policy.as_ref());
    let [listed_succeeded, listed_failed] = uncounted(job.status.as_ref());
    let listed = status.uncounted_terminated_pods.get_or_insert_default();
    let mut pods: Vec<&Arc<Pod>> = observed.pods.iter().filter(|pod| facts::is_tracked(pod)).collect();
    if indexes.is_some() {
        pods.sort_by_key(|pod| facts::index(pod));
    }
    let is_kept = |pod: &Pod| {
        let kept = indexes.and_then(|indexes| indexes.kept.get(&indexes.index(pod)?));
        kept.is_some_and(|kept| facts::uid(kept) == facts::uid(pod))
    };
    let mut new_indexes = 0;
    let mut release = Vec::new();
    for pod in pods {
        let succeeded = facts::has_succeeded(pod);
        let failed = facts::has_failed(pod, job);
        let over = job.metadata.deletion_timestamp.is_some() || ended.is_some();
        if !(over || succeeded || failed && !is_kept(pod)) {
            continue;
        }
        release.push(pod.clone());
        let uid = facts::uid(pod);
        let index = indexes.map(|indexes| indexes.index(pod));
        if succeeded && !listed_failed.contains(uid) {
            match (indexes, index) {
                // The index itself is enough to count it once.
                (Some(indexes), Some(Some(index))) if !indexes.counted.contains(index) => new_indexes += 1,
                (None, _) if !listed_succeeded.contains(uid) => {
                    listed.succeeded.get_or_insert_default().push(uid.to_owned());
                }
                _ => {}
            }
        } else if failed || ended.is_some_and(|ended| ended.type_ == FAILURE) {
            let counts = !listed_failed.contains(uid) && index != Some(None);
            if counts && verdict(policy, pod) != Verdict::Ignore {
                listed.failed.get_or_insert_default().push(uid.to_owned());
            }
        }
        let length = |uids: &Option<Vec<String>>| uids.as_ref().map_or(0, Vec::len);
        if new_indexes + length(&listed.succeeded) + length(&listed.failed) >= UNCOUNTED_MAX {
            return ListedPods { release, all: false };
        }
    }
    ListedPods { release, all: true }
}

impl Listed {
    /// The second step, after these Pods have lost their finalizers. If `all` have, the Job may be over.
    pub(super) fn settle(&self, released: &BTreeSet<String>, all: bool) -> Settled {
        let mut status = self.status.clone();
        let tracked: BTreeSet<String> = self.tracked.difference(released).cloned().collect();
        count_released(&mut status, &tracked);
        let left = status.uncounted_terminated_pods != Some(UncountedTerminatedPods::default());
        let Some(last) = self.last.as_ref().filter(|_| all && !left && status.terminating.unwrap_or(0) == 0) else {
            return Settled { status, said: Vec::new() };
        };
        let mut said = Vec::new();
        if last.type_ == "Complete" {
            if self.completions.is_some_and(|completions| status.succeeded.unwrap_or(0) > completions) {
                let message = "Too many succeeded pods running after completion count reached";
                said.push(Said::warning("TooManySucceededPods", message));
            }
            said.push(Said::normal("Completed", "Job completed"));
            status.completion_time = Some(end::time(self.now));
        } else {
            let [reason, message] = [&last.reason, &last.message].map(|text| text.clone().unwrap_or_default());
            said.push(Said::warning(reason, message));
        }
        status.conditions.get_or_insert_default().push(last.clone());
        Settled { status, said }
    }
}

#[cfg(test)]
mod tests;
