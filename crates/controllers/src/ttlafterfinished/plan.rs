//! How long a Job may stay. Pure.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::job::finished;

/// How much of its time a Job has left; `None` if it has not ended, is being deleted or may stay for ever.
pub(super) fn left(job: &Job, now: Timestamp) -> Option<Duration> {
    let seconds = job.spec.as_ref()?.ttl_seconds_after_finished?;
    let ended = finished(job)?.last_transition_time.as_ref()?.0;
    if job.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let left = SignedDuration::from_secs(seconds.into()) - now.duration_since(ended);
    Some(Duration::try_from(left).unwrap_or_default())
}

#[cfg(test)]
mod tests;
