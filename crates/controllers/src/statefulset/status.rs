//! What a StatefulSet's status says. Pure.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSetStatus;
use k8s_openapi::api::core::v1::Pod;

use super::identity;
use super::plan::Observed;
use crate::pods;

/// The status, before what is going to be done.
pub(super) fn count<'p>(observed: &Observed<'_>, pods: impl Iterator<Item = &'p Arc<Pod>>) -> StatefulSetStatus {
    let (mut replicas, mut ready, mut available, mut current, mut updated) = (0, 0, 0, 0, 0);
    for pod in pods {
        replicas += 1;
        if pods::phase(pod) == "Running" && pods::is_ready(pod) {
            ready += 1;
            available += i32::from(pods::is_available(pod, observed.min_ready_seconds(), observed.now));
        }
        if !pods::is_leaving(pod) {
            current += i32::from(identity::revision(pod) == observed.current.name);
            updated += i32::from(identity::revision(pod) == observed.update.name);
        }
    }
    let nonzero = |number: i32| (number != 0).then_some(number);
    StatefulSetStatus {
        observed_generation: observed.set.metadata.generation,
        replicas,
        ready_replicas: nonzero(ready),
        available_replicas: Some(available),
        current_replicas: nonzero(current),
        updated_replicas: nonzero(updated),
        current_revision: Some(observed.current.name.clone()),
        update_revision: Some(observed.update.name.clone()),
        collision_count: Some(observed.collisions),
        conditions: observed.set.status.as_ref().and_then(|status| status.conditions.clone()),
    }
}

/// Ends an update when all Pods are updated and ready.
pub(super) fn complete(observed: &Observed<'_>, status: &mut StatefulSetStatus) {
    let wanted = observed.replicas();
    let numbers = [status.replicas, status.ready_replicas.unwrap_or(0), status.updated_replicas.unwrap_or(0)];
    if numbers == [wanted; 3] {
        status.current_replicas = status.updated_replicas;
        status.current_revision = status.update_revision.clone();
    }
}

/// When the next Pod becomes available, where `minReadySeconds` makes that a matter of time.
pub(super) fn next_available(observed: &Observed<'_>) -> Option<Duration> {
    let left = |pod: &Arc<Pod>| pods::available_in(pod, observed.min_ready_seconds(), observed.now);
    observed.pods.iter().filter_map(left).filter(|left| !left.is_zero()).min()
}
