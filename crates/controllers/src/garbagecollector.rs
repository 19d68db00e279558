//! The garbage collector: deletes what belonged to owners that are gone, and carries out orphaning and foreground
//! deletion (upstream: `pkg/controller/garbagecollector`).
//!
//! The graph is the informers' own index of objects by owner uid: there is no second copy that could disagree.

use std::sync::Arc;

use apimachinery::{ApiError, Object, OwnerReference, Reason, Resource};
use async_trait::async_trait;
use client::{
    Change, Client, DeleteOptions, Informer, Outcome, PatchKind, Preconditions, Propagation, ReconcileError,
    Reconciler, WorkQueue, run_controller,
};
use parking_lot::RwLock;
use serde_json::{Value, json};

use crate::context::ControllerContext;
use crate::settled::settled;

const NAME: &str = "generic-garbage-collector";
/// Objects that are looked at at once (upstream's `--concurrent-gc-syncs`).
const WORKERS: usize = 20;
const BY_OWNER: &str = "owner-uids";
const BY_UID: &str = "uid";
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

struct GarbageCollector {
    client: Client,
    context: ControllerContext,
    monitors: Arc<Monitors>,
}

/// Every kind that is watched, with its informer; custom ones come and go.
#[derive(Default)]
struct Monitors(RwLock<Vec<(&'static Resource, Informer)>>);

/// The key of an object in the queue.
fn queue_key(resource: &Resource, object: &Object) -> String {
    format!("{}/{}|{}", resource.group, resource.plural, object.meta().key())
}

/// Starts the collector: it watches every kind that can be deleted but Events, of which there are many and which own
/// nothing.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let kinds = api::RESOURCES.iter().filter(|r| {
        let verbs = ["delete", "list", "watch"].iter().all(|verb| r.verbs.contains(verb));
        verbs && api::storage_resource(r).is(r) && r.plural != "events"
    });
    let monitors: Arc<Monitors> = Arc::default();
    *monitors.0.write() = kinds.map(|resource| (resource, context.informers.of(resource))).collect();
    let built_in = monitors.0.read().clone();
    for (_, informer) in &built_in {
        add_indexes(informer);
    }
    for (resource, informer) in &built_in {
        watch(&monitors, &queue, resource, informer);
    }
    let (coming, going, changes) = (monitors.clone(), monitors.clone(), queue.clone());
    let appear = move |resource: &'static Resource, informer: &Informer| {
        add_indexes(informer);
        coming.0.write().push((resource, informer.clone()));
        watch(&coming, &changes, resource, informer);
    };
    let vanish = move |resource: &'static Resource| going.0.write().retain(|(r, _)| !r.is(resource));
    crate::custom_resources::follow(context, appear, vanish);
    let controller = GarbageCollector { client: context.client(NAME), context: context.clone(), monitors };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

fn add_indexes(informer: &Informer) {
    informer.add_index(BY_OWNER, |object| object.meta().owner_references.iter().map(|o| o.uid.clone()).collect());
    informer.add_index(BY_UID, |object| vec![object.meta().uid.clone()]);
}

/// Queues what a change of an object of `resource` may concern.
fn watch(monitors: &Arc<Monitors>, queue: &WorkQueue, resource: &'static Resource, informer: &Informer) {
    let (queue, all) = (queue.clone(), monitors.clone());
    informer.on_change(move |change| {
        let object = change.object();
        let meta = object.meta();
        // An owner may have waited for this object in a foreground deletion.
        for uid in freed_owners(change) {
            if let Some((kind, owner)) = all.by_uid(uid) {
                queue.add(queue_key(kind, &owner));
            }
        }
        if let Change::Deleted(_) = change {
            for (kind, dependant) in all.dependants(&meta.uid) {
                queue.add(queue_key(kind, &dependant));
            }
        } else if !meta.owner_references.is_empty() || meta.deletion_timestamp.is_some() {
            queue.add(queue_key(resource, object));
        }
    });
}

/// The owners that need not wait for an object any more: it is gone, or does not block them now.
fn freed_owners(change: &Change) -> Vec<&str> {
    let blocked = |object: &Object, uid: &str| {
        object.meta().owner_references.iter().any(|o| o.uid == uid && o.block_owner_deletion == Some(true))
    };
    let (before, after) = match change {
        Change::Added(_) => return Vec::new(),
        Change::Updated(before, after) => (before, Some(after)),
        Change::Deleted(last) => (last, None),
    };
    let owners = before.meta().owner_references.iter().map(|owner| owner.uid.as_str());
    owners.filter(|uid| after.is_none_or(|after| blocked(before, uid) && !blocked(after, uid))).collect()
}

impl Monitors {
    fn dependants(&self, uid: &str) -> Vec<(&'static Resource, Arc<Object>)> {
        let of = |(resource, informer): &(&'static Resource, Informer)| {
            let resource = *resource;
            let objects = informer.store().by_index(BY_OWNER, uid).into_iter();
            objects.map(move |object| (resource, object)).collect::<Vec<_>>()
        };
        self.0.read().iter().flat_map(of).collect()
    }

    fn by_uid(&self, uid: &str) -> Option<(&'static Resource, Arc<Object>)> {
        self.0.read().iter().find_map(|(resource, informer)| {
            informer.store().by_index(BY_UID, uid).into_iter().next().map(|object| (*resource, object))
        })
    }

    /// The resource of a kind, in the version that is asked for or the one that is watched.
    fn find_kind(&self, group: &str, version: &str, kind: &str) -> Option<&'static Resource> {
        let watched = || self.0.read().iter().map(|(r, _)| *r).find(|r| r.group == group && r.kind == kind);
        api::find_kind(group, version, kind).or_else(watched)
    }
}

/// What an owner reference is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worth {
    /// The owner lives.
    Solid,
    /// The owner is gone.
    Dangling,
    /// The owner is being deleted and waits for this object.
    Waiting,
}

#[async_trait]
impl Reconciler for GarbageCollector {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some((kind, object_key)) = key.split_once('|') else { return Ok(Outcome::Done) };
        let monitor = self.monitors.0.read().iter().find(|(r, _)| format!("{}/{}", r.group, r.plural) == kind).cloned();
        let Some((resource, informer)) = monitor else { return Ok(Outcome::Done) };
        let Some(object) = informer.store().get(object_key) else { return Ok(Outcome::Done) };
        let meta = object.meta();
        let has = |finalizer: &str| meta.finalizers.iter().any(|f| f == finalizer);
        let result = if meta.deletion_timestamp.is_some() {
            if has(ORPHAN) {
                self.orphan(resource, &object).await
            } else if has(FOREGROUND) {
                self.foreground(resource, &object).await
            } else {
                Ok(())
            }
        } else {
            self.collect(resource, &object).await
        };
        match result {
            Ok(()) => Ok(Outcome::Done),
            Err(error) => settled(error),
        }
    }
}

impl GarbageCollector {
    /// Deletes `object` if no owner is left, or drops the references that lead nowhere.
    async fn collect(&self, resource: &'static Resource, object: &Object) -> Result<(), ApiError> {
        let meta = object.meta();
        let mut worths = Vec::new();
        for owner in &meta.owner_references {
            worths.push((owner, self.worth(object, owner).await?));
        }
        let any = |worth: Worth| worths.iter().any(|(_, w)| *w == worth);
        if worths.is_empty() || !(any(Worth::Dangling) || any(Worth::Waiting)) {
            return Ok(());
        }
        if any(Worth::Solid) {
            let gone: Vec<&str> =
                worths.iter().filter(|(_, w)| *w != Worth::Solid).map(|(o, _)| o.uid.as_str()).collect();
            return self.drop_references(resource, object, &gone).await;
        }
        let dependants = if any(Worth::Waiting) { self.monitors.dependants(&meta.uid) } else { Vec::new() };
        let waits = |dependant: &Object| {
            let meta = dependant.meta();
            meta.deletion_timestamp.is_some() && meta.finalizers.iter().any(|f| f == FOREGROUND)
        };
        if dependants.iter().any(|(_, dependant)| waits(dependant)) {
            // What waits for this object may be what this object waits for: it must not block its owners any more.
            self.unblock_owners(resource, object).await?;
        }
        let propagation = if any(Worth::Waiting) && !dependants.is_empty() {
            Propagation::Foreground
        } else if meta.finalizers.iter().any(|f| f == ORPHAN) {
            Propagation::Orphan
        } else if meta.finalizers.iter().any(|f| f == FOREGROUND) {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        // Nobody may have changed the owners since; what was just changed here is known.
        let unchanged = dependants.is_empty().then_some(meta.resource_version);
        let options = DeleteOptions {
            propagation: Some(propagation),
            preconditions: Preconditions { uid: Some(meta.uid.clone()), resource_version: unchanged },
            ..DeleteOptions::default()
        };
        self.client.delete(resource, &meta.namespace, &meta.name, &options).await.map(|_| ())
    }

    async fn worth(&self, object: &Object, owner: &OwnerReference) -> Result<Worth, ApiError> {
        let (group, version) = owner.api_version.split_once('/').unwrap_or(("", owner.api_version.as_str()));
        let Some(resource) = self.monitors.find_kind(group, version, &owner.kind) else {
            // Nobody knows this kind, so nobody knows whether the owner lives: leave it alone.
            return Ok(Worth::Solid);
        };
        let namespace = if resource.namespaced() { object.meta().namespace.as_str() } else { "" };
        let known = self.monitors.by_uid(&owner.uid).map(|(_, found)| found);
        let found = match known {
            Some(found) if found.meta().namespace == namespace => Some(found),
            // The copy may be behind: only the server's word kills.
            _ => match self.client.get(resource, namespace, &owner.name).await {
                Ok(found) => Some(found),
                Err(error) if error.reason == Reason::NotFound => None,
                Err(error) => return Err(error),
            },
        };
        Ok(match found {
            Some(found) if found.meta().uid == owner.uid => {
                let waits = found.meta().deletion_timestamp.is_some()
                    && found.meta().finalizers.iter().any(|f| f == FOREGROUND);
                if waits { Worth::Waiting } else { Worth::Solid }
            }
            _ => Worth::Dangling,
        })
    }

    /// Makes an object one that its owners' deletion need not wait for.
    async fn unblock_owners(&self, resource: &'static Resource, object: &Object) -> Result<(), ApiError> {
        let meta = object.meta();
        if !meta.owner_references.iter().any(|owner| owner.block_owner_deletion == Some(true)) {
            return Ok(());
        }
        let unblocked = meta.owner_references.iter().map(|owner| {
            let mut owner = owner.clone();
            owner.block_owner_deletion = Some(false);
            serde_json::to_value(&owner).unwrap_or(Value::Null)
        });
        let unblocked: Vec<Value> = unblocked.collect();
        let patch = json!({"metadata": {
            "resourceVersion": meta.resource_version.to_string(), "uid": meta.uid, "ownerReferences": unblocked,
        }});
        self.client.patch(resource, &meta.namespace, &meta.name, PatchKind::Merge, patch).await.map(|_| ())
    }

    async fn drop_references(
        &self,
        resource: &'static Resource,
        object: &Object,
        uids: &[&str],
    ) -> Result<(), ApiError> {
        let meta = object.meta();
        let kept: Vec<Value> = meta
            .owner_references
            .iter()
            .filter(|o| !uids.contains(&o.uid.as_str()))
            .map(|o| serde_json::to_value(o).unwrap_or(Value::Null))
            .collect();
        let patch = json!({"metadata": {
            "resourceVersion": meta.resource_version.to_string(), "uid": meta.uid, "ownerReferences": kept,
        }});
        self.client.patch(resource, &meta.namespace, &meta.name, PatchKind::Merge, patch).await.map(|_| ())
    }

    /// Frees the dependants of an object that is deleted without them.
    async fn orphan(&self, resource: &'static Resource, object: &Object) -> Result<(), ApiError> {
        let uid = object.meta().uid.as_str();
        for (kind, dependant) in self.monitors.dependants(uid) {
            match self.drop_references(kind, &dependant, &[uid]).await {
                Err(error) if error.reason != Reason::NotFound => return Err(error),
                _ => {}
            }
        }
        self.remove_finalizer(resource, object, ORPHAN).await
    }

    /// Deletes the dependants first; the object goes when none is left that blocks it.
    async fn foreground(&self, resource: &'static Resource, object: &Object) -> Result<(), ApiError> {
        let uid = &object.meta().uid;
        let dependants = self.monitors.dependants(uid);
        let blocks = |dependant: &Object| {
            let mut owners = dependant.meta().owner_references.iter();
            owners.any(|o| o.uid == *uid && o.block_owner_deletion == Some(true))
        };
        if !dependants.iter().any(|(_, dependant)| blocks(dependant)) {
            return self.remove_finalizer(resource, object, FOREGROUND).await;
        }
        for (kind, dependant) in dependants {
            if dependant.meta().deletion_timestamp.is_none() {
                match self.collect(kind, &dependant).await {
                    Err(error) if error.reason != Reason::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    async fn remove_finalizer(
        &self,
        resource: &'static Resource,
        object: &Object,
        finalizer: &str,
    ) -> Result<(), ApiError> {
        let meta = object.meta();
        let kept: Vec<&String> = meta.finalizers.iter().filter(|f| *f != finalizer).collect();
        let patch = json!({"metadata": {
            "resourceVersion": meta.resource_version.to_string(), "uid": meta.uid, "finalizers": kept,
        }});
        self.client.patch(resource, &meta.namespace, &meta.name, PatchKind::Merge, patch).await.map(|_| ())
    }
}
