//! The watch cache: every object in memory, parsed once, with the last events of each resource in a ring.
//!
//! Who writes: one publisher task, which follows the datastore in revision order. Who reads: lists, watches, admission
//! and the write path. A watcher is a cursor into the ring; one that falls behind is told to list again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use api::resources::CUSTOMRESOURCEDEFINITIONS;
use api::storage_prefix;
use apimachinery::conversion::Converter;
use apimachinery::{ApiError, Object, Reader, Resource};
use component_base::watch;
use datastore::{Datastore, Event, Revision};
use parking_lot::RwLock;

use crate::catalog::Catalog;

/// Events that each resource keeps for watchers. At 4 KiB an object that is changed in each event, 4 MiB a busy
/// resource; an idle one keeps none.
pub(crate) const RING_MAX: usize = 1024;
/// Events that are handed to a watcher under one hold of the lock.
const BATCH_MAX: usize = 256;
/// What all keys begin with.
pub(crate) const ROOT: &str = "/registry/";

/// One change, as watchers see it.
#[derive(Debug, Clone)]
pub struct CacheEvent {
    /// The revision of the write.
    pub revision: u64,
    /// The object after the write; for a deletion its last state, with the deletion's revision.
    pub object: Arc<Object>,
    /// The object before the write.
    pub previous: Option<Arc<Object>>,
    /// Whether the write removed the object.
    pub deleted: bool,
}

#[derive(Debug, Default)]
struct State {
    /// By `namespace/name`, or `name`.
    objects: BTreeMap<String, Arc<Object>>,
    ring: VecDeque<CacheEvent>,
    /// Events up to this revision are no longer in the ring.
    forgotten: u64,
}

/// The cache of one resource.
#[derive(Debug)]
pub struct ResourceCache {
    state: RwLock<State>,
    /// The revision of the newest event.
    newest: watch::Sender<u64>,
}

/// The caches of all stored resources, and what is served.
#[derive(Debug)]
pub struct Caches {
    /// By the resource's place in the datastore.
    resources: RwLock<BTreeMap<String, Arc<ResourceCache>>>,
    catalog: Catalog,
    converter: Arc<dyn Converter>,
    applied: watch::Sender<u64>,
    /// Whether the publisher has ended: nothing else will be applied.
    ended: watch::Sender<bool>,
}

/// Says so when the publisher ends, however it does.
struct Ending<'a>(&'a watch::Sender<bool>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// Events since a revision are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooOld {
    /// The oldest revision that a watch may start after.
    pub oldest: u64,
}

impl ResourceCache {
    fn new(at: u64) -> Self {
        let state = State { forgotten: at, ..State::default() };
        Self { state: RwLock::new(state), newest: watch::Sender::new(at) }
    }

    /// The object called `key`.
    pub fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.state.read().objects.get(key).cloned()
    }

    /// The objects whose key begins with `prefix`, in order.
    pub fn list(&self, prefix: &str) -> Vec<Arc<Object>> {
        let state = self.state.read();
        if prefix.is_empty() {
            return state.objects.values().cloned().collect();
        }
        let range = state.objects.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        range.map(|(_, object)| object.clone()).collect()
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The revision of the newest event: tells derived views whether they are current.
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// What wakes a watcher.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// The next events after `revision`, in order; empty if there are none yet.
    pub fn events_after(&self, revision: u64) -> Result<Vec<CacheEvent>, TooOld> {
        let state = self.state.read();
        if revision < state.forgotten {
            return Err(TooOld { oldest: state.forgotten });
        }
        let from = state.ring.partition_point(|event| event.revision <= revision);
        Ok(state.ring.range(from..).take(BATCH_MAX).cloned().collect())
    }

    /// The event of the write that made `revision`.
    pub fn event_at(&self, revision: u64) -> Option<CacheEvent> {
        let state = self.state.read();
        let at = state.ring.partition_point(|event| event.revision < revision);
        state.ring.get(at).filter(|event| event.revision == revision).cloned()
    }

    fn load(&self, key: String, object: Arc<Object>) {
        self.state.write().objects.insert(key, object);
    }

    fn apply(&self, key: &str, event: CacheEvent) {
        let revision = event.revision;
        let mut state = self.state.write();
        if event.deleted {
            state.objects.remove(key);
        } else {
            state.objects.insert(key.to_owned(), event.object.clone());
        }
        if state.ring.len() == RING_MAX
            && let Some(oldest) = state.ring.pop_front()
        {
            state.forgotten = oldest.revision;
        }
        state.ring.push_back(event);
        drop(state);
        self.newest.send_replace(revision);
    }

    /// Ends all watches: the resource is no longer served.
    fn close(&self, revision: u64) {
        let mut state = self.state.write();
        *state = State { forgotten: u64::MAX, ..State::default() };
        drop(state);
        self.newest.send_replace(revision);
    }
}

impl Caches {
    /// Reads everything from `datastore`. Follow with [`Caches::publish`] from the revision that is given back.
    pub fn load(
        datastore: &dyn Datastore,
        converter: Arc<dyn Converter>,
    ) -> Result<(Self, Revision), datastore::ReadError> {
        let range = datastore.range(ROOT, None, 0, None)?;
        let at = range.revision;
        let mut resources = BTreeMap::new();
        for resource in api::RESOURCES.iter().filter(|r| r.stored()) {
            resources.entry(storage_prefix(resource)).or_insert_with(|| Arc::new(ResourceCache::new(at.0)));
        }
        let caches = Self {
            resources: RwLock::new(resources),
            catalog: Catalog::default(),
            converter,
            applied: watch::Sender::new(at.0),
            ended: watch::Sender::new(false),
        };
        // Definitions first: they say where the objects of custom resources belong.
        let definitions = format!("{ROOT}{}/", storage_prefix(CUSTOMRESOURCEDEFINITIONS));
        let (definitions, others): (Vec<_>, Vec<_>) =
            range.items.into_iter().partition(|kv| kv.key.starts_with(&definitions));
        for kv in definitions.iter().chain(&others) {
            let Some((cache, key)) = caches.split(&kv.key) else { continue };
            match Object::from_stored(&kv.value, kv.mod_revision.0) {
                Ok(object) => {
                    caches.follow_definition(&kv.key, &object, at.0);
                    cache.load(key.to_owned(), Arc::new(object));
                }
                Err(error) => tracing::error!(key = %kv.key, error = %error, "a stored object can't be read"),
            }
        }
        Ok((caches, at))
    }

    /// Follows the datastore from `at` until it is closed.
    pub async fn publish(self: Arc<Self>, datastore: Arc<dyn Datastore>, at: Revision) {
        let _ending = Ending(&self.ended);
        let mut events = match datastore.watch(ROOT, at) {
            Ok(events) => events,
            Err(error) => return tracing::error!(error = %error, "the watch cache can't follow the datastore"),
        };
        loop {
            match events.next().await {
                Ok(batch) => batch.iter().for_each(|event| self.apply(event)),
                Err(error) => return tracing::info!(error = %error, "the watch cache stops"),
            }
        }
    }

    fn apply(&self, event: &Event) {
        let revision = event.revision.0;
        if let Some((cache, key)) = self.split(&event.key) {
            let previous = cache.get(key);
            let stored = event.kv.as_ref().or(event.prev.as_ref());
            match stored.map(|kv| Object::from_stored(&kv.value, revision)) {
                Some(Ok(object)) => {
                    let deleted = event.kv.is_none();
                    if deleted {
                        self.forget_definition(&event.key, &object, revision);
                    } else {
                        self.follow_definition(&event.key, &object, revision);
                    }
                    cache.apply(key, CacheEvent { revision, object: Arc::new(object), previous, deleted });
                }
                Some(Err(error)) => tracing::error!(key = %event.key, error = %error, "a write can't be read"),
                None => {}
            }
        }
        self.applied.send_replace(revision);
    }

    /// Serves what a definition says from now on, if `object` is one.
    fn follow_definition(&self, key: &str, object: &Object, revision: u64) {
        if is_definition(key)
            && let Some(resource) = self.catalog.accept(object)
        {
            let mut resources = self.resources.write();
            resources.entry(storage_prefix(resource)).or_insert_with(|| Arc::new(ResourceCache::new(revision)));
        }
    }

    /// Serves it no longer.
    fn forget_definition(&self, key: &str, object: &Object, revision: u64) {
        if !is_definition(key) {
            return;
        }
        self.catalog.forget(object);
        let spec = &object.value()["spec"];
        let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let place = format!("{}/{}", word(&spec["group"]), word(&spec["names"]["plural"]));
        if let Some(cache) = self.resources.write().remove(&place) {
            cache.close(revision);
        }
    }

    /// `/registry/services/specs/default/web` → the Services' cache and `default/web`.
    fn split<'a>(&self, key: &'a str) -> Option<(Arc<ResourceCache>, &'a str)> {
        let resources = self.resources.read();
        let rest = key.strip_prefix(ROOT)?;
        let first = rest.find('/')?;
        if let Some(cache) = resources.get(&rest[..first]) {
            return Some((cache.clone(), &rest[first + 1..]));
        }
        let second = first + 1 + rest[first + 1..].find('/')?;
        resources.get(&rest[..second]).map(|cache| (cache.clone(), &rest[second + 1..]))
    }

    /// The cache of a stored resource.
    pub fn of(&self, resource: &Resource) -> Option<Arc<ResourceCache>> {
        self.resources.read().get(&storage_prefix(resource)).cloned()
    }

    /// What is served.
    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Who brings custom resources from one version into another.
    pub(crate) fn converter(&self) -> &dyn Converter {
        &*self.converter
    }

    /// The revision up to which all caches are current.
    pub fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Returns when all caches are current up to `revision`. `Err` if they never will be, since the server ends.
    pub async fn wait_for(&self, revision: u64) -> Result<(), ApiError> {
        let (mut applied, mut ended) = (self.applied.subscribe(), self.ended.subscribe());
        let current = tokio::select! {
            biased;
            current = applied.wait_for(|applied| *applied >= revision) => current.is_ok(),
            _ = ended.wait_for(|ended| *ended) => false,
        };
        if current { Ok(()) } else { Err(ApiError::unavailable("the server is shutting down")) }
    }

    /// What wakes those that wait for progress of any resource.
    pub fn progress(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }
}

/// Whether a key is that of a CustomResourceDefinition.
fn is_definition(key: &str) -> bool {
    key.strip_prefix(ROOT).is_some_and(|rest| rest.starts_with("apiextensions.k8s.io/customresourcedefinitions/"))
}

impl Reader for Caches {
    fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let cache = self.of(resource)?;
        if namespace.is_empty() { cache.get(name) } else { cache.get(&format!("{namespace}/{name}")) }
    }

    fn list(&self, resource: &'static Resource, namespace: &str) -> Vec<Arc<Object>> {
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        self.of(resource).map(|cache| cache.list(&prefix)).unwrap_or_default()
    }
}
