//! Why a Job ends, and the conditions that say so.

use std::time::Duration;

use k8s_openapi::api::batch::v1::{JobCondition, JobSpec, SuccessPolicy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::facts;
use super::failure_policy::{Verdict, verdict};
use super::indexes::Indexes;
use super::plan::{IndexProgress, Observed};
use crate::pods;
use crate::time::whole_seconds;

/// The Job is about to succeed, or to fail; what remains is to count its Pods.
pub(super) const SUCCESS: &str = "SuccessCriteriaMet";
pub(super) const FAILURE: &str = "FailureTarget";

/// `now`, as the API keeps it.
pub(super) fn time(now: Timestamp) -> Time {
    Time(whole_seconds(now))
}

/// A condition that is true since `now`.
pub(super) fn condition(kind: &str, reason: &str, message: &str, now: Timestamp) -> JobCondition {
    JobCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(time(now)),
        last_transition_time: Some(time(now)),
    }
}

/// What the end depends on, apart from indexes.
pub(super) struct Facts<'a> {
    pub(super) observed: &'a Observed<'a>,
    pub(super) spec: &'a JobSpec,
    pub(super) start: Option<Timestamp>,
    /// Pods that failed, those that the status has yet to count included.
    pub(super) failed: i32,
}

/// Why the Job is about to end; `None` if it goes on. What was decided before stands; failures come before successes.
pub(super) fn reason(facts: &Facts<'_>, indexes: Option<&IndexProgress>) -> Option<JobCondition> {
    let now = facts.observed.now;
    let failed = |reason: &str, message: &str| Some(condition(FAILURE, reason, message, now));
    let before = |kind| facts::true_condition(facts.observed.job, kind).cloned();
    if let Some(decided) = before(SUCCESS).or_else(|| before(FAILURE)) {
        return Some(decided);
    }
    if let Some(message) = facts.policy_failure() {
        return failed("PodFailurePolicy", &message);
    }
    let limit = facts.spec.backoff_limit.unwrap_or(6);
    if facts.failed > limit || facts.restarts_exceed(limit) {
        return failed("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    }
    if facts.deadline_left().is_some_and(|left| left.is_zero()) {
        return failed("DeadlineExceeded", "Job was active longer than specified deadline");
    }
    let indexes = indexes?;
    if let Some(lost) = &indexes.failed {
        if facts.spec.max_failed_indexes.is_some_and(|max| lost.len() > max) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return failed("MaxFailedIndexesExceeded", message);
        }
        if !lost.is_empty() && lost.len() + indexes.succeeded.len() >= indexes.completions {
            return failed("FailedIndexes", "Job has failed indexes");
        }
    }
    let rule = met(facts.spec.success_policy.as_ref()?, indexes)?;
    Some(condition(SUCCESS, "SuccessPolicy", &format!("Matched rules at index {rule}"), now))
}

/// The first rule of the success policy that is met.
fn met(policy: &SuccessPolicy, indexes: &IndexProgress) -> Option<usize> {
    let succeeded = &indexes.succeeded;
    if succeeded.is_empty() {
        return None;
    }
    policy.rules.iter().position(|rule| match &rule.succeeded_indexes {
        Some(text) => {
            let wanted = Indexes::parse(text, indexes.completions);
            let done = wanted.overlap(succeeded);
            !wanted.is_empty() && (done == wanted.len() || rule.succeeded_count.is_some_and(|count| done >= count))
        }
        None => rule.succeeded_count.is_some_and(|count| succeeded.len() >= count),
    })
}

impl Facts<'_> {
    /// What the failure policy says if it ends the Job.
    fn policy_failure(&self) -> Option<String> {
        let policy = self.spec.pod_failure_policy.as_ref()?;
        let failed = self.observed.pods.iter().filter(|pod| facts::has_failed(pod, self.observed.job));
        failed
            .filter_map(|pod| match verdict(Some(policy), pod) {
                Verdict::FailJob(message) => Some(message),
                _ => None,
            })
            .next()
    }

    /// Whether containers that are started again in their Pod have failed too often.
    fn restarts_exceed(&self, limit: i32) -> bool {
        let template = self.spec.template.spec.as_ref();
        if template.and_then(|spec| spec.restart_policy.as_deref()) != Some("OnFailure") {
            return false;
        }
        let statuses = self
            .observed
            .pods
            .iter()
            .filter(|pod| matches!(pods::phase(pod), "Running" | "Pending"))
            .filter_map(|pod| pod.status.as_ref());
        let restarts: i32 = statuses
            .flat_map(|status| [&status.init_container_statuses, &status.container_statuses])
            .flatten()
            .flatten()
            .map(|container| container.restart_count)
            .sum();
        if limit == 0 { restarts > 0 } else { restarts >= limit }
    }

    /// How long the Job may still be active; `None` if there is no limit or its time does not run.
    pub(super) fn deadline_left(&self) -> Option<Duration> {
        let allowed = SignedDuration::from_secs(self.spec.active_deadline_seconds?);
        let start = self.start.filter(|_| !facts::is_suspended(self.observed.job))?;
        Some(Duration::try_from(allowed - self.observed.now.duration_since(start)).unwrap_or_default())
    }
}
