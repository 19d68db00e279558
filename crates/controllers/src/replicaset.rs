//! The ReplicaSet controller: as many Pods as the set says, the least useful ones deleted first
//! (upstream: `pkg/controller/replicaset`).

mod plan;
mod rank;

use std::sync::Arc;

use api::resources::{PODS, REPLICASETS};
use apimachinery::{Object, Reason};
use async_trait::async_trait;
use client::{Informer, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller, typed_value};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

use crate::context::ControllerContext;
use crate::owner::{self, BY_CONTROLLER, Claim, orphans_of};
use crate::pod_control::{Changed, PodControl};
use plan::{Observed, Plan, PodChange, plan};

const NAME: &str = "replicaset-controller";
/// Sets that are worked on at once (upstream's `--concurrent-replicaset-syncs`).
const WORKERS: usize = 5;

struct ReplicaSetController {
    control: PodControl,
    context: ControllerContext,
    sets: Informer,
    pods: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let client = context.client(NAME);
    let queue = WorkQueue::new();
    let [sets, pods] = [REPLICASETS, PODS].map(|resource| context.informers.of(resource));
    pods.add_index(BY_CONTROLLER, owner::controller_uids);
    sets.on_change(owner::enqueue(&queue));
    pods.on_change(owner::enqueue_controller(&queue, "ReplicaSet"));
    let (orphans, all) = (queue.clone(), sets.clone());
    pods.on_change(move |change| {
        // An orphan may match a set of its namespace, which then takes it.
        let meta = change.object().meta();
        if meta.controller().is_none() && !meta.labels.is_empty() {
            for set in all.store().in_namespace(&meta.namespace) {
                let selector = apimachinery::labels::Selector::from_label_selector(&set.value()["spec"]["selector"]);
                if selector.is_ok_and(|s| s.matches(&meta.labels)) {
                    orphans.add(set.meta().key());
                }
            }
        }
    });
    let recorder = context.recorder(client.clone(), NAME);
    let control = PodControl { client, recorder, owner: REPLICASETS };
    let controller = ReplicaSetController { control, context: context.clone(), sets, pods };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

#[async_trait]
impl Reconciler for ReplicaSetController {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(object) = self.sets.store().get(key) else { return Ok(Outcome::Done) };
        let set = object.typed::<ReplicaSet>()?;
        let pods = self.claim(&object, &set).await?;
        let now = crate::time::now(&*self.context.clock);
        let plan = plan(&Observed { set: &set, pods: &pods, now });
        self.execute(&object, &set, plan).await
    }
}

impl ReplicaSetController {
    async fn claim(&self, object: &Object, set: &ReplicaSet) -> Result<Vec<Arc<Pod>>, ReconcileError> {
        let meta = object.meta();
        let mut candidates = self.pods.store().by_index(BY_CONTROLLER, &meta.uid);
        candidates.extend(self.pods.store().by_index(BY_CONTROLLER, &orphans_of(&meta.namespace)));
        let selector = serde_json::to_value(&set.spec.selector)?;
        let claim = Claim { client: &self.control.client, resource: PODS, owner: REPLICASETS, object };
        let (claimed, revision) = claim.run(&selector, candidates).await?;
        self.pods.caught_up(revision).await;
        claimed.iter().map(|pod| Ok(pod.typed::<Pod>()?)).collect()
    }

    async fn execute(&self, object: &Object, set: &ReplicaSet, plan: Plan) -> Result<Outcome, ReconcileError> {
        let Changed { revision, failure, .. } = match plan.pods {
            PodChange::None => Changed::default(),
            PodChange::Create(count) => {
                let pod = self.control.pod(object, typed_value(&set.spec.template)?);
                self.control.create(object, std::iter::repeat_n(pod, count)).await
            }
            PodChange::Delete(ref pods) => self.control.delete(object, pods).await,
        };
        // After a failure too: the next try must not make or delete others in the place of those that this one did.
        self.pods.caught_up(revision).await;
        let status = plan.status(set, failure.as_ref(), crate::time::now(&*self.context.clock));
        if set.status.as_ref() != Some(&status) {
            let mut body = object.value();
            body["status"] = typed_value(&status)?;
            let meta = object.meta();
            match self.control.client.update_status(REPLICASETS, &meta.namespace, &meta.name, body).await {
                Ok(updated) => self.sets.caught_up(updated.meta().resource_version).await,
                Err(error) if error.reason == Reason::Conflict => return Ok(Outcome::Retry),
                Err(error) if error.reason == Reason::NotFound => return Ok(Outcome::Done),
                Err(error) => return Err(error.into()),
            }
        }
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(plan.requeue_after.map_or(Outcome::Done, Outcome::After)),
        }
    }
}
