//! An API server that holds what a test puts into it, and tells watchers.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{ApiError, Object};
use async_trait::async_trait;
use client::{
    DeleteOptions, ListOptions, ObjectList, PatchKind, Target, Transport, WatchEvent, WatchStream, WriteOptions,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::broadcast;

/// Events that a watcher may be behind.
const EVENTS_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct ApiServer {
    /// By resource and key.
    objects: Mutex<BTreeMap<(String, String), Arc<Object>>>,
    events: broadcast::Sender<(String, WatchEvent)>,
    revision: Mutex<u64>,
    /// The last revision of each resource.
    newest: Mutex<BTreeMap<String, u64>>,
}

impl ApiServer {
    pub(crate) fn new() -> Arc<Self> {
        let events = broadcast::Sender::new(EVENTS_MAX);
        Arc::new(Self { objects: Mutex::default(), events, revision: Mutex::new(1), newest: Mutex::default() })
    }

    fn next_revision(&self, resource: &str) -> u64 {
        let mut revision = self.revision.lock();
        *revision += 1;
        self.newest.lock().insert(resource.to_owned(), *revision);
        *revision
    }

    /// The revision of the last write to a resource.
    pub(crate) fn newest(&self, resource: &str) -> Option<u64> {
        self.newest.lock().get(resource).copied()
    }

    /// Creates or replaces an object.
    pub(crate) fn put(&self, resource: &str, mut value: Value) {
        value["metadata"]["resourceVersion"] = json!(self.next_revision(resource).to_string());
        let object = Arc::new(Object::from_value(&value).expect("fixture"));
        let key = (resource.to_owned(), object.meta().key());
        let before = self.objects.lock().insert(key, object.clone());
        let event = if before.is_some() { WatchEvent::Modified(object) } else { WatchEvent::Added(object) };
        // Nobody may be watching yet; then the list has it.
        let _ = self.events.send((resource.to_owned(), event));
    }

    /// Removes an object.
    pub(crate) fn delete(&self, resource: &str, key: &str) {
        let object = self.objects.lock().remove(&(resource.to_owned(), key.to_owned())).expect("it is there");
        let mut last = object.value();
        last["metadata"]["resourceVersion"] = json!(self.next_revision(resource).to_string());
        let object = Arc::new(Object::from_value(&last).expect("fixture"));
        let _ = self.events.send((resource.to_owned(), WatchEvent::Deleted(object)));
    }
}

#[async_trait]
impl Transport for ApiServer {
    async fn list(&self, target: Target<'_>, _: &ListOptions) -> Result<ObjectList, ApiError> {
        let objects = self.objects.lock();
        let ours = objects.iter().filter(|((resource, _), _)| resource == target.resource.plural);
        let items = ours.map(|(_, object)| object.clone()).collect();
        Ok(ObjectList { items, resource_version: *self.revision.lock(), ..ObjectList::default() })
    }

    async fn watch(&self, target: Target<'_>, options: &ListOptions) -> Result<WatchStream, ApiError> {
        // What happened between the list and this is sent again.
        let events = self.events.subscribe();
        let from = options.resource_version.unwrap_or(0);
        let missed: Vec<WatchEvent> = {
            let objects = self.objects.lock();
            let ours = objects.iter().filter(|((resource, _), _)| resource == target.resource.plural);
            let newer = ours.filter(|(_, object)| object.meta().resource_version > from);
            newer.map(|(_, object)| WatchEvent::Added(object.clone())).collect()
        };
        let plural = target.resource.plural;
        let later = futures_util::stream::unfold(events, move |mut events| async move {
            loop {
                let (resource, event) = events.recv().await.ok()?;
                if resource == plural {
                    return Some((event, events));
                }
            }
        });
        Ok(Box::pin(futures_util::StreamExt::chain(futures_util::stream::iter(missed), later)))
    }

    async fn get(&self, _: Target<'_>) -> Result<Arc<Object>, ApiError> {
        unreachable!("the proxy lists and watches")
    }

    async fn create(&self, _: Target<'_>, _: Value, _: &WriteOptions) -> Result<Arc<Object>, ApiError> {
        unreachable!("the proxy writes nothing")
    }

    async fn update(&self, _: Target<'_>, _: Value, _: &WriteOptions) -> Result<Arc<Object>, ApiError> {
        unreachable!("the proxy writes nothing")
    }

    async fn patch(&self, _: Target<'_>, _: PatchKind, _: Value, _: &WriteOptions) -> Result<Arc<Object>, ApiError> {
        unreachable!("the proxy writes nothing")
    }

    async fn delete(&self, _: Target<'_>, _: &DeleteOptions) -> Result<u64, ApiError> {
        unreachable!("the proxy writes nothing")
    }

    async fn delete_collection(&self, _: Target<'_>, _: &DeleteOptions, _: &ListOptions) -> Result<(), ApiError> {
        unreachable!("the proxy writes nothing")
    }
}
