//! The Deployment controller: ReplicaSets for each revision of the template, rolled over as the strategy says
//! (upstream: `pkg/controller/deployment`).

mod plan;
mod replica_sets;
mod status;

use std::sync::Arc;

use api::resources::{DEPLOYMENTS, PODS, REPLICASETS};
use apimachinery::{ApiError, Object, Reason};
use async_trait::async_trait;
use client::{
    Client, DeleteOptions, EventRecorder, EventType, Informer, ObjectReference, Outcome, ReconcileError, Reconciler,
    WorkQueue, run_controller, typed_value,
};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::context::ControllerContext;
use crate::owner::{self, BY_CONTROLLER, Claim};
use plan::{Action, Observed, Plan, plan};

const NAME: &str = "deployment-controller";
/// Deployments that are worked on at once (upstream's `--concurrent-deployment-syncs`).
const WORKERS: usize = 5;

struct DeploymentController {
    client: Client,
    recorder: EventRecorder,
    context: ControllerContext,
    deployments: Informer,
    replica_sets: Informer,
    pods: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let client = context.client(NAME);
    let queue = WorkQueue::new();
    let informers = [DEPLOYMENTS, REPLICASETS, PODS].map(|resource| context.informers.of(resource));
    let [deployments, replica_sets, pods] = informers;
    replica_sets.add_index(BY_CONTROLLER, owner::controller_uids);
    pods.add_index(BY_CONTROLLER, owner::controller_uids);
    deployments.on_change(owner::enqueue(&queue));
    replica_sets.on_change(owner::enqueue_controller(&queue, "Deployment"));
    // A Recreate rollout goes on when the last old Pod is gone.
    let (of_pods, sets) = (queue.clone(), replica_sets.clone());
    pods.on_change(move |change| {
        if let client::Change::Deleted(pod) = change
            && let Some(set) = pod.meta().controller().filter(|o| o.kind == "ReplicaSet")
            && let Some(set) = sets.store().get(&format!("{}/{}", pod.meta().namespace, set.name))
            && let Some(deployment) = set.meta().controller()
        {
            of_pods.add(format!("{}/{}", set.meta().namespace, deployment.name));
        }
    });
    let recorder = context.recorder(client.clone(), NAME);
    let controller =
        DeploymentController { client, recorder, context: context.clone(), deployments, replica_sets, pods };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

#[async_trait]
impl Reconciler for DeploymentController {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(object) = self.deployments.store().get(key) else { return Ok(Outcome::Done) };
        let deployment = object.typed::<Deployment>()?;
        let replica_sets = self.claim(&object, &deployment).await?;
        let plan = plan(&Observed {
            deployment: &deployment,
            active_pods: self.active_pods(&replica_sets),
            replica_sets: replica_sets.clone(),
            now: crate::time::now(&*self.context.clock),
        });
        self.execute(&object, &deployment, plan).await
    }
}

impl DeploymentController {
    /// The ReplicaSets that the Deployment controls, after taking matching orphans and letting go of others.
    async fn claim(&self, object: &Object, deployment: &Deployment) -> Result<Vec<ReplicaSet>, ReconcileError> {
        let candidates = self.replica_sets.store().in_namespace(&object.meta().namespace);
        let selector = serde_json::to_value(&deployment.spec.selector)?;
        let claim = Claim { client: &self.client, resource: REPLICASETS, owner: DEPLOYMENTS, object };
        let (claimed, revision) = claim.run(&selector, candidates).await?;
        self.replica_sets.caught_up(revision).await;
        let current = claimed.into_iter().filter_map(|set| self.replica_sets.store().get(&set.meta().key()));
        current.map(|set| Ok((*set.typed::<ReplicaSet>()?).clone())).collect()
    }

    /// Whether any Pod of each set still lives, by the set's uid.
    fn active_pods(&self, sets: &[ReplicaSet]) -> Vec<(String, usize)> {
        let uids = sets.iter().filter_map(|set| set.metadata.uid.clone());
        uids.map(|uid| {
            let pods = self.pods.store().by_index(BY_CONTROLLER, &uid);
            let active = pods.iter().filter_map(|pod| pod.typed::<Pod>().ok()).filter(|pod| {
                let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
                !matches!(phase, Some("Succeeded" | "Failed"))
            });
            let count = active.count();
            (uid, count)
        })
        .collect()
    }

    async fn execute(&self, object: &Object, deployment: &Deployment, plan: Plan) -> Result<Outcome, ReconcileError> {
        let namespace = &object.meta().namespace;
        let about = ObjectReference::to(DEPLOYMENTS, object);
        let mut revision = 0;
        for action in plan.actions {
            let written = match action {
                Action::Create(set) => {
                    let body = typed_value(&*set)?;
                    match self.client.create(REPLICASETS, namespace, body).await {
                        Ok(created) => {
                            let count = set.spec.replicas.unwrap_or(0);
                            if count > 0 {
                                let text = format!("Scaled up replica set {} from 0 to {count}", created.meta().name);
                                self.recorder.event(about.clone(), EventType::Normal, "ScalingReplicaSet", text);
                            }
                            created.meta().resource_version
                        }
                        Err(error) => return self.creation_failed(object, deployment, &set, error).await,
                    }
                }
                Action::Update { set, scaled } => {
                    let name = set.metadata.name.clone().unwrap_or_default();
                    let updated = match self.client.update(REPLICASETS, namespace, &name, typed_value(&*set)?).await {
                        Ok(updated) => updated,
                        Err(error) if error.reason == Reason::Conflict => return Ok(Outcome::Retry),
                        Err(error) => return Err(error.into()),
                    };
                    if let Some((from, to)) = scaled {
                        let way = if from < to { "up" } else { "down" };
                        let text = format!("Scaled {way} replica set {name} from {from} to {to}");
                        self.recorder.event(about.clone(), EventType::Normal, "ScalingReplicaSet", text);
                    }
                    updated.meta().resource_version
                }
                Action::Delete { name } => {
                    match self.client.delete(REPLICASETS, namespace, &name, &DeleteOptions::default()).await {
                        Ok(revision) => revision,
                        Err(error) if error.reason == Reason::NotFound => 0,
                        Err(error) => return Err(error.into()),
                    }
                }
                Action::Warn { reason, message } => {
                    self.recorder.event(about.clone(), EventType::Warning, reason, message);
                    0
                }
            };
            revision = revision.max(written);
        }
        self.replica_sets.caught_up(revision).await;
        if let Some(status) = plan.status {
            let mut body = object.value();
            body["status"] = typed_value(&status)?;
            for (key, value) in &plan.annotations {
                body["metadata"]["annotations"][key] = json!(value);
            }
            match self.client.update_status(DEPLOYMENTS, namespace, &object.meta().name, body).await {
                Ok(updated) => self.deployments.caught_up(updated.meta().resource_version).await,
                Err(error) if matches!(error.reason, Reason::Conflict | Reason::NotFound) => return Ok(Outcome::Retry),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(plan.requeue_after.map_or(Outcome::Done, Outcome::After))
    }

    /// A new ReplicaSet's name may be taken: then the hash collided, and a count makes another one.
    async fn creation_failed(
        &self,
        object: &Object,
        deployment: &Deployment,
        set: &ReplicaSet,
        error: ApiError,
    ) -> Result<Outcome, ReconcileError> {
        let (namespace, name) = (&object.meta().namespace, &object.meta().name);
        if error.reason == Reason::AlreadyExists {
            let set_name = set.metadata.name.clone().unwrap_or_default();
            let taken = self.client.get(REPLICASETS, namespace, &set_name).await?;
            if taken.meta().controller().is_some_and(|owner| owner.uid == object.meta().uid) {
                // It is ours and the copy was behind.
                self.replica_sets.caught_up(taken.meta().resource_version).await;
                let same = taken.typed::<ReplicaSet>()?;
                if replica_sets::same_template(deployment, &same) {
                    return Ok(Outcome::Retry);
                }
            }
            let count = deployment.status.as_ref().and_then(|s| s.collision_count).unwrap_or(0);
            let mut body = object.value();
            body["status"]["collisionCount"] = json!(count + 1);
            return match self.client.update_status(DEPLOYMENTS, namespace, name, body).await {
                Ok(updated) => {
                    self.deployments.caught_up(updated.meta().resource_version).await;
                    Ok(Outcome::Retry)
                }
                Err(error) if error.reason == Reason::Conflict => Ok(Outcome::Retry),
                Err(error) => Err(error.into()),
            };
        }
        let ending = error.causes.iter().any(|cause| cause.reason == "NamespaceTerminating");
        if !ending {
            let set_name = set.metadata.name.clone().unwrap_or_default();
            let text = format!("Failed to create new replica set {set_name:?}: {error}");
            let about = ObjectReference::to(DEPLOYMENTS, object);
            self.recorder.event(about, EventType::Warning, "ReplicaSetCreateError", text.clone());
            if let Some(status) = status::creation_failed(deployment, &text, crate::time::now(&*self.context.clock)) {
                let mut body = object.value();
                body["status"] = typed_value(&status)?;
                let _ = self.client.update_status(DEPLOYMENTS, namespace, name, body).await;
            }
        }
        Err(error.into())
    }
}
