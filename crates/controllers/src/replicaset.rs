//! The ReplicaSet controller: as many Pods as the set says, the least useful ones deleted first
//! (upstream: `pkg/controller/replicaset`).

mod plan;
mod rank;

use std::sync::Arc;

use api::resources::{PODS, REPLICASETS};
use apimachinery::{ApiError, Object, Reason};
use async_trait::async_trait;
use client::{
    Client, DeleteOptions, EventRecorder, EventType, Informer, ObjectReference, Outcome, Preconditions, ReconcileError,
    Reconciler, WorkQueue, run_controller, typed_value,
};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::context::ControllerContext;
use crate::owner::{self, BY_CONTROLLER, Claim, orphans_of};
use plan::{Observed, Plan, PodChange, plan};

const NAME: &str = "replicaset-controller";
/// Sets that are worked on at once (upstream's `--concurrent-replicaset-syncs`).
const WORKERS: usize = 5;
/// Pods that are made in the first batch; each further batch is twice as large, so that a refused template costs one
/// request and not hundreds.
const FIRST_BATCH: usize = 1;

struct ReplicaSetController {
    client: Client,
    recorder: EventRecorder,
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
    let controller = ReplicaSetController { client, recorder, context: context.clone(), sets, pods };
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
        let claim = Claim { client: &self.client, resource: PODS, owner: REPLICASETS, object };
        let (claimed, revision) = claim.run(&selector, candidates).await?;
        self.pods.caught_up(revision).await;
        claimed.iter().map(|pod| Ok(pod.typed::<Pod>()?)).collect()
    }

    async fn execute(&self, object: &Object, set: &ReplicaSet, plan: Plan) -> Result<Outcome, ReconcileError> {
        let Changed { revision, failure } = match plan.pods {
            PodChange::None => Changed::default(),
            PodChange::Create(count) => self.create(object, set, count).await,
            PodChange::Delete(ref pods) => self.delete(object, pods).await,
        };
        // After a failure too: the next try must not make or delete others in the place of those that this one did.
        self.pods.caught_up(revision).await;
        let status = plan.status(set, failure.as_ref(), crate::time::now(&*self.context.clock));
        if set.status.as_ref() != Some(&status) {
            let mut body = object.value();
            body["status"] = typed_value(&status)?;
            let meta = object.meta();
            match self.client.update_status(REPLICASETS, &meta.namespace, &meta.name, body).await {
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

    /// Makes Pods in batches; stops at the first batch with a failure.
    async fn create(&self, object: &Object, set: &ReplicaSet, count: usize) -> Changed {
        let mut changed = Changed::default();
        let body = match pod_from(object, set) {
            Ok(body) => body,
            Err(error) => return Changed { failure: Some(error), ..changed },
        };
        let about = ObjectReference::to(REPLICASETS, object);
        let (mut left, mut batch) = (count, FIRST_BATCH);
        while left > 0 && changed.failure.is_none() {
            let size = batch.min(left);
            let requests = (0..size).map(|_| self.client.create(PODS, &object.meta().namespace, body.clone()));
            for made in futures_util::future::join_all(requests).await {
                match made {
                    Ok(pod) => {
                        changed.revision = changed.revision.max(pod.meta().resource_version);
                        let text = format!("Created pod: {}", pod.meta().name);
                        self.recorder.event(about.clone(), EventType::Normal, "SuccessfulCreate", text);
                    }
                    Err(error) if error.causes.iter().any(|c| c.reason == "NamespaceTerminating") => {}
                    Err(error) => {
                        let text = format!("Error creating: {error}");
                        self.recorder.event(about.clone(), EventType::Warning, "FailedCreate", text);
                        changed.failure = Some(error);
                    }
                }
            }
            left -= size;
            batch *= 2;
        }
        changed
    }

    async fn delete(&self, object: &Object, pods: &[Arc<Pod>]) -> Changed {
        let about = ObjectReference::to(REPLICASETS, object);
        let requests = pods.iter().map(|pod| async {
            let name = pod.metadata.name.clone().unwrap_or_default();
            let preconditions = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
            let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
            (self.client.delete(PODS, &object.meta().namespace, &name, &options).await, name)
        });
        let mut changed = Changed::default();
        for (deleted, name) in futures_util::future::join_all(requests).await {
            match deleted {
                Ok(at) => {
                    changed.revision = changed.revision.max(at);
                    let text = format!("Deleted pod: {name}");
                    self.recorder.event(about.clone(), EventType::Normal, "SuccessfulDelete", text);
                }
                Err(error) if matches!(error.reason, Reason::NotFound | Reason::Conflict) => {}
                Err(error) => {
                    let text = format!("Error deleting: {error}");
                    self.recorder.event(about.clone(), EventType::Warning, "FailedDelete", text);
                    changed.failure = Some(error);
                }
            }
        }
        changed
    }
}

/// What became of the Pods that were to be made or deleted.
#[derive(Default)]
struct Changed {
    /// Of the last write that was done; 0 if there was none.
    revision: u64,
    /// The last request that failed.
    failure: Option<ApiError>,
}

/// A Pod of the set's template.
fn pod_from(object: &Object, set: &ReplicaSet) -> Result<Value, ApiError> {
    let mut pod = typed_value(&set.spec.template)?;
    let meta = object.meta();
    let mut metadata = serde_json::Map::new();
    for field in ["labels", "annotations", "finalizers"] {
        let value = pod["metadata"][field].take();
        if !value.is_null() {
            metadata.insert(field.to_owned(), value);
        }
    }
    metadata.insert("generateName".to_owned(), json!(format!("{}-", meta.name)));
    metadata.insert("namespace".to_owned(), json!(meta.namespace));
    let owner = json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": meta.name, "uid": meta.uid,
        "controller": true, "blockOwnerDeletion": true,
    }]);
    metadata.insert("ownerReferences".to_owned(), owner);
    pod["metadata"] = Value::Object(metadata);
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    Ok(pod)
}
