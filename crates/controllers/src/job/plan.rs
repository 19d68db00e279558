//! Which Pods a Job gets and loses, and whether it is over. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use super::backoff::Failures;
use super::end;
use super::facts;
use super::failure_policy::{Verdict, verdict};
use super::indexes::Indexes;
use super::removal::{IndexFailures, failed_last, removed};
use crate::pods;

/// The most Pods that one step makes or deletes.
const BURST: usize = 500;

/// What the controller sees.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    pub(super) job: &'a Job,
    /// The Job's Pods, those that have ended or end included.
    pub(super) pods: &'a [Arc<Pod>],
    /// What is known of earlier failures.
    pub(super) failures: Failures,
    pub(super) now: Timestamp,
}

/// A Pod to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NewPod {
    pub(super) index: Option<i32>,
    /// Of its index, where the Job limits them by index.
    pub(super) failures: Option<IndexFailures>,
}

/// What to do with Pods.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PodChange {
    None,
    Create(Vec<NewPod>),
    /// There are too many of them: they go uncounted.
    Delete(Vec<Arc<Pod>>),
    /// The Job is over: they go and stay until they are counted.
    End(Vec<Arc<Pod>>),
}

/// What to do.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) pods: PodChange,
    /// The failures that are known now.
    pub(super) failures: Failures,
    /// When time alone changes something.
    pub(super) requeue_after: Option<Duration>,
    pub(super) counted: Counted,
}

/// What the plan was made from, before its own changes.
#[derive(Debug)]
pub(super) struct Counted {
    /// The status that the Job had, with the time of its start.
    pub(super) status: JobStatus,
    /// Pods that neither have ended nor are ending.
    pub(super) active: i32,
    pub(super) ready: i32,
    pub(super) terminating: i32,
    /// Pods that succeeded, those that the status has yet to count included.
    pub(super) succeeded: i32,
    pub(super) indexes: Option<IndexProgress>,
    /// Why the Job is about to end.
    pub(super) ended: Option<JobCondition>,
    /// Whether the Job's Pods were looked after: only then it may be said that it is suspended or resumed.
    pub(super) managed: bool,
}

/// How far an indexed Job is.
#[derive(Debug)]
pub(super) struct IndexProgress {
    pub(super) completions: i32,
    /// Those that the status counts.
    pub(super) counted: Indexes,
    pub(super) succeeded: Indexes,
    /// Where the Job limits failures by index.
    pub(super) failed: Option<Indexes>,
    /// Failed Pods that stay until they are replaced, for the replacement has to go on counting.
    pub(super) kept: BTreeMap<i32, Arc<Pod>>,
}

impl IndexProgress {
    /// A Pod's index, if it is one of the Job's.
    pub(super) fn index(&self, pod: &Pod) -> Option<i32> {
        facts::index(pod).filter(|index| *index < self.completions)
    }
}

/// Decides.
pub(super) fn plan(observed: &Observed<'_>) -> Plan {
    let (job, now) = (observed.job, observed.now);
    let default = JobSpec::default();
    let spec = job.spec.as_ref().unwrap_or(&default);
    let mut status = job.status.clone().unwrap_or_default();
    if status.start_time.is_none() && !facts::is_suspended(job) {
        status.start_time = Some(end::time(now));
    }
    let active: Vec<Arc<Pod>> = observed.pods.iter().filter(|pod| pods::is_active(pod)).cloned().collect();
    let Ended { succeeded: new_succeeded, failed: new_failed, uncounted } = newly_ended(job, observed.pods);
    let policy = spec.pod_failure_policy.as_ref();
    let counts = |pod: &&Arc<Pod>| verdict(policy, pod) != Verdict::Ignore;
    let failed = status.failed.unwrap_or(0) + number(new_failed.iter().filter(counts).count()) + uncounted[1];
    let failures = observed.failures.and(&new_succeeded, &new_failed);
    let indexes = facts::indexed_completions(job).map(|completions| progress(observed, completions, &active));
    let succeeded = match &indexes {
        Some(indexes) => indexes.succeeded.len(),
        None => status.succeeded.unwrap_or(0) + number(new_succeeded.len()) + uncounted[0],
    };
    let facts = end::Facts { observed, spec, start: status.start_time.as_ref().map(|at| at.0), failed };
    let ended = end::reason(&facts, indexes.as_ref());
    let mut counted = Counted {
        active: number(active.len()),
        ready: number(active.iter().filter(|pod| pods::is_ready(pod)).count()),
        terminating: number(observed.pods.iter().filter(|pod| pods::is_terminating(pod)).count()),
        status,
        succeeded,
        indexes,
        ended,
        managed: false,
    };
    let mut requeue_after = None;
    let pods = if counted.ended.is_some() {
        PodChange::End(active)
    } else {
        requeue_after = facts.deadline_left();
        if job.metadata.deletion_timestamp.is_some() {
            PodChange::None
        } else {
            counted.managed = true;
            let (pods, pause) = manage(observed, spec, &counted, &active, failures);
            requeue_after = [requeue_after, pause].into_iter().flatten().min();
            pods
        }
    };
    Plan { pods, failures, requeue_after, counted }
}

/// Pods that have ended and that the status does not list yet, and how many it lists: succeeded and failed.
struct Ended {
    succeeded: Vec<Arc<Pod>>,
    failed: Vec<Arc<Pod>>,
    uncounted: [i32; 2],
}

fn newly_ended(job: &Job, all: &[Arc<Pod>]) -> Ended {
    let [listed_succeeded, listed_failed] = uncounted(job.status.as_ref());
    let completions = facts::indexed_completions(job);
    let valid = |pod: &Pod| completions.is_none_or(|n| facts::index(pod).is_some_and(|index| index < n));
    let ended = |listed: &BTreeSet<&str>, has_ended: &dyn Fn(&Pod) -> bool| -> Vec<Arc<Pod>> {
        let tracked = all.iter().filter(|pod| facts::is_tracked(pod) && !listed.contains(facts::uid(pod)));
        tracked.filter(|pod| valid(pod) && has_ended(pod)).cloned().collect()
    };
    Ended {
        succeeded: ended(&listed_succeeded, &facts::has_succeeded),
        failed: ended(&listed_failed, &|pod| facts::has_failed(pod, job)),
        uncounted: [number(listed_succeeded.len()), number(listed_failed.len())],
    }
}

/// The uids of the Pods that have succeeded and failed and still have to be counted.
pub(super) fn uncounted(status: Option<&JobStatus>) -> [BTreeSet<&str>; 2] {
    let listed = status.and_then(|status| status.uncounted_terminated_pods.as_ref());
    let [succeeded, failed] = match listed {
        Some(listed) => [&listed.succeeded, &listed.failed],
        None => [&None, &None],
    };
    [succeeded, failed].map(|uids| uids.iter().flatten().map(String::as_str).collect())
}

fn progress(observed: &Observed<'_>, completions: i32, active: &[Arc<Pod>]) -> IndexProgress {
    let (job, status) = (observed.job, observed.job.status.as_ref());
    let read = |text: Option<&String>| Indexes::parse(text.map_or("", String::as_str), completions);
    let counted = read(status.and_then(|status| status.completed_indexes.as_ref()));
    let tracked: Vec<(i32, &Arc<Pod>)> = observed
        .pods
        .iter()
        .filter(|pod| facts::is_tracked(pod))
        .filter_map(|pod| Some((facts::index(pod).filter(|index| *index < completions)?, pod)))
        .collect();
    let succeeded = tracked.iter().filter(|(_, pod)| facts::has_succeeded(pod)).map(|(index, _)| *index);
    let succeeded = counted.union(&succeeded.collect());
    let mut progress = IndexProgress { completions, counted, succeeded, failed: None, kept: BTreeMap::new() };
    let spec = job.spec.as_ref();
    if let Some(limit) = spec.and_then(|spec| spec.backoff_limit_per_index) {
        let policy = spec.and_then(|spec| spec.pod_failure_policy.as_ref());
        let failed = tracked.iter().filter(|(_, pod)| {
            facts::has_failed(pod, job)
                && match verdict(policy, pod) {
                    Verdict::FailIndex => true,
                    Verdict::Ignore => false,
                    _ => facts::index_failures(pod)[0] >= limit,
                }
        });
        let failed = failed.map(|(index, _)| *index).collect();
        let failed = read(status.and_then(|status| status.failed_indexes.as_ref())).union(&failed);
        let running: BTreeSet<i32> = active.iter().filter_map(|pod| facts::index(pod)).collect();
        for (index, pod) in tracked {
            let over = progress.succeeded.contains(index) || failed.contains(index) || running.contains(&index);
            if facts::has_failed(pod, job) && !over {
                let last = progress.kept.entry(index).or_insert_with(|| pod.clone());
                *last = failed_last(last, pod).clone();
            }
        }
        progress.failed = Some(failed);
    }
    progress
}

/// The Pods to make or delete while the Job goes on, and how long nothing may be made.
fn manage(
    observed: &Observed<'_>,
    spec: &JobSpec,
    counted: &Counted,
    active: &[Arc<Pod>],
    failures: Failures,
) -> (PodChange, Option<Duration>) {
    let job = observed.job;
    if facts::is_suspended(job) {
        return (if active.is_empty() { PodChange::None } else { PodChange::Delete(active.to_vec()) }, None);
    }
    let parallelism = spec.parallelism.unwrap_or(1);
    let wanted = match spec.completions {
        // The first success lets the others run to their end, and none is made any more.
        None if counted.succeeded > 0 => counted.active,
        None => parallelism,
        Some(completions) => (completions - counted.succeeded).min(parallelism).max(0),
    };
    let surplus = usize::try_from(counted.active - wanted).unwrap_or(0);
    let mut removed = removed(active, surplus, counted.indexes.as_ref());
    if !removed.is_empty() {
        removed.truncate(BURST);
        return (PodChange::Delete(removed), None);
    }
    let ending = if facts::replaces_only_failed(job) { counted.terminating } else { 0 };
    let missing = usize::try_from(wanted - ending - counted.active).unwrap_or(0).min(BURST);
    if missing == 0 {
        return (PodChange::None, None);
    }
    let by_index = counted.indexes.as_ref().is_some_and(|indexes| indexes.failed.is_some());
    let pause = failures.remaining(observed.now);
    if !by_index && !pause.is_zero() {
        return (PodChange::None, Some(pause));
    }
    let Some(indexes) = &counted.indexes else {
        return (PodChange::Create(vec![NewPod { index: None, failures: None }; missing]), None);
    };
    let mut taken: BTreeSet<i32> = active.iter().filter_map(|pod| facts::index(pod)).collect();
    if facts::replaces_only_failed(job) {
        let terminating = observed.pods.iter().filter(|pod| pods::is_terminating(pod));
        taken.extend(terminating.filter_map(|pod| facts::index(pod)));
    }
    let mut done = indexes.succeeded.union(&taken.into_iter().collect());
    if let Some(failed) = &indexes.failed {
        done = done.union(failed);
    }
    let candidates = done.first_missing(missing, indexes.completions);
    if !by_index {
        let new = candidates.into_iter().map(|index| NewPod { index: Some(index), failures: None }).collect();
        return (PodChange::Create(new), None);
    }
    let (mut new, mut shortest) = (Vec::new(), None);
    for index in candidates {
        let before = indexes.kept.get(&index);
        let pause = before.map_or(Duration::ZERO, |pod| IndexFailures::of(pod).remaining(pod, observed.now));
        if pause.is_zero() {
            let failures = before.map(|pod| IndexFailures::after(pod, spec.pod_failure_policy.as_ref()));
            new.push(NewPod { index: Some(index), failures: Some(failures.unwrap_or_default()) });
        } else {
            shortest = [shortest, Some(pause)].into_iter().flatten().min();
        }
    }
    (if new.is_empty() { PodChange::None } else { PodChange::Create(new) }, shortest)
}

/// A number as statuses keep it.
pub(super) fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
pub(super) mod tests;
