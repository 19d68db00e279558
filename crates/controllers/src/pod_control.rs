//! How a controller makes and deletes its Pods: in batches, with an Event on their owner for each
//! (upstream: `RealPodControl` and `slowStartBatch` in `pkg/controller`).

use std::sync::Arc;

use api::resources::PODS;
use apimachinery::{ApiError, Object, Reason, Resource};
use client::{Client, DeleteOptions, EventRecorder, EventType, ObjectReference, Preconditions};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Map, Value, json};

use crate::owner;

/// Pods that are made in the first batch; each further batch is twice as large, so that a refused template costs one
/// request and not hundreds.
const FIRST_BATCH: usize = 1;

/// Makes and deletes Pods as one controller.
pub(crate) struct PodControl {
    pub(crate) client: Client,
    pub(crate) recorder: EventRecorder,
    /// Of the owners.
    pub(crate) owner: &'static Resource,
}

/// What became of the Pods that were to be made or deleted.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// How many were.
    pub(crate) count: usize,
    /// Of the last write that was done; 0 if there was none.
    pub(crate) revision: u64,
    /// The last request that failed.
    pub(crate) failure: Option<ApiError>,
}

impl PodControl {
    /// A Pod of `template` that `object` controls. Its name is made of the owner's.
    pub(crate) fn pod(&self, object: &Object, mut template: Value) -> Value {
        let meta = object.meta();
        let mut metadata = Map::new();
        for field in ["labels", "annotations", "finalizers"] {
            let value = template["metadata"][field].take();
            if !value.is_null() {
                metadata.insert(field.to_owned(), value);
            }
        }
        metadata.insert("generateName".to_owned(), json!(format!("{}-", meta.name)));
        metadata.insert("namespace".to_owned(), json!(meta.namespace));
        metadata.insert("ownerReferences".to_owned(), json!([owner::reference(self.owner, object)]));
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"].take()})
    }

    /// Makes `pods` in batches of 1, 2, 4 and so on; stops after the first batch with a failure.
    pub(crate) async fn create(&self, object: &Object, pods: impl IntoIterator<Item = Value>) -> Changed {
        let mut changed = Changed::default();
        let about = ObjectReference::to(self.owner, object);
        let (mut pods, mut size) = (pods.into_iter(), FIRST_BATCH);
        while changed.failure.is_none() {
            let batch = pods.by_ref().take(size);
            let requests: Vec<_> = batch.map(|pod| self.client.create(PODS, &object.meta().namespace, pod)).collect();
            if requests.is_empty() {
                break;
            }
            for made in futures_util::future::join_all(requests).await {
                match made {
                    Ok(pod) => {
                        changed.wrote(pod.meta().resource_version);
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
            size *= 2;
        }
        changed
    }

    /// Deletes these very Pods, all at once; one that is gone is no failure.
    pub(crate) async fn delete(&self, object: &Object, pods: impl IntoIterator<Item = &Arc<Pod>>) -> Changed {
        let about = ObjectReference::to(self.owner, object);
        let requests = pods.into_iter().map(|pod| async {
            let name = pod.metadata.name.clone().unwrap_or_default();
            let preconditions = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
            let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
            (self.client.delete(PODS, &object.meta().namespace, &name, &options).await, name)
        });
        let mut changed = Changed::default();
        for (deleted, name) in futures_util::future::join_all(requests).await {
            match deleted {
                Ok(at) => {
                    changed.wrote(at);
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

impl Changed {
    fn wrote(&mut self, revision: u64) {
        self.count += 1;
        self.revision = self.revision.max(revision);
    }
}
