//! Whether a claim is used, and what follows. Pure.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ContainerStatus, PersistentVolumeClaim, Pod};
use k8s_openapi::jiff::Timestamp;
use registry::volumes::{claim_names, is_for_pod};
use serde_json::{Value, json};

use crate::pods;

/// Keeps a claim while Pods have it.
pub(super) const FINALIZER: &str = "kubernetes.io/pvc-protection";
/// The condition of a bound claim that says that no Pod wants it.
const UNUSED: &str = "Unused";

/// A change of the claim.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// The condition that says whether a Pod wants the claim.
    Unused(bool),
    /// What else has to be done before the claim goes.
    Finalizers(Vec<String>),
}

impl Step {
    /// Whether this is right only if there is no Pod that the copy lacks.
    pub(super) fn needs_absence(&self) -> bool {
        !matches!(self, Self::Unused(false))
    }
}

/// Decides. `pods` are all that name the claim, or more.
pub(super) fn plan(claim: &PersistentVolumeClaim, pods: &[Arc<Pod>]) -> Vec<Step> {
    let mut steps = Vec::new();
    let deleted = claim.metadata.deletion_timestamp.is_some();
    let status = claim.status.clone().unwrap_or_default();
    if !deleted && status.phase.as_deref() == Some("Bound") {
        let unused = !pods.iter().any(|pod| wants(pod, claim));
        let mut conditions = status.conditions.iter().flatten();
        let said = conditions.find(|condition| condition.type_ == UNUSED).map(|condition| condition.status == "True");
        if said != Some(unused) {
            steps.push(Step::Unused(unused));
        }
    }
    let mut finalizers = claim.metadata.finalizers.clone().unwrap_or_default();
    let protected = finalizers.iter().any(|finalizer| finalizer == FINALIZER);
    if deleted && protected && !pods.iter().any(|pod| holds(pod, claim)) {
        finalizers.retain(|finalizer| finalizer != FINALIZER);
        steps.push(Step::Finalizers(finalizers));
    } else if !deleted && !protected {
        finalizers.push(FINALIZER.to_owned());
        steps.push(Step::Finalizers(finalizers));
    }
    steps
}

/// Whether a Pod names the claim in its volumes; with `own` also as one that was made for it alone.
fn names(pod: &Pod, claim: &PersistentVolumeClaim, own: bool) -> bool {
    pod.metadata.namespace == claim.metadata.namespace
        && claim_names(pod).any(|(name, is_own)| {
            claim.metadata.name.as_deref() == Some(name.as_str())
                && (!is_own || (own && is_for_pod(pod, claim).is_ok()))
        })
}

/// Whether a kubelet may have mounted the claim. A Pod that waits for nothing but its finalizers may wait for its own
/// claims, which therefore go before it.
fn holds(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    let meta = &pod.metadata;
    let shut_down = meta.deletion_timestamp.is_some() && meta.deletion_grace_period_seconds == Some(0);
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
    !node.is_empty() && names(pod, claim, !shut_down)
}

/// Whether a Pod that has not ended names the claim.
fn wants(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    !is_terminated(pod) && names(pod, claim, true)
}

fn is_terminated(pod: &Pod) -> bool {
    let still = |statuses: &Option<Vec<ContainerStatus>>| {
        statuses.iter().flatten().all(|status| {
            status.state.as_ref().is_some_and(|state| state.terminated.is_some() || state.waiting.is_some())
        })
    };
    let status = pod.status.clone().unwrap_or_default();
    pods::has_ended(pod)
        || (pods::is_leaving(pod)
            && still(&status.init_container_statuses)
            && still(&status.container_statuses)
            && still(&status.ephemeral_container_statuses))
}

/// A claim's conditions with the one that says whether a Pod wants it.
pub(super) fn conditions(status: &Value, unused: bool, now: Timestamp) -> Vec<Value> {
    let mut all = status["conditions"].as_array().cloned().unwrap_or_default();
    let (value, reason, message) = if unused {
        ("True", "NoPodsUsingPVC", "No pods are currently referencing this PVC")
    } else {
        ("False", "PodUsingPVC", "A pod is currently referencing this PVC")
    };
    let condition = json!({
        "type": UNUSED, "status": value, "lastTransitionTime": now.to_string(), "reason": reason, "message": message,
    });
    match all.iter_mut().find(|condition| condition["type"] == UNUSED) {
        Some(before) => *before = condition,
        None => all.push(condition),
    }
    all
}

#[cfg(test)]
mod tests;
