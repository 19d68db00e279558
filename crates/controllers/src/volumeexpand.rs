//! Says of a claim that grows that its volume has to be made larger by others: volumes that skiff makes do not grow
//! (upstream: `pkg/controller/volume/expand`).

use std::sync::Arc;

use api::resources::{PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES};
use apimachinery::{Object, Quantity};
use async_trait::async_trait;
use client::{
    Change, EventRecorder, EventType, Informer, ObjectReference, Outcome, ReconcileError, Reconciler, WorkQueue,
    run_controller,
};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use registry::volumes::{requested, volume_of};

use crate::context::ControllerContext;
use crate::said::{self, Said};

const NAME: &str = "expand-controller";
/// Who speaks in its Events.
const COMPONENT: &str = "volume_expand";

struct Expander {
    recorder: EventRecorder,
    context: ControllerContext,
    claims: Informer,
    volumes: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let [claims, volumes] = [PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES].map(|resource| context.informers.of(resource));
    let of_claims = queue.clone();
    claims.on_change(move |change| {
        if let Change::Updated(before, after) = change
            && size(after) > size(before)
        {
            of_claims.add(after.meta().key());
        }
    });
    let recorder = context.recorder(context.client(NAME), COMPONENT);
    let expander = Expander { recorder, context: context.clone(), claims, volumes };
    run_controller(&context.supervisor, &queue, 1, Arc::new(expander));
}

fn size(claim: &Object) -> Quantity {
    claim.typed::<PersistentVolumeClaim>().map(|claim| requested(&claim)).unwrap_or_default()
}

/// What is to be said of a claim and its volume.
fn plan(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Option<Said> {
    let spec = volume.spec.as_ref()?;
    let capacity = || claim.status.as_ref()?.capacity.as_ref()?.get("storage")?.0.parse::<Quantity>().ok();
    let bound = spec.claim_ref.as_ref().is_some_and(|reference| reference.uid == claim.metadata.uid);
    if !bound || requested(claim) <= capacity().unwrap_or_default() {
        return None;
    }
    // Of a driver there may be somebody who does it.
    let event_type = if spec.csi.is_some() { EventType::Normal } else { EventType::Warning };
    let message = "waiting for an external controller to expand this PVC".to_owned();
    Some(Said { event_type, reason: "ExternalExpanding".to_owned(), message })
}

#[async_trait]
impl Reconciler for Expander {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(object) = self.claims.store().get(key) else { return Ok(Outcome::Done) };
        let claim = object.typed::<PersistentVolumeClaim>()?;
        let Some(volume) = self.volumes.store().get(volume_of(&claim)) else { return Ok(Outcome::Done) };
        let said = plan(&claim, &*volume.typed::<PersistentVolume>()?);
        said::record(&self.recorder, &ObjectReference::to(PERSISTENTVOLUMECLAIMS, &object), said);
        Ok(Outcome::Done)
    }
}

#[cfg(test)]
mod tests;
