//! What several controllers read from a Pod.

use k8s_openapi::api::core::v1::{Pod, PodCondition};

/// The condition that says that a Pod is ready; `None` if it is not.
pub(crate) fn readiness(pod: &Pod) -> Option<&PodCondition> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    conditions.find(|c| c.type_ == "Ready" && c.status == "True")
}

/// Whether a Pod is ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    readiness(pod).is_some()
}
