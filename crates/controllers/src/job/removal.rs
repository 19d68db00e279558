//! Which Pods go first when there are too many, and what a Pod of an index inherits from the failed one before it
//! (upstream: `ActivePods` in `pkg/controller/controller_utils.go`, `indexed_job_utils.go`).

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::PodFailurePolicy;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use super::backoff::{Failures, finished_at};
use super::facts;
use super::failure_policy::{Verdict, verdict};
use super::plan::IndexProgress;
use crate::pods;

/// At least `surplus` of the active Pods, the least useful ones; of an indexed Job all that have no index of its own.
pub(super) fn removed(active: &[Arc<Pod>], surplus: usize, indexes: Option<&IndexProgress>) -> Vec<Arc<Pod>> {
    let mut ordered = active.to_vec();
    ordered.sort_by(usefulness);
    let (mut removed, mut left) = (Vec::new(), ordered);
    if let Some(indexes) = indexes {
        // The most useful Pod of each index stays.
        let mut best: BTreeMap<i32, Arc<Pod>> = BTreeMap::new();
        for pod in left {
            match indexes.index(&pod) {
                Some(index) => removed.extend(best.insert(index, pod)),
                None => removed.push(pod),
            }
        }
        left = best.into_values().collect();
        left.sort_by(usefulness);
    }
    let more = surplus.saturating_sub(removed.len());
    removed.extend(left.into_iter().take(more));
    removed
}

/// Orders by usefulness: Pods on a node, running, ready, for a long time, with few restarts, of great age come last.
fn usefulness(a: &Arc<Pod>, b: &Arc<Pod>) -> Ordering {
    let on_node = |pod: &Pod| pod.spec.as_ref().and_then(|s| s.node_name.as_ref()).is_some_and(|n| !n.is_empty());
    let phase = |pod: &Pod| match pods::phase(pod) {
        "Running" => 2,
        "Unknown" => 1,
        _ => 0,
    };
    let since = |pod: &Pod| pods::readiness(pod).map(|c| Reverse(c.last_transition_time.as_ref().map(|t| t.0)));
    let created = |pod: &Pod| Reverse(pod.metadata.creation_timestamp.as_ref().map(|at| at.0));
    let restarts = |pod: &Pod| {
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        Reverse(statuses.map(|status| status.restart_count).max().unwrap_or(0))
    };
    let key = |pod: &Pod| (on_node(pod), phase(pod), pods::is_ready(pod));
    key(a)
        .cmp(&key(b))
        .then_with(|| since(a).cmp(&since(b)))
        .then_with(|| restarts(a).cmp(&restarts(b)))
        .then_with(|| created(a).cmp(&created(b)))
        .then_with(|| facts::uid(a).cmp(facts::uid(b)))
}

/// How often Pods of an index have failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct IndexFailures {
    pub(super) counted: i32,
    /// Those that the failure policy ignores.
    pub(super) ignored: i32,
}

impl IndexFailures {
    /// Before `pod`.
    pub(super) fn of(pod: &Pod) -> Self {
        let [counted, ignored] = facts::index_failures(pod);
        Self { counted, ignored }
    }

    /// With the failure of `pod`.
    pub(super) fn after(pod: &Pod, policy: Option<&PodFailurePolicy>) -> Self {
        let before = Self::of(pod);
        match verdict(policy, pod) {
            Verdict::Ignore => Self { ignored: before.ignored.saturating_add(1), ..before },
            _ => Self { counted: before.counted.saturating_add(1), ..before },
        }
    }

    /// How long `pod`, which failed after these failures, may not be replaced.
    pub(super) fn remaining(self, pod: &Pod, now: Timestamp) -> Duration {
        let count = self.counted.saturating_add(self.ignored).saturating_add(1);
        Failures { count, last: Some(finished_at(pod)) }.remaining(now)
    }
}

/// Which of two Pods of one index failed last.
pub(super) fn failed_last<'a>(a: &'a Arc<Pod>, b: &'a Arc<Pod>) -> &'a Arc<Pod> {
    let order = |pod: &Pod| (facts::index_failures(pod).iter().sum::<i32>(), finished_at(pod));
    let ((count_a, time_a), (count_b, time_b)) = (order(a), order(b));
    if count_a <= count_b && time_a <= time_b { b } else { a }
}

#[cfg(test)]
mod tests;
