//! Makes the claims of Pods' generic ephemeral volumes; they go with their Pod by its ownership
//! (upstream: `pkg/controller/volume/ephemeral`).

mod plan;

use std::sync::Arc;

use api::resources::{PERSISTENTVOLUMECLAIMS, PODS};
use apimachinery::Object;
use async_trait::async_trait;
use client::{
    Change, Client, EventRecorder, EventType, Informer, ObjectReference, Outcome, ReconcileError, Reconciler,
    WorkQueue, run_controller,
};
use k8s_openapi::api::core::v1::Pod;

use crate::context::ControllerContext;
use plan::{Step, plan};

const NAME: &str = "ephemeral-volume-controller";
/// What Events call it.
const COMPONENT: &str = "ephemeral_volume";
/// Pods that are worked on at once (upstream's `--concurrent-ephemeralvolume-syncs`).
const WORKERS: usize = 5;
/// Files Pods under the claims of their ephemeral volumes.
const BY_CLAIM: &str = "ephemeral-claims";

struct EphemeralVolumes {
    client: Client,
    context: ControllerContext,
    recorder: EventRecorder,
    pods: Informer,
    claims: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let [pods, claims] = [PODS, PERSISTENTVOLUMECLAIMS].map(|resource| context.informers.of(resource));
    pods.add_index(BY_CLAIM, plan::claims_of);
    let added = queue.clone();
    // Its volumes never change.
    pods.on_change(move |change| match change {
        Change::Updated(before, after) if before.meta().uid == after.meta().uid => {}
        Change::Deleted(_) => {}
        Change::Added(pod) | Change::Updated(_, pod) => {
            if !plan::claims_of(pod).is_empty() {
                added.add(pod.meta().key());
            }
        }
    });
    let (again, of) = (queue.clone(), pods.clone());
    claims.on_change(move |change| {
        if let Change::Deleted(claim) = change {
            of.store().by_index(BY_CLAIM, &claim.meta().key()).iter().for_each(|pod| again.add(pod.meta().key()));
        }
    });
    let client = context.client(NAME);
    let recorder = context.recorder(client.clone(), COMPONENT);
    let controller = EphemeralVolumes { client, context: context.clone(), recorder, pods, claims };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

impl EphemeralVolumes {
    fn failed(&self, pod: &Object, volume: &str, why: &str) -> ReconcileError {
        let text = format!("ephemeral volume {volume}: {why}");
        let about = ObjectReference::to(PODS, pod);
        self.recorder.event(about, EventType::Warning, "FailedBinding", text.clone());
        format!("pod {}, {text}", pod.meta().key()).into()
    }
}

#[async_trait]
impl Reconciler for EphemeralVolumes {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(object) = self.pods.store().get(key) else { return Ok(Outcome::Done) };
        let pod = object.typed::<Pod>()?;
        let namespace = &object.meta().namespace;
        let known = |name: &str| self.claims.store().get(&format!("{namespace}/{name}"))?.typed().ok();
        for (volume, step) in plan(&pod, known) {
            match step {
                Step::Keep => {}
                Step::Refuse(why) => return Err(self.failed(&object, &volume, &why)),
                Step::Create { name, claim } => {
                    match self.client.create(PERSISTENTVOLUMECLAIMS, namespace, claim).await {
                        Ok(made) => self.claims.caught_up(made.meta().resource_version).await,
                        Err(error) => {
                            let why = format!("create PVC {name}: {error}");
                            return Err(self.failed(&object, &volume, &why));
                        }
                    }
                }
            }
        }
        Ok(Outcome::Done)
    }
}
