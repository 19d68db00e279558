//! A claim that is deleted stays until no Pod has it; a bound one says whether a Pod wants it
//! (upstream: `pkg/controller/volume/pvcprotection`).

mod plan;

use std::sync::Arc;

use api::resources::{PERSISTENTVOLUMECLAIMS, PODS};
use apimachinery::{ApiError, Object};
use async_trait::async_trait;
use client::{
    Change, Client, Informer, ListOptions, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller, typed_value,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use crate::context::ControllerContext;
use crate::pods::{self, BY_CLAIM};
use crate::settled::settled;
use plan::{Step, plan};

const NAME: &str = "pvc-protection-controller";

struct Protection {
    client: Client,
    context: ControllerContext,
    claims: Informer,
    pods: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let [claims, pods] = [PERSISTENTVOLUMECLAIMS, PODS].map(|resource| context.informers.of(resource));
    pods.add_index(BY_CLAIM, pods::claim_keys);
    claims.on_change(crate::owner::enqueue(&queue));
    let of_pods = queue.clone();
    pods.on_change(move |change| {
        // An update may hide that a Pod went and another one of its name came.
        if let Change::Updated(before, after) = change
            && before.meta().uid != after.meta().uid
        {
            pods::claim_keys(before).into_iter().for_each(|key| of_pods.add(key));
        }
        pods::claim_keys(change.object()).into_iter().for_each(|key| of_pods.add(key));
    });
    let protection = Protection { client: context.client(NAME), context: context.clone(), claims, pods };
    run_controller(&context.supervisor, &queue, 1, Arc::new(protection));
}

#[async_trait]
impl Reconciler for Protection {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(claim) = self.claims.store().get(key) else { return Ok(Outcome::Done) };
        match self.step(&claim).await {
            Ok(_) => Ok(Outcome::Done),
            Err(error) => settled(error),
        }
    }
}

impl Protection {
    async fn step(&self, object: &Object) -> Result<(), ApiError> {
        let claim = object.typed::<PersistentVolumeClaim>().map_err(ApiError::internal)?;
        let typed =
            |pods: Vec<Arc<Object>>| -> Vec<Arc<Pod>> { pods.iter().filter_map(|pod| pod.typed().ok()).collect() };
        let mut planned = plan(&claim, &typed(self.pods.store().by_index(BY_CLAIM, &object.meta().key())));
        if planned.iter().any(Step::needs_absence) {
            // The copy of the Pods may be behind.
            let pods = self.client.list(PODS, &object.meta().namespace, &ListOptions::default()).await?;
            planned = plan(&claim, &typed(pods.items));
        }
        let mut current = object.value();
        for step in planned {
            current = self.execute(object, current, step).await?;
        }
        Ok(())
    }

    async fn execute(
        &self,
        object: &Object,
        mut body: serde_json::Value,
        step: Step,
    ) -> Result<serde_json::Value, ApiError> {
        let meta = object.meta();
        let written = match step {
            Step::Finalizers(finalizers) => {
                body["metadata"]["finalizers"] = finalizers.into();
                self.client.update(PERSISTENTVOLUMECLAIMS, &meta.namespace, &meta.name, body).await?
            }
            Step::Unused(unused) => {
                let now = crate::time::now(&*self.context.clock);
                body["status"]["conditions"] = typed_value(&plan::conditions(&body["status"], unused, now))?;
                self.client.update_status(PERSISTENTVOLUMECLAIMS, &meta.namespace, &meta.name, body).await?
            }
        };
        self.claims.caught_up(written.meta().resource_version).await;
        Ok(written.value())
    }
}
