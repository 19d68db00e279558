//! Takes back the word that a Pod is about to be disrupted, if it is not being deleted after two minutes.

use std::sync::Arc;
use std::time::Duration;

use api::resources::PODS;
use async_trait::async_trait;
use client::{Client, Informer, Outcome, PatchKind, ReconcileError, Reconciler, WorkQueue, run_controller};
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::context::ControllerContext;
use crate::pods;
use crate::settled::settled;

const TIMEOUT: SignedDuration = SignedDuration::from_mins(2);

struct Stale {
    client: Client,
    context: ControllerContext,
    pods: Informer,
}

/// Starts the part of the controller that does it.
pub(super) fn start(context: &ControllerContext, client: Client, pods: &Informer) {
    let queue = WorkQueue::new();
    let (changed, clock) = (queue.clone(), context.clock.clone());
    pods.on_change(move |change| {
        let object = change.object();
        if let Some(left) = object.typed::<Pod>().ok().and_then(|pod| left(&pod, clock.now())) {
            changed.add_after(object.meta().key(), left);
        }
    });
    let stale = Stale { client, context: context.clone(), pods: pods.clone() };
    run_controller(&context.supervisor, &queue, 1, Arc::new(stale));
}

fn disruption(pod: &Pod) -> Option<&PodCondition> {
    pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == "DisruptionTarget")
}

/// How long a Pod may still be said to be disrupted; `None` if it is not, or rightly. A kubelet that ends Pods takes its
/// time.
fn left(pod: &Pod, now: Timestamp) -> Option<Duration> {
    let condition = disruption(pod).filter(|condition| condition.status == "True")?;
    let by_kubelet = condition.reason.as_deref() == Some("TerminationByKubelet");
    if by_kubelet || pod.metadata.deletion_timestamp.is_some() || pods::has_ended(pod) {
        return None;
    }
    let since = condition.last_transition_time.as_ref().map_or(Timestamp::MIN, |at| at.0);
    let passed = now.duration_since(since);
    Some(Duration::try_from(TIMEOUT - passed.min(TIMEOUT)).unwrap_or_default())
}

#[async_trait]
impl Reconciler for Stale {
    fn name(&self) -> &'static str {
        "disruption-controller-stale"
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(object) = self.pods.store().get(key) else { return Ok(Outcome::Done) };
        let pod = object.typed::<Pod>()?;
        match left(&pod, self.context.clock.now()) {
            Some(left) if left.is_zero() => {}
            left => return Ok(left.map_or(Outcome::Done, Outcome::After)),
        }
        // Only a writer that says which generation it saw goes on saying it.
        let says_generation = pod.status.as_ref().is_some_and(|status| status.observed_generation.is_some())
            || disruption(&pod).is_some_and(|condition| condition.observed_generation.is_some());
        let meta = object.meta();
        let patch = json!({
            "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version.to_string()},
            "status": {"conditions": [{
                "type": "DisruptionTarget", "status": "False", "reason": null, "message": null,
                "lastTransitionTime": crate::time::now(&*self.context.clock),
                "observedGeneration": says_generation.then_some(meta.generation),
            }]},
        });
        match self.client.patch_status(PODS, &meta.namespace, &meta.name, PatchKind::Strategic, patch).await {
            Ok(_) => Ok(Outcome::Done),
            Err(error) => settled(error),
        }
    }
}

#[cfg(test)]
mod tests;
