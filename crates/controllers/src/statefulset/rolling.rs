//! The next step of a rolling update. Pure.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::plan::{Observed, Replica};
use crate::percent::scaled;
use crate::pods;

/// The Pods that go now: of those that are not updated, down to the partition, the broken ones, and then so many that no
/// more than `maxUnavailable` are missing, the highest ordinal first. (Where Pods keep their order, the broken ones were
/// waited for.)
pub(super) fn step(observed: &Observed<'_>, replicas: &[(i32, Replica<'_>)]) -> Vec<Arc<Pod>> {
    let strategy = observed.set.spec.update_strategy.as_ref();
    let rolling = strategy.and_then(|s| s.rolling_update.as_ref());
    let partition = usize::try_from(rolling.and_then(|r| r.partition).unwrap_or(0)).unwrap_or(0);
    let most = rolling.and_then(|r| r.max_unavailable.as_ref()).map_or(1, |v| scaled(v, observed.replicas(), false));
    let most = usize::try_from(most).unwrap_or(0).max(1);
    let missing = replicas.iter().filter(|(_, replica)| observed.lacks(replica)).count();
    let above = replicas.iter().skip(partition).rev();
    let stale = above.filter_map(|(_, replica)| match replica {
        Replica::Pod(pod) if replica.revision() != observed.update.name && !pods::is_leaving(pod) => Some(*pod),
        _ => None,
    });
    let (broken, healthy): (Vec<_>, Vec<_>) = stale.partition(|pod| observed.is_unavailable(pod));
    let healthy = healthy.into_iter().take(most.saturating_sub(missing));
    broken.into_iter().chain(healthy).cloned().collect()
}
