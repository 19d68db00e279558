//! How long to wait before failed Pods are replaced: 10 s after the first failure, twice as long after each further one
//! (upstream: `backoff_utils.go`).

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

const INITIAL: SignedDuration = SignedDuration::from_secs(10);
const MAX: SignedDuration = SignedDuration::from_mins(10);

/// The failures of a Job's Pods since one of them last succeeded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Failures {
    pub(super) count: i32,
    pub(super) last: Option<Timestamp>,
}

impl Failures {
    /// With the Pods that have ended since.
    pub(super) fn and(self, succeeded: &[Arc<Pod>], failed: &[Arc<Pod>]) -> Self {
        let times = |pods: &[Arc<Pod>]| pods.iter().map(|pod| finished_at(pod)).collect::<Vec<_>>();
        let (succeeded, failed) = (times(succeeded), times(failed));
        let Some(success) = succeeded.iter().max() else {
            let count = self.count.saturating_add(i32::try_from(failed.len()).unwrap_or(i32::MAX));
            return Self { count, last: failed.into_iter().max().or(self.last) };
        };
        let after: Vec<_> = failed.iter().filter(|failure| *failure > success).collect();
        Self { count: i32::try_from(after.len()).unwrap_or(i32::MAX), last: after.into_iter().max().copied() }
    }

    /// How long no Pod may be made; zero if one may be.
    pub(super) fn remaining(self, now: Timestamp) -> Duration {
        let Some(last) = self.last.filter(|_| self.count > 0) else { return Duration::ZERO };
        let doublings = u32::try_from(self.count - 1).unwrap_or(0).min(16);
        let pause = INITIAL.saturating_mul(1 << doublings).min(MAX);
        Duration::try_from(pause - now.duration_since(last)).unwrap_or_default()
    }
}

/// When a Pod ended. One whose containers no node has reported upon ended when it stopped being ready or was deleted.
pub(super) fn finished_at(pod: &Pod) -> Timestamp {
    let metadata = &pod.metadata;
    let deleted = metadata.deletion_timestamp.as_ref().map(|at| {
        at.0.saturating_sub(SignedDuration::from_secs(metadata.deletion_grace_period_seconds.unwrap_or(0)))
            .unwrap_or(at.0)
    });
    let created = || metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |at| at.0);
    containers_finished_at(pod).or_else(|| not_ready_since(pod)).or(deleted).unwrap_or_else(created)
}

/// When the last container ended, if all have; sidecars end after the others.
fn containers_finished_at(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let init = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let sidecars: Vec<_> =
        init.filter(|c| c.restart_policy.as_deref() == Some("Always")).map(|c| c.name.as_str()).collect();
    let mut last = None;
    let of_sidecars =
        status.init_container_statuses.iter().flatten().filter(|status| sidecars.contains(&status.name.as_str()));
    for container in status.container_statuses.iter().flatten().chain(of_sidecars) {
        last = last.max(Some(ended_at(container)?));
    }
    last
}

fn ended_at(container: &ContainerStatus) -> Option<Timestamp> {
    let terminated = container.state.as_ref()?.terminated.as_ref()?;
    Some(terminated.finished_at.as_ref()?.0)
}

fn not_ready_since(pod: &Pod) -> Option<Timestamp> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let ready = conditions.find(|c| c.type_ == "Ready" && c.status == "False")?;
    Some(ready.last_transition_time.as_ref()?.0)
}

#[cfg(test)]
mod tests;
