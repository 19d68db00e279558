//! The binder: claims get volumes, volumes are released when their claims go
//! (upstream: `pkg/controller/volume/persistentvolume`).
//!
//! One worker does all, so that no volume is given away twice. Keys are those of claims (`namespace/name`) and of volumes
//! (`name`).

mod plan;
mod triggers;

use std::sync::Arc;

use api::resources::{PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, PODS, STORAGECLASSES};
use apimachinery::patch::apply_merge_patch;
use apimachinery::{ApiError, Object, Reason, Resource};
use async_trait::async_trait;
use client::{
    Client, EventRecorder, Informer, ObjectReference, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller,
};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use registry::volumes::volume_of;

use crate::context::ControllerContext;
use crate::pods::{self, BY_CLAIM};
use crate::said;
use crate::settled::settled;
use plan::{Plan, Side, claim, volume};

const NAME: &str = "persistent-volume-binder";
/// Who speaks in its Events.
const COMPONENT: &str = "persistentvolume-controller";

struct Binder {
    client: Client,
    recorder: EventRecorder,
    context: ControllerContext,
    queue: WorkQueue,
    claims: Informer,
    volumes: Informer,
    classes: Informer,
    pods: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let client = context.client(NAME);
    let queue = WorkQueue::new();
    let [claims, volumes, classes, pods] = [PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, STORAGECLASSES, PODS]
        .map(|resource| context.informers.of(resource));
    pods.add_index(BY_CLAIM, pods::claim_keys);
    triggers::connect(&queue, &claims, &volumes, &classes, &pods);
    let recorder = context.recorder(client.clone(), COMPONENT);
    let binder =
        Binder { client, recorder, context: context.clone(), queue: queue.clone(), claims, volumes, classes, pods };
    run_controller(&context.supervisor, &queue, 1, Arc::new(binder));
}

#[async_trait]
impl Reconciler for Binder {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let done = if key.contains('/') { self.sync_claim(key).await } else { self.sync_volume(key).await };
        match done {
            Ok(()) => Ok(Outcome::Done),
            Err(error) => settled(error),
        }
    }
}

/// The two objects at work, as they are after the last write.
struct Pair {
    claim: Option<Arc<Object>>,
    volume: Option<Arc<Object>>,
}

impl Binder {
    async fn sync_claim(&self, key: &str) -> Result<(), ApiError> {
        let Some(object) = self.claims.store().get(key) else { return Ok(()) };
        let claim = object.typed::<PersistentVolumeClaim>().map_err(ApiError::internal)?;
        let mut volumes = self.volumes.store().list();
        let named = volume_of(&claim);
        if !named.is_empty() && self.volumes.store().get(named).is_none() {
            // A claim is not given up because the copy is behind.
            volumes.extend(found(self.client.get(PERSISTENTVOLUMES, "", named).await)?);
        }
        let typed: Vec<Arc<PersistentVolume>> = volumes.iter().filter_map(|volume| volume.typed().ok()).collect();
        let plan = claim::plan(&claim::Observed {
            claim: &claim,
            volumes: &typed,
            classes: &self.classes.store().list(),
            waiting: &self.waiting(key),
        });
        let volume = plan.volume.as_ref().and_then(|name| volumes.iter().find(|volume| volume.meta().name == *name));
        let pair = Pair { claim: Some(object.clone()), volume: volume.cloned() };
        self.execute(pair, plan).await
    }

    /// The names of the Pods that want a claim and have no node yet.
    fn waiting(&self, claim: &str) -> Vec<String> {
        let pods = self.pods.store().by_index(BY_CLAIM, claim);
        let waits = |pod: &Pod| {
            !pods::has_ended(pod)
                && pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref().is_none_or(str::is_empty))
        };
        let waiting = pods.iter().filter(|pod| pod.typed::<Pod>().is_ok_and(|pod| waits(&pod)));
        waiting.map(|pod| pod.meta().name.clone()).collect()
    }

    async fn sync_volume(&self, name: &str) -> Result<(), ApiError> {
        let Some(object) = self.volumes.store().get(name) else { return Ok(()) };
        let volume = object.typed::<PersistentVolume>().map_err(ApiError::internal)?;
        let claim = self.claim_of(&volume).await?;
        let typed = claim.as_ref().map(|claim| claim.typed::<PersistentVolumeClaim>());
        let typed = typed.transpose().map_err(ApiError::internal)?;
        let plan = volume::plan(&volume::Observed { volume: &volume, claim: typed.as_deref() });
        if let (true, Some(claim)) = (plan.then_claim, &claim) {
            self.queue.add(claim.meta().key());
        }
        self.execute(Pair { claim, volume: Some(object.clone()) }, plan).await
    }

    /// The claim that a volume is bound to. A volume is released only if the server, too, knows no such claim: the copy of
    /// the claims may be behind that of the volumes.
    async fn claim_of(&self, volume: &PersistentVolume) -> Result<Option<Arc<Object>>, ApiError> {
        let Some(reference) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) else { return Ok(None) };
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (namespace, name, uid) = (text(&reference.namespace), text(&reference.name), text(&reference.uid));
        let is = |claim: &Arc<Object>| claim.meta().uid == uid;
        if let Some(claim) = self.claims.store().get(&format!("{namespace}/{name}")).filter(is) {
            return Ok(Some(claim));
        }
        let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
        if uid.is_empty() || matches!(phase, Some("Released" | "Failed")) {
            return Ok(None);
        }
        Ok(found(self.client.get(PERSISTENTVOLUMECLAIMS, &namespace, &name).await)?.filter(is))
    }

    async fn execute(&self, mut pair: Pair, plan: Plan) -> Result<(), ApiError> {
        for write in plan.writes {
            let (object, resource, informer) = match write.side {
                Side::Claim => (&mut pair.claim, PERSISTENTVOLUMECLAIMS, &self.claims),
                Side::Volume => (&mut pair.volume, PERSISTENTVOLUMES, &self.volumes),
            };
            let Some(object) = object else { continue };
            let mut body = object.value();
            apply_merge_patch(&mut body, write.change).map_err(|error| ApiError::internal(error.to_string()))?;
            let meta = object.meta();
            let updated = if write.status {
                self.client.update_status(resource, &meta.namespace, &meta.name, body).await?
            } else {
                self.client.update(resource, &meta.namespace, &meta.name, body).await?
            };
            informer.caught_up(updated.meta().resource_version).await;
            *object = updated;
        }
        for (side, said) in plan.said {
            let (object, resource): (_, &Resource) = match side {
                Side::Claim => (&pair.claim, PERSISTENTVOLUMECLAIMS),
                Side::Volume => (&pair.volume, PERSISTENTVOLUMES),
            };
            if let Some(object) = object {
                said::record(&self.recorder, &ObjectReference::to(resource, object), [said]);
            }
        }
        Ok(())
    }
}

/// An object that may not be there.
fn found(answer: Result<Arc<Object>, ApiError>) -> Result<Option<Arc<Object>>, ApiError> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.reason == Reason::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
