//! What a CronJob has to do now: forget Jobs that have ended, delete the oldest of them, start the next one. Pure.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::schedule::{self, Missed};
use crate::job::finished;
use crate::said::Said;

/// What the controller sees.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    pub(super) cron: &'a CronJob,
    /// The Jobs that it controls.
    pub(super) jobs: &'a [Arc<Job>],
    /// Uids in the status' list of Jobs that there are no more.
    pub(super) gone: &'a BTreeSet<String>,
    pub(super) now: Timestamp,
}

/// What to do, in this order.
#[derive(Debug)]
pub(super) struct Plan {
    /// Jobs that have ended and are more than the history keeps.
    pub(super) forget: Vec<Arc<Job>>,
    pub(super) said: Vec<Said>,
    /// The status without what is started.
    pub(super) status: CronJobStatus,
    /// The Job to start.
    pub(super) start: Option<Start>,
    pub(super) requeue_after: Option<Duration>,
}

/// A Job to start.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Start {
    /// The time of the schedule at which it should have started.
    pub(super) at: Timestamp,
    pub(super) name: String,
    /// Jobs whose place it takes.
    pub(super) replaces: Vec<ObjectReference>,
}

/// Decides.
pub(super) fn plan(observed: &Observed<'_>) -> Plan {
    let spec = &observed.cron.spec;
    let forget = forget(observed.jobs, spec);
    let mut plan = Plan {
        forget,
        said: Vec::new(),
        status: observed.cron.status.clone().unwrap_or_default(),
        start: None,
        requeue_after: None,
    };
    follow(observed, &mut plan);
    if observed.cron.metadata.deletion_timestamp.is_none() {
        decide(observed, spec, &mut plan);
    }
    plan.status.active = plan.status.active.take().filter(|active| !active.is_empty());
    plan
}

fn uid(job: &Job) -> &str {
    job.metadata.uid.as_deref().unwrap_or_default()
}

fn name(job: &Job) -> &str {
    job.metadata.name.as_deref().unwrap_or_default()
}

/// The oldest of the Jobs that have ended, beyond what is kept of the successful and of the failed ones.
fn forget(jobs: &[Arc<Job>], spec: &CronJobSpec) -> Vec<Arc<Job>> {
    let limits = [("Complete", spec.successful_jobs_history_limit), ("Failed", spec.failed_jobs_history_limit)];
    let oldest = limits.into_iter().flat_map(|(kind, limit)| {
        let mut ended: Vec<_> =
            jobs.iter().filter(|job| finished(job).is_some_and(|condition| condition.type_ == kind)).cloned().collect();
        ended.sort_by(|a, b| by_start(a, b));
        let kept = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0));
        ended.truncate(ended.len().saturating_sub(kept));
        ended
    });
    oldest.collect()
}

fn by_start(a: &Job, b: &Job) -> Ordering {
    let started = |job: &Job| job.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|at| at.0);
    let (start_a, start_b) = (started(a), started(b));
    let unstarted = start_a.is_none().cmp(&start_b.is_none());
    unstarted.then_with(|| start_a.cmp(&start_b)).then_with(|| name(a).cmp(name(b)))
}

/// Brings the list of active Jobs up to date.
fn follow(observed: &Observed<'_>, plan: &mut Plan) {
    let mut active = plan.status.active.take().unwrap_or_default();
    let forgotten: BTreeSet<&str> = plan.forget.iter().map(|job| uid(job)).collect();
    active.retain(|listed| !listed.uid.as_deref().is_some_and(|uid| forgotten.contains(uid)));
    for job in observed.jobs {
        let listed = active.iter().position(|listed| listed.uid.as_deref() == Some(uid(job)));
        let Some(condition) = finished(job) else {
            if listed.is_none() {
                let message = format!("Saw a job that the controller did not create or forgot: {}", name(job));
                plan.said.push(Said::warning("UnexpectedJob", message));
            }
            continue;
        };
        if let Some(at) = listed {
            active.remove(at);
            let message = format!("Saw completed job: {}, condition: {}", name(job), condition.type_);
            plan.said.push(Said::normal("SawCompletedJob", message));
        }
        let completed = job.status.as_ref().and_then(|status| status.completion_time.clone());
        let last = &mut plan.status.last_successful_time;
        if condition.type_ == "Complete" && completed.as_ref().map(|at| at.0) > last.as_ref().map(|at| at.0) {
            *last = completed;
        }
    }
    let gone = |listed: &ObjectReference| listed.uid.as_ref().is_some_and(|uid| observed.gone.contains(uid));
    for listed in active.extract_if(.., |listed| gone(listed)) {
        let message = format!("Active job went missing: {}", listed.name.unwrap_or_default());
        plan.said.push(Said::normal("MissingJob", message));
    }
    plan.status.active = Some(active);
}

/// Whether to start a Job now, and when to look again.
fn decide(observed: &Observed<'_>, spec: &CronJobSpec, plan: &mut Plan) {
    let (cron, now) = (observed.cron, observed.now);
    if let (Some(name), Some(Err(error))) = (&spec.time_zone, schedule::zone(cron)) {
        plan.said.push(Said::warning("UnknownTimeZone", format!("invalid timeZone: {name:?}: {error}")));
        return;
    }
    if spec.suspend == Some(true) {
        return;
    }
    let text = &spec.schedule;
    if text.contains("TZ") {
        let more = "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details";
        let message = format!("CRON_TZ or TZ used in schedule {text:?} is not officially supported, see {more}");
        plan.said.push(Said::warning("UnsupportedSchedule", message));
    }
    let parsed = match schedule::of(cron) {
        Ok(parsed) => parsed,
        Err(error) => {
            plan.said.push(Said::warning("UnparseableSchedule", format!("unparseable schedule: {text:?} : {error}")));
            return;
        }
    };
    let past = match schedule::past(cron, &parsed, now, true) {
        Ok(past) => past,
        Err(error) => {
            plan.said.push(Said::warning("InvalidSchedule", format!("invalid schedule: {text} : {error}")));
            return;
        }
    };
    plan.requeue_after = Some(schedule::next_in(cron, &parsed, now));
    let Some(at) = past.most_recent else { return };
    if past.missed == Missed::Many {
        let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
        plan.said.push(Said::warning("TooManyMissedTimes", message));
    }
    let deadline = spec.starting_deadline_seconds.map(SignedDuration::from_secs);
    if deadline.is_some_and(|deadline| now.duration_since(at) > deadline) {
        let at = at.strftime("%a, %d %b %Y %H:%M:%S +0000");
        plan.said.push(Said::warning("MissSchedule", format!("Missed scheduled time to start a job: {at}")));
        return;
    }
    let name = job_name(cron, at);
    let active = plan.status.active.iter().flatten();
    let started = plan.status.last_schedule_time.as_ref().is_some_and(|last| last.0 == at);
    if started || active.clone().any(|listed| listed.name.as_ref() == Some(&name)) {
        return;
    }
    let mut replaces = Vec::new();
    match spec.concurrency_policy.as_deref() {
        Some("Forbid") if active.clone().next().is_some() => {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            plan.said.push(Said::normal("JobAlreadyActive", message));
            return;
        }
        Some("Replace") => replaces.extend(active.cloned()),
        _ => {}
    }
    // Once it has started, the next wait counts from there.
    let mut after = cron.clone();
    after.status.get_or_insert_default().last_schedule_time = Some(Time(at));
    plan.requeue_after = Some(schedule::next_in(&after, &parsed, now));
    plan.start = Some(Start { at, name, replaces });
}

/// A name by the minute, so that no time starts two Jobs.
fn job_name(cron: &CronJob, at: Timestamp) -> String {
    format!("{}-{}", cron.metadata.name.as_deref().unwrap_or_default(), at.as_second() / 60)
}

#[cfg(test)]
mod tests;
