//! How many Pods to make or which to delete, and the set's status. Pure.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::ApiError;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::rank::order;
use crate::pods;

/// The most Pods that one step makes or deletes.
const BURST: usize = 500;

/// What the controller sees.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    pub(super) set: &'a ReplicaSet,
    /// The set's Pods, those that end included.
    pub(super) pods: &'a [Arc<Pod>],
    pub(super) now: Timestamp,
}

/// What to do with Pods.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PodChange {
    None,
    Create(usize),
    Delete(Vec<Arc<Pod>>),
}

/// What to do.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) pods: PodChange,
    counted: ReplicaSetStatus,
    /// When the next Pod becomes available, where `minReadySeconds` makes that a matter of time.
    pub(super) requeue_after: Option<Duration>,
}

/// Decides.
pub(super) fn plan(observed: &Observed<'_>) -> Plan {
    let set = observed.set;
    let active: Vec<Arc<Pod>> = observed.pods.iter().filter(|pod| pods::is_active(pod)).cloned().collect();
    let desired = set.spec.replicas.unwrap_or(1);
    let desired = usize::try_from(desired).unwrap_or(0);
    let pods = if set.metadata.deletion_timestamp.is_some() {
        PodChange::None
    } else if active.len() < desired {
        PodChange::Create((desired - active.len()).min(BURST))
    } else if active.len() > desired {
        let count = (active.len() - desired).min(BURST);
        PodChange::Delete(order(&active, observed.now).into_iter().take(count).collect())
    } else {
        PodChange::None
    };
    let (counted, requeue_after) = count(observed, &active);
    Plan { pods, counted, requeue_after }
}

fn count(observed: &Observed<'_>, active: &[Arc<Pod>]) -> (ReplicaSetStatus, Option<Duration>) {
    let spec = &observed.set.spec;
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let template_labels =
        spec.template.as_ref().and_then(|t| t.metadata.as_ref()).and_then(|m| m.labels.clone()).unwrap_or_default();
    let (mut labelled, mut ready, mut available) = (0, 0, 0);
    let mut next: Option<Duration> = None;
    for pod in active {
        let labels = pod.metadata.labels.as_ref();
        if template_labels.iter().all(|(k, v)| labels.and_then(|l| l.get(k)) == Some(v)) {
            labelled += 1;
        }
        let Some(left) = pods::available_in(pod, min_ready, observed.now) else { continue };
        ready += 1;
        if left.is_zero() {
            available += 1;
        } else {
            next = Some(next.map_or(left, |n| n.min(left)));
        }
    }
    let terminating = observed.pods.iter().filter(|pod| pods::is_terminating(pod)).count();
    let nonzero = |n: i32| (n != 0).then_some(n);
    let status = ReplicaSetStatus {
        replicas: i32::try_from(active.len()).unwrap_or(i32::MAX),
        fully_labeled_replicas: nonzero(labelled),
        ready_replicas: nonzero(ready),
        available_replicas: nonzero(available),
        terminating_replicas: Some(i32::try_from(terminating).unwrap_or(i32::MAX)),
        observed_generation: observed.set.metadata.generation,
        conditions: observed.set.status.as_ref().and_then(|s| s.conditions.clone()),
    };
    (status, next)
}

impl Plan {
    /// The set's status, with what became of the change of Pods.
    pub(super) fn status(&self, failure: Option<&ApiError>, now: Timestamp) -> ReplicaSetStatus {
        let mut status = self.counted.clone();
        let reason = match self.pods {
            PodChange::Create(_) => "FailedCreate",
            _ => "FailedDelete",
        };
        let conditions = status.conditions.get_or_insert_default();
        match failure {
            Some(error) if !conditions.iter().any(|c| c.type_.as_deref() == Some("ReplicaFailure")) => {
                conditions.push(ReplicaSetCondition {
                    type_: Some("ReplicaFailure".to_owned()),
                    status: Some("True".to_owned()),
                    reason: Some(reason.to_owned()),
                    message: Some(error.message.clone()),
                    last_transition_time: Some(Time(now)),
                });
            }
            Some(_) => {}
            None => conditions.retain(|c| c.type_.as_deref() != Some("ReplicaFailure")),
        }
        if conditions.is_empty() {
            status.conditions = None;
        }
        status
    }
}

#[cfg(test)]
mod tests;
