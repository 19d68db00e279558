//! Informers: a local copy of a collection, kept by list and watch, with indexes and change handlers. In process the
//! copy holds the very objects that the server holds, so it costs one map entry an object.
//!
//! Who writes: one reflector task a resource. Who reads: everybody, through [`Store`]. Handlers run on the reflector's
//! task, in the order of revisions, and must only enqueue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Object, Resource};
use component_base::{Backoff, Random, Supervisor, watch};
use futures_util::StreamExt;
use parking_lot::{Mutex, RwLock};

use crate::client::Client;
use crate::transport::{ListOptions, WatchEvent};

/// First wait after a failed list or watch; upstream's reflectors use the same bounds.
const RELIST_INITIAL: Duration = Duration::from_millis(800);
/// Longest wait between lists.
const RELIST_MAX: Duration = Duration::from_secs(30);

/// A change of the local copy.
#[derive(Debug, Clone)]
pub enum Change {
    /// An object appeared.
    Added(Arc<Object>),
    /// An object changed: before, after.
    Updated(Arc<Object>, Arc<Object>),
    /// An object is gone: its last known state.
    Deleted(Arc<Object>),
}

impl Change {
    /// The newest known state.
    pub fn object(&self) -> &Arc<Object> {
        match self {
            Self::Added(object) | Self::Updated(_, object) | Self::Deleted(object) => object,
        }
    }
}

/// Gives the values under which an object is found in an index.
pub type IndexFunction = fn(&Object) -> Vec<String>;
type Handler = Box<dyn Fn(&Change) + Send + Sync>;

/// The local copy of one resource.
pub struct Store {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, Arc<Object>>,
    indexes: BTreeMap<&'static str, Index>,
}

struct Index {
    function: IndexFunction,
    keys: BTreeMap<String, BTreeSet<String>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("objects", &self.inner.read().objects.len()).finish()
    }
}

impl Store {
    fn new() -> Self {
        Self { inner: RwLock::default() }
    }

    /// The object called `key` (`namespace/name`, or `name`).
    pub fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.inner.read().objects.get(key).cloned()
    }

    /// All objects, ordered by key.
    pub fn list(&self) -> Vec<Arc<Object>> {
        self.inner.read().objects.values().cloned().collect()
    }

    /// The objects of a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<Object>> {
        let from = format!("{namespace}/");
        let inner = self.inner.read();
        let range = inner.objects.range(from.clone()..).take_while(|(key, _)| key.starts_with(&from));
        range.map(|(_, object)| object.clone()).collect()
    }

    /// The objects that `index` files under `value`. Empty if there is no such index.
    pub fn by_index(&self, index: &str, value: &str) -> Vec<Arc<Object>> {
        let inner = self.inner.read();
        let keys = inner.indexes.get(index).and_then(|i| i.keys.get(value));
        keys.into_iter().flatten().filter_map(|key| inner.objects.get(key).cloned()).collect()
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.inner.read().objects.len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add_index(&self, name: &'static str, function: IndexFunction) {
        let mut inner = self.inner.write();
        if inner.indexes.contains_key(name) {
            return;
        }
        let mut index = Index { function, keys: BTreeMap::new() };
        for (key, object) in &inner.objects {
            index.insert(key, object);
        }
        inner.indexes.insert(name, index);
    }

    fn apply(&self, object: Arc<Object>) -> Option<Change> {
        let key = object.meta().key();
        let mut inner = self.inner.write();
        let old = inner.objects.insert(key.clone(), object.clone());
        for index in inner.indexes.values_mut() {
            if let Some(old) = &old {
                index.remove(&key, old);
            }
            index.insert(&key, &object);
        }
        match old {
            Some(old) if old.meta().resource_version == object.meta().resource_version => None,
            Some(old) => Some(Change::Updated(old, object)),
            None => Some(Change::Added(object)),
        }
    }

    fn remove(&self, key: &str) -> Option<Arc<Object>> {
        let mut inner = self.inner.write();
        let old = inner.objects.remove(key)?;
        for index in inner.indexes.values_mut() {
            index.remove(key, &old);
        }
        Some(old)
    }

    fn keys(&self) -> BTreeSet<String> {
        self.inner.read().objects.keys().cloned().collect()
    }
}

impl Index {
    fn insert(&mut self, key: &str, object: &Object) {
        for value in (self.function)(object) {
            self.keys.entry(value).or_default().insert(key.to_owned());
        }
    }

    fn remove(&mut self, key: &str, object: &Object) {
        for value in (self.function)(object) {
            if let Some(keys) = self.keys.get_mut(&value) {
                keys.remove(key);
                if keys.is_empty() {
                    self.keys.remove(&value);
                }
            }
        }
    }
}

/// A handle to one resource's local copy. Cheap to clone.
#[derive(Clone)]
pub struct Informer {
    store: Arc<Store>,
    handlers: Arc<RwLock<Vec<Handler>>>,
    synced: watch::Receiver<bool>,
    /// Everything up to this revision has been taken over.
    revision: watch::Receiver<u64>,
}

impl std::fmt::Debug for Informer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Informer").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Informer {
    /// The local copy.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Adds an index under `name`; adding the same name again changes nothing.
    pub fn add_index(&self, name: &'static str, function: IndexFunction) {
        self.store.add_index(name, function);
    }

    /// Calls `handler` for every change from now on, and at once with `Added` for what is already there.
    pub fn on_change(&self, handler: impl Fn(&Change) + Send + Sync + 'static) {
        let mut handlers = self.handlers.write();
        for object in self.store.list() {
            handler(&Change::Added(object));
        }
        handlers.push(Box::new(handler));
    }

    /// Returns when the first list has been taken over.
    pub async fn synced(&self) {
        let mut synced = self.synced.clone();
        // The sender lives in the reflector task; if that has ended there is nothing to wait for.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Returns when the copy holds the write of this resource that made `revision`. A controller waits so after its own
    /// writes and then reads what it wrote, which takes the place of upstream's expectations.
    pub async fn caught_up(&self, revision: u64) {
        let mut seen = self.revision.clone();
        let _ = seen.wait_for(|seen| *seen >= revision).await;
    }

    /// Whether the first list has been taken over.
    pub fn has_synced(&self) -> bool {
        *self.synced.borrow()
    }
}

/// Group, plural, field selector.
type Selected = (&'static str, &'static str, String);

/// Shared informers, one a resource (and selection), started when first asked for.
#[derive(Debug, Clone)]
pub struct Informers {
    client: Client,
    supervisor: Supervisor,
    random: Arc<Random>,
    informers: Arc<Mutex<BTreeMap<Selected, Running>>>,
}

#[derive(Debug)]
struct Running {
    resource: &'static Resource,
    informer: Informer,
    /// The reflector ends when this says so.
    ended: watch::Sender<bool>,
}

impl Informers {
    /// Informers that read through `client` and run under `supervisor`.
    pub fn new(client: Client, supervisor: Supervisor, random: Arc<Random>) -> Self {
        Self { client, supervisor, random, informers: Arc::default() }
    }

    /// The informer of all objects of `resource`.
    pub fn of(&self, resource: &'static Resource) -> Informer {
        self.selected(resource, "")
    }

    /// The informer of the objects of `resource` that `field_selector` chooses, such as the Pods of one node.
    pub fn selected(&self, resource: &'static Resource, field_selector: &str) -> Informer {
        let key = (resource.group, resource.plural, field_selector.to_owned());
        let mut informers = self.informers.lock();
        if let Some(running) = informers.get(&key) {
            return running.informer.clone();
        }
        let (synced_sender, synced) = watch::channel(false);
        let (revision_sender, revision) = watch::channel(0);
        let informer = Informer { store: Arc::new(Store::new()), handlers: Arc::default(), synced, revision };
        let reflector = Reflector {
            client: self.client.clone(),
            resource,
            field_selector: field_selector.to_owned(),
            informer: informer.clone(),
            synced: synced_sender,
            revision: revision_sender,
            random: self.random.clone(),
        };
        let (ended, mut end) = watch::channel(false);
        self.supervisor.spawn_until_shutdown(format!("reflector-{}", resource.plural), async move {
            let forgotten = async {
                // Handles outlive the informers that they came from.
                if end.wait_for(|ended| *ended).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                () = forgotten => {}
                () = reflector.run() => {}
            }
        });
        informers.insert(key, Running { resource, informer: informer.clone(), ended });
        informer
    }

    /// Ends the informer of all objects of `resource`, which is served no longer. Handles to it see no changes any more;
    /// an informer of another version stays.
    pub fn forget(&self, resource: &'static Resource) {
        let key = (resource.group, resource.plural, String::new());
        let mut informers = self.informers.lock();
        if informers.get(&key).is_some_and(|running| running.resource.is(resource))
            && let Some(running) = informers.remove(&key)
        {
            running.ended.send_replace(true);
        }
    }

    /// Returns when every informer that was asked for so far has its first list.
    pub async fn synced(&self) {
        let all: Vec<Informer> = self.informers.lock().values().map(|running| running.informer.clone()).collect();
        for informer in all {
            informer.synced().await;
        }
    }
}

struct Reflector {
    client: Client,
    resource: &'static Resource,
    field_selector: String,
    informer: Informer,
    synced: watch::Sender<bool>,
    revision: watch::Sender<u64>,
    random: Arc<Random>,
}

impl Reflector {
    async fn run(self) {
        let mut backoff = Backoff::new(RELIST_INITIAL, RELIST_MAX, 1.0);
        let mut revision = None;
        loop {
            let result = match revision {
                None => self.relist().await.map(Some),
                Some(from) => Ok(self.follow(from, &mut backoff).await),
            };
            match result {
                Ok(next) => revision = next,
                Err(error) => {
                    tracing::warn!(resource = self.resource.plural, error = %error, "list failed, will retry");
                    tokio::time::sleep(backoff.next(&self.random)).await;
                }
            }
        }
    }

    /// Takes over a whole list; gives its revision.
    async fn relist(&self) -> Result<u64, apimachinery::ApiError> {
        let options = ListOptions { field_selector: self.field_selector.clone(), ..ListOptions::default() };
        let list = self.client.list(self.resource, "", &options).await?;
        let mut gone = self.informer.store.keys();
        for object in list.items {
            gone.remove(&object.meta().key());
            self.apply(object);
        }
        for key in gone {
            self.remove(&key, None);
        }
        self.revision.send_replace(list.resource_version);
        self.synced.send_replace(true);
        Ok(list.resource_version)
    }

    /// Follows a watch until it ends; gives the revision to go on from, or `None` if a list is needed.
    async fn follow(&self, from: u64, backoff: &mut Backoff) -> Option<u64> {
        let options = ListOptions {
            field_selector: self.field_selector.clone(),
            resource_version: Some(from),
            ..ListOptions::default()
        };
        let mut stream = match self.client.watch(self.resource, "", &options).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(resource = self.resource.plural, error = %error, "watch refused");
                tokio::time::sleep(backoff.next(&self.random)).await;
                return None;
            }
        };
        let mut revision = from;
        while let Some(event) = stream.next().await {
            backoff.reset();
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    revision = object.meta().resource_version;
                    self.apply(object);
                }
                WatchEvent::Deleted(object) => {
                    revision = object.meta().resource_version;
                    self.remove(&object.meta().key(), Some(object));
                }
                WatchEvent::Bookmark(at) | WatchEvent::InitialEventsEnd(at) => revision = at,
                WatchEvent::Error(error) => {
                    tracing::debug!(resource = self.resource.plural, error = %error, "watch ended, listing again");
                    return None;
                }
            }
            self.revision.send_replace(revision);
        }
        Some(revision)
    }

    // The handlers' lock is held while the store changes, so that a handler that is being added sees every object
    // either in the store or as a change, and none twice.
    fn apply(&self, object: Arc<Object>) {
        let handlers = self.informer.handlers.read();
        if let Some(change) = self.informer.store.apply(object) {
            handlers.iter().for_each(|handler| handler(&change));
        }
    }

    fn remove(&self, key: &str, last: Option<Arc<Object>>) {
        let handlers = self.informer.handlers.read();
        if let Some(old) = self.informer.store.remove(key) {
            let change = Change::Deleted(last.unwrap_or(old));
            handlers.iter().for_each(|handler| handler(&change));
        }
    }
}
