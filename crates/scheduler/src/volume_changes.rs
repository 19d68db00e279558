//! What happens to claims, volumes and classes: taken over into the cache, and told to the Pods that wait for them.

use std::sync::Arc;

use api::resources::{PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, STORAGECLASSES};
use apimachinery::Object;
use client::{Change, Informer, Informers};
use component_base::watch;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use registry::volumes::claim_names;

use crate::cache::Cache;
use crate::changes::node_of;
use crate::queue::SchedulingQueue;

/// Files Pods without a node under their claims, and under `""` if they have any.
const WAITING: &str = "scheduler-claims";

/// What follows claims, volumes and classes.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) pods: Informer,
    pub(crate) nodes: Informer,
    pub(crate) queue: SchedulingQueue,
    pub(crate) cache: Arc<Mutex<Cache>>,
    pub(crate) news: Arc<watch::Sender<u64>>,
}

/// The claims for which a Pod waits.
fn waits_for(pod: &Object) -> Vec<String> {
    let Ok(pod) = pod.typed::<Pod>() else { return Vec::new() };
    if node_of(&pod).is_some() {
        return Vec::new();
    }
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut keys: Vec<String> = claim_names(&pod).map(|(name, _)| format!("{namespace}/{name}")).collect();
    if !keys.is_empty() {
        keys.push(String::new());
    }
    keys
}

impl Follower {
    /// Follows them from now on. Gives the informers of claims and of volumes.
    pub(crate) fn follow(self, informers: &Informers) -> (Informer, Informer) {
        self.pods.add_index(WAITING, waits_for);
        let this = Arc::new(self);
        let [claims, volumes, classes] =
            [PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, STORAGECLASSES].map(|resource| informers.of(resource));
        let of = this.clone();
        claims.on_change(move |change| of.claim_changed(change));
        let of = this.clone();
        volumes.on_change(move |change| of.volume_changed(change));
        let of = this.clone();
        classes.on_change(move |change| of.class_changed(change));
        // Who waits for claims to be bound must hear that the Pod or the node has gone.
        let of = this.clone();
        this.pods.on_change(move |change| match change {
            Change::Added(_) => {}
            Change::Updated(before, after) if before.meta().uid == after.meta().uid => {}
            Change::Updated(..) | Change::Deleted(_) => of.tell(),
        });
        let of = this.clone();
        this.nodes.on_change(move |_| of.tell());
        (claims, volumes)
    }

    fn tell(&self) {
        self.news.send_if_modified(|count| {
            *count += 1;
            true
        });
    }

    /// Wakes the Pods that wait for a claim; `""` stands for all.
    fn wake(&self, claim: &str) {
        self.pods.store().by_index(WAITING, claim).iter().for_each(|pod| self.queue.wake(&pod.meta().key()));
        self.tell();
    }

    fn claim_changed(&self, change: &Change) {
        let object = change.object();
        let key = object.meta().key();
        match (change, object.typed()) {
            (Change::Deleted(_), _) | (_, Err(_)) => self.cache.lock().volumes_mut().remove_claim(&key),
            (_, Ok(claim)) => self.cache.lock().volumes_mut().set_claim(claim),
        }
        self.wake(&key);
    }

    fn volume_changed(&self, change: &Change) {
        let object = change.object();
        match (change, object.typed()) {
            (Change::Deleted(_), _) | (_, Err(_)) => {
                self.cache.lock().volumes_mut().remove_volume(&object.meta().name);
                self.tell();
            }
            (_, Ok(volume)) => {
                self.cache.lock().volumes_mut().set_volume(volume);
                self.wake("");
            }
        }
    }

    fn class_changed(&self, change: &Change) {
        let object = change.object();
        match (change, object.typed()) {
            (Change::Deleted(_), _) | (_, Err(_)) => self.cache.lock().volumes_mut().remove_class(&object.meta().name),
            (_, Ok(class)) => self.cache.lock().volumes_mut().set_class(class),
        }
        let topologies = |object: &Object| object.value()["allowedTopologies"].take();
        let helps = match change {
            Change::Added(_) => true,
            Change::Updated(before, after) => topologies(before) != topologies(after),
            Change::Deleted(_) => false,
        };
        if helps {
            self.wake("");
        }
    }
}
