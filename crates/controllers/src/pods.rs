//! What several controllers read from a Pod.

use std::time::Duration;

use apimachinery::Object;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// The index of Pods by the keys of their claims.
pub(crate) const BY_CLAIM: &str = "claim";

/// The values of [`BY_CLAIM`].
pub(crate) fn claim_keys(pod: &Object) -> Vec<String> {
    let Ok(typed) = pod.typed::<Pod>() else { return Vec::new() };
    registry::volumes::claim_names(&typed).map(|(name, _)| format!("{}/{name}", pod.meta().namespace)).collect()
}

/// The condition that says that a Pod is ready; `None` if it is not.
pub(crate) fn readiness(pod: &Pod) -> Option<&PodCondition> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    conditions.find(|c| c.type_ == "Ready" && c.status == "True")
}

/// Whether a Pod is ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    readiness(pod).is_some()
}

/// A Pod's phase; empty if it has none yet.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether a Pod has ended.
pub(crate) fn has_ended(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether a Pod counts for its owner: it neither has ended nor is ending.
pub(crate) fn is_active(pod: &Pod) -> bool {
    !has_ended(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// Whether a Pod is on its way out.
pub(crate) fn is_terminating(pod: &Pod) -> bool {
    !has_ended(pod) && pod.metadata.deletion_timestamp.is_some()
}

/// Since when a Pod is ready; `None` if it is not.
pub(crate) fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = readiness(pod)?;
    Some(ready.last_transition_time.as_ref().map_or(Timestamp::MIN, |t| t.0))
}

/// How long until a Pod has been ready for `min_ready_seconds`, which makes it available; `None` if it is not ready.
pub(crate) fn available_in(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> Option<Duration> {
    let since = ready_since(pod)?;
    if min_ready_seconds == 0 {
        return Some(Duration::ZERO);
    }
    let left = SignedDuration::from_secs(min_ready_seconds.into()) - now.duration_since(since);
    Some(Duration::try_from(left).unwrap_or_default())
}

/// Whether a Pod has been ready for `min_ready_seconds`.
pub(crate) fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    available_in(pod, min_ready_seconds, now) == Some(Duration::ZERO)
}

/// Whether a Pod is being deleted.
pub(crate) fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}
