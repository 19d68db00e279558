//! The ReplicaSet controller: as many Pods as the set says, the least useful ones deleted first
//! (upstream: `pkg/controller/replicaset`). It runs ReplicationControllers too, which are ReplicaSets with a plainer
//! selector (`pkg/controller/replication`).

mod plan;
mod rank;

use std::sync::Arc;

use api::resources::{PODS, REPLICASETS, REPLICATIONCONTROLLERS};
use apimachinery::labels::Selector;
use apimachinery::{Object, Reason, Resource};
use async_trait::async_trait;
use client::{Informer, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller, typed_value};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::context::ControllerContext;
use crate::owner::{self, BY_CONTROLLER, Claim};
use crate::pod_control::{Changed, PodControl};
use plan::{Observed, Plan, PodChange, plan};

/// Sets that are worked on at once (upstream's `--concurrent-replicaset-syncs` and `--concurrent-rc-syncs`).
const WORKERS: usize = 5;

/// What differs between the two kinds.
struct Kind {
    /// The controller's name, its identity and the source of its Events.
    name: &'static str,
    resource: &'static Resource,
    selector: fn(&Object) -> Option<Selector>,
    /// The object as a ReplicaSet.
    view: fn(&Object) -> Result<Arc<ReplicaSet>, ReconcileError>,
    /// The status as the kind has it.
    status: fn(ReplicaSetStatus) -> ReplicaSetStatus,
}

static REPLICA_SET: Kind = Kind {
    name: "replicaset-controller",
    resource: REPLICASETS,
    selector: owner::label_selector,
    view: |object| Ok(object.typed::<ReplicaSet>()?),
    status: |status| status,
};

static REPLICATION_CONTROLLER: Kind = Kind {
    name: "replication-controller",
    resource: REPLICATIONCONTROLLERS,
    selector: |object| Selector::from_label_selector(&json!({"matchLabels": object.value()["spec"]["selector"]})).ok(),
    view: |object| {
        let mut value = object.value();
        let labels = value["spec"]["selector"].take();
        value["spec"]["selector"] = json!({"matchLabels": labels});
        (value["apiVersion"], value["kind"]) = (json!(REPLICASETS.api_version()), json!(REPLICASETS.kind));
        Ok(Arc::new(serde_json::from_value(value)?))
    },
    status: |status| ReplicaSetStatus { terminating_replicas: None, ..status },
};

struct ReplicaSetController {
    kind: &'static Kind,
    control: PodControl,
    context: ControllerContext,
    sets: Informer,
    pods: Informer,
}

/// Starts the controller of ReplicaSets.
pub(crate) fn start(context: &ControllerContext) {
    start_kind(context, &REPLICA_SET);
}

/// Starts the controller of ReplicationControllers.
pub(crate) fn start_replication(context: &ControllerContext) {
    start_kind(context, &REPLICATION_CONTROLLER);
}

fn start_kind(context: &ControllerContext, kind: &'static Kind) {
    let client = context.client(kind.name);
    let queue = WorkQueue::new();
    let [sets, pods] = [kind.resource, PODS].map(|resource| context.informers.of(resource));
    pods.add_index(BY_CONTROLLER, owner::controller_uids);
    sets.on_change(owner::enqueue(&queue));
    pods.on_change(owner::enqueue_controller(&queue, kind.resource.kind));
    pods.on_change(owner::enqueue_adopters(&queue, &sets, kind.selector));
    let recorder = context.recorder(client.clone(), kind.name);
    let control = PodControl { client, recorder, owner: kind.resource };
    let controller = ReplicaSetController { kind, control, context: context.clone(), sets, pods };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

#[async_trait]
impl Reconciler for ReplicaSetController {
    fn name(&self) -> &'static str {
        self.kind.name
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(object) = self.sets.store().get(key) else { return Ok(Outcome::Done) };
        let set = (self.kind.view)(&object)?;
        let pods = self.claim(&object, &set).await?;
        let now = crate::time::now(&*self.context.clock);
        let plan = plan(&Observed { set: &set, pods: &pods, now });
        self.execute(&object, &set, plan).await
    }
}

impl ReplicaSetController {
    async fn claim(&self, object: &Object, set: &ReplicaSet) -> Result<Vec<Arc<Pod>>, ReconcileError> {
        let candidates = owner::candidates(self.pods.store(), object);
        let selector = serde_json::to_value(&set.spec.selector)?;
        let claim = Claim { client: &self.control.client, resource: PODS, owner: self.kind.resource, object };
        let (claimed, revision) = claim.run(&selector, candidates).await?;
        self.pods.caught_up(revision).await;
        claimed.iter().map(|pod| Ok(pod.typed::<Pod>()?)).collect()
    }

    async fn execute(&self, object: &Object, set: &ReplicaSet, plan: Plan) -> Result<Outcome, ReconcileError> {
        let Changed { revision, failure, .. } = match plan.pods {
            PodChange::None => Changed::default(),
            PodChange::Create(count) => {
                let pod = self.control.pod(object, object.value()["spec"]["template"].take());
                self.control.create(object, std::iter::repeat_n(pod, count)).await
            }
            PodChange::Delete(ref pods) => self.control.delete(object, pods).await,
        };
        // After a failure too: the next try must not make or delete others in the place of those that this one did.
        self.pods.caught_up(revision).await;
        let now = crate::time::now(&*self.context.clock);
        let status = (self.kind.status)(plan.status(failure.as_ref(), now));
        if set.status.as_ref() != Some(&status) {
            let mut body = object.value();
            body["status"] = typed_value(&status)?;
            let meta = object.meta();
            match self.control.client.update_status(self.kind.resource, &meta.namespace, &meta.name, body).await {
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
