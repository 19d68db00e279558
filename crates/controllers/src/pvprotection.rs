//! A volume that is deleted stays until no claim has it (upstream: `pkg/controller/volume/pvprotection`).

use std::sync::Arc;

use api::resources::PERSISTENTVOLUMES;
use apimachinery::Meta;
use async_trait::async_trait;
use client::{Client, Informer, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller};
use k8s_openapi::api::core::v1::PersistentVolume;

use crate::context::ControllerContext;
use crate::settled::settled;

const NAME: &str = "pv-protection-controller";
/// Keeps a volume while a claim has it.
const FINALIZER: &str = "kubernetes.io/pv-protection";

struct Protection {
    client: Client,
    context: ControllerContext,
    volumes: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let volumes = context.informers.of(PERSISTENTVOLUMES);
    volumes.on_change(crate::owner::enqueue(&queue));
    let protection = Protection { client: context.client(NAME), context: context.clone(), volumes };
    run_controller(&context.supervisor, &queue, 1, Arc::new(protection));
}

/// The finalizers that a volume should have; `None` if it has these.
fn plan(meta: &Meta, phase: Option<&str>) -> Option<Vec<String>> {
    let mut finalizers = meta.finalizers.clone();
    let protected = finalizers.iter().any(|finalizer| finalizer == FINALIZER);
    match (meta.deletion_timestamp.is_some(), protected) {
        (true, true) if phase != Some("Bound") => finalizers.retain(|finalizer| finalizer != FINALIZER),
        (false, false) => finalizers.push(FINALIZER.to_owned()),
        _ => return None,
    }
    Some(finalizers)
}

#[async_trait]
impl Reconciler for Protection {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, name: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(object) = self.volumes.store().get(name) else { return Ok(Outcome::Done) };
        let volume = object.typed::<PersistentVolume>()?;
        let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
        let Some(finalizers) = plan(object.meta(), phase) else { return Ok(Outcome::Done) };
        let mut body = object.value();
        body["metadata"]["finalizers"] = finalizers.into();
        match self.client.update(PERSISTENTVOLUMES, "", name, body).await {
            Ok(updated) => {
                self.volumes.caught_up(updated.meta().resource_version).await;
                Ok(Outcome::Done)
            }
            Err(error) => settled(error),
        }
    }
}

#[cfg(test)]
mod tests;
