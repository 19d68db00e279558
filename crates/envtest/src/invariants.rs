//! What is true of a cluster after every commit, whatever goes wrong.
//!
//! - Revisions have no gaps, and what was acknowledged is there after every restart.
//! - A Pod, once bound, stays on its node; no two Pods that are alive have one address.
//! - A ReplicaSet's controller makes no Pod beyond the set's replicas, and a Deployment's controller raises no set so that
//!   all sets together are above replicas + maxSurge. So no more Pods than that are alive, but for those that a set of fewer
//!   replicas has yet to delete.
//! - A volume is bound to one claim at a time.
//! - Once all replicas of a Deployment were available, never fewer than replicas − maxUnavailable are.
//!
//! Numbers that a user has changed a moment ago still count: those who act on the old ones can't know yet.
//!
//! Who writes: the datastore at each commit. Who reads: the scenario, whenever it looks at the cluster.

mod model;

use std::collections::BTreeMap;
use std::sync::Arc;

use datastore::{Committed, KeyValue, RangeResult};
use jiff::{SignedDuration, Timestamp};

use crate::failure::Failure;
use model::{Deployment, Pod, ReplicaSet, deployment, pod, replica_set};

const PODS: &str = "/registry/pods/";
const SETS: &str = "/registry/replicasets/";
const DEPLOYMENTS: &str = "/registry/deployments/";
const NODES: &str = "/registry/minions/";
const CLAIMS: &str = "/registry/persistentvolumeclaims/";

/// The state that the commits so far have made, and the first invariant that one of them broke.
#[derive(Debug)]
pub struct Invariants {
    guard_availability: bool,
    /// How long a number that has changed still excuses those who act on it.
    stale_max: SignedDuration,
    state: BTreeMap<Arc<str>, Arc<KeyValue>>,
    revision: u64,
    pods: BTreeMap<Arc<str>, Pod>,
    /// By uid.
    sets: BTreeMap<String, Watched<ReplicaSet>>,
    /// By uid.
    deployments: BTreeMap<String, Watched<Deployment>>,
    /// The node of every Pod that was ever bound, by uid.
    bound: BTreeMap<String, String>,
    /// The volumes of the claims that are bound.
    volumes: BTreeMap<Arc<str>, String>,
    broken: Option<(u64, String)>,
}

/// An object with the numbers that it recently had.
#[derive(Debug)]
struct Watched<T> {
    now: T,
    /// The most Pods that it allows, and has allowed, each with its beginning.
    most: Vec<(Timestamp, i64)>,
    /// How many replicas were available at once and should stay so; none while that was never the case.
    reached: Option<i64>,
}

impl<T> Watched<T> {
    fn new(now: T) -> Self {
        Self { now, most: Vec::new(), reached: None }
    }

    /// Notes that `most` is allowed from now on.
    fn allow(&mut self, now: Timestamp, most: i64) {
        if self.most.last().is_none_or(|(_, last)| *last != most) {
            self.most.push((now, most));
        }
    }

    /// The most that is allowed now, or was until less than `stale_max` ago.
    fn most(&mut self, now: Timestamp, stale_max: SignedDuration) -> i64 {
        while self.most.get(1).is_some_and(|(replaced, _)| now.duration_since(*replaced) >= stale_max) {
            self.most.remove(0);
        }
        self.most.iter().map(|(_, most)| *most).max().unwrap_or(0)
    }
}

impl Invariants {
    /// Nothing was committed yet.
    pub(crate) fn new(guard_availability: bool, stale_max: SignedDuration) -> Self {
        Self {
            guard_availability,
            stale_max,
            state: BTreeMap::new(),
            revision: datastore::Revision::FRESH.0,
            pods: BTreeMap::new(),
            sets: BTreeMap::new(),
            deployments: BTreeMap::new(),
            bound: BTreeMap::new(),
            volumes: BTreeMap::new(),
            broken: None,
        }
    }

    /// Whether every commit so far kept all invariants.
    pub fn verdict(&self) -> Result<(), Failure> {
        match &self.broken {
            None => Ok(()),
            Some((revision, what)) => Err(Failure::Invariant { revision: *revision, what: what.clone() }),
        }
    }

    /// Takes over a commit that was made at `now`.
    pub(crate) fn observe(&mut self, now: Timestamp, committed: &Committed) {
        let revision = committed.revision.0;
        if revision != self.revision + 1 {
            self.break_at(revision, format!("the revision before was {}", self.revision));
        }
        self.revision = revision;
        let Some(key) = committed.kv.as_ref().or(committed.prev.as_ref()).map(|kv| kv.key.clone()) else { return };
        let known = self.state.get(&key).map(|kv| kv.mod_revision);
        if known != committed.prev.as_ref().map(|kv| kv.mod_revision) {
            self.break_at(revision, format!("{key} was replaced in another state than it had"));
        }
        match &committed.kv {
            Some(kv) => drop(self.state.insert(key.clone(), kv.clone())),
            None => drop(self.state.remove(&key)),
        }
        let value = committed.kv.as_ref().map(|kv| &kv.value);
        if key.starts_with(PODS) {
            self.pod_changed(now, revision, key, value.and_then(|value| pod(value)));
        } else if key.starts_with(SETS) {
            self.set_changed(now, revision, committed, value.and_then(|value| replica_set(value)));
        } else if key.starts_with(DEPLOYMENTS) {
            self.deployment_changed(now, revision, committed, value.and_then(|value| deployment(value)));
        } else if key.starts_with(CLAIMS) {
            self.claim_changed(revision, key, value.and_then(|value| model::bound_volume(value)));
        } else if key.starts_with(NODES) && value.is_some_and(|value| model::node_is_lost(value)) {
            // Nobody can promise anything of the Pods there.
            self.deployments.values_mut().for_each(|deployment| deployment.reached = None);
        }
    }

    fn break_at(&mut self, revision: u64, what: String) {
        self.broken.get_or_insert((revision, what));
    }

    fn pod_changed(&mut self, now: Timestamp, revision: u64, key: Arc<str>, pod: Option<Pod>) {
        let Some(pod) = pod else {
            let gone = self.pods.remove(&key);
            return self.check_available(revision, gone.and_then(|pod| pod.set));
        };
        if let Some(node) = &pod.node {
            let first = self.bound.entry(pod.uid.clone()).or_insert_with(|| node.clone());
            if first != node {
                let what = format!("{key} was bound to {first} and is on {node}");
                self.break_at(revision, what);
            }
        }
        let twin = self.pods.iter().find(|(other, p)| {
            **other != key && p.alive && pod.alive && p.address.is_some() && p.address == pod.address
        });
        if let Some((other, _)) = twin {
            let what = format!("{key} and {other} both have the address {:?}", pod.address.as_deref().unwrap_or(""));
            self.break_at(revision, what);
        }
        let (set, created) = (pod.set.clone(), !self.pods.contains_key(&key));
        self.pods.insert(key, pod);
        if created {
            self.check_set(now, revision, set.as_deref());
        }
        self.check_available(revision, set);
    }

    fn claim_changed(&mut self, revision: u64, key: Arc<str>, volume: Option<String>) {
        let Some(volume) = volume else { return drop(self.volumes.remove(&key)) };
        if let Some((other, _)) = self.volumes.iter().find(|(other, of_other)| **other != key && **of_other == volume) {
            let what = format!("{key} and {other} both are bound to {volume}");
            self.break_at(revision, what);
        }
        self.volumes.insert(key, volume);
    }

    fn alive(&self, set: &str) -> impl Iterator<Item = &Pod> {
        self.pods.values().filter(move |pod| pod.alive && pod.set.as_deref() == Some(set))
    }

    /// A Pod of this set was made.
    fn check_set(&mut self, now: Timestamp, revision: u64, set: Option<&str>) {
        let Some(set) = set else { return };
        let (alive, stale_max) = (self.alive(set).count() as i64, self.stale_max);
        let Some(watched) = self.sets.get_mut(set) else { return };
        let most = watched.most(now, stale_max);
        if alive > most {
            let what = format!("{} has {alive} Pods, and never wanted more than {most}", watched.now.name);
            self.break_at(revision, what);
        }
    }

    fn set_changed(&mut self, now: Timestamp, revision: u64, committed: &Committed, set: Option<ReplicaSet>) {
        let Some(set) = set else {
            if let Some(gone) = committed.prev.as_ref().and_then(|kv| replica_set(&kv.value)) {
                self.sets.remove(&gone.uid);
            }
            return;
        };
        let before = self.sets.get(&set.uid).map_or(0, |watched| watched.now.replicas);
        let (raised, owner) = (set.replicas > before, set.deployment.clone());
        let watched = self.sets.entry(set.uid.clone()).or_insert_with(|| Watched::new(set.clone()));
        watched.allow(now, set.replicas);
        watched.now = set;
        let Some(owner) = owner.filter(|_| raised) else { return };
        let stale_max = self.stale_max;
        let Some(deployment) = self.deployments.get_mut(&owner) else { return };
        let of_owner = self.sets.values().filter(|set| set.now.deployment.as_ref() == Some(&owner));
        let (sum, most) = (of_owner.map(|set| set.now.replicas).sum::<i64>(), deployment.most(now, stale_max));
        if sum > most {
            let what = format!("the sets of {} are {sum} together, above {most}", deployment.now.name);
            self.break_at(revision, what);
        }
    }

    fn deployment_changed(
        &mut self,
        now: Timestamp,
        revision: u64,
        committed: &Committed,
        deployment: Option<Deployment>,
    ) {
        let Some(deployment) = deployment else {
            if let Some(gone) = committed.prev.as_ref().and_then(|kv| model::deployment(&kv.value)) {
                self.deployments.remove(&gone.uid);
            }
            return;
        };
        let uid = deployment.uid.clone();
        let watched = self.deployments.entry(uid.clone()).or_insert_with(|| Watched::new(deployment.clone()));
        watched.allow(now, deployment.replicas + deployment.surge);
        watched.now = deployment;
        self.check_deployment(revision, &uid);
    }

    fn check_available(&mut self, revision: u64, set: Option<String>) {
        let owner = set.and_then(|set| self.sets.get(&set)?.now.deployment.clone());
        if let Some(owner) = owner {
            self.check_deployment(revision, &owner);
        }
    }

    fn check_deployment(&mut self, revision: u64, uid: &str) {
        let sets = self.sets.values().filter(|set| set.now.deployment.as_deref() == Some(uid));
        let available = sets.flat_map(|set| self.alive(&set.now.uid)).filter(|pod| pod.ready).count() as i64;
        let guard = self.guard_availability;
        let Some(watched) = self.deployments.get_mut(uid) else { return };
        let deployment = &watched.now;
        if !deployment.rolling || deployment.deleted {
            watched.reached = None;
            return;
        }
        if deployment.settled && available >= deployment.replicas {
            watched.reached = Some(deployment.replicas);
        }
        watched.reached = watched.reached.map(|reached| reached.min(deployment.replicas));
        let least = watched.reached.map_or(0, |reached| reached - deployment.unavailable);
        if guard && available < least {
            let what = format!("{available} Pods of {} are available, which needs {least}", deployment.name);
            self.break_at(revision, what);
        }
    }

    /// Whether a datastore holds exactly what was committed.
    pub(crate) fn same_as(&self, stored: &RangeResult) -> Result<(), Failure> {
        let wrong = |what: String| Err(Failure::Invariant { revision: self.revision, what });
        if stored.revision.0 != self.revision {
            return wrong(format!("the datastore is at revision {}", stored.revision));
        }
        if stored.items.len() != self.state.len() {
            return wrong(format!("the datastore has {} keys instead of {}", stored.items.len(), self.state.len()));
        }
        let differs = stored.items.iter().find(|kv| self.state.get(&kv.key) != Some(kv));
        differs.map_or(Ok(()), |kv| wrong(format!("{} is not what was committed", kv.key)))
    }
}

#[cfg(test)]
mod tests;
