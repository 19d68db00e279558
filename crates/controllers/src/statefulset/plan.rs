//! The next steps of a StatefulSet: replicas in their order, then the Pods that are too many, then the update. Pure.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::claims::{Claims, Holder, Owners};
use super::{identity, rolling, status};
use crate::pods;

/// A revision: its name, and the Pod of its template.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Version {
    pub(super) name: String,
    pub(super) pod: Value,
}

/// What the controller sees.
pub(super) struct Observed<'a> {
    pub(super) set: &'a StatefulSet,
    /// What Pods were made of before the update.
    pub(super) current: &'a Version,
    /// What they are made of now.
    pub(super) update: &'a Version,
    pub(super) collisions: i32,
    pub(super) pods: &'a [Arc<Pod>],
    pub(super) claims: Claims<'a>,
    pub(super) now: Timestamp,
}

/// Something to do for one Pod: first its claims, then their owners, then the Pod itself.
#[derive(Debug, Default)]
pub(super) struct Action {
    pub(super) pod: String,
    /// Claims to make.
    pub(super) claims: Vec<Value>,
    /// Why the claims can't be had now.
    pub(super) blocked: Option<String>,
    pub(super) owners: Vec<Owners>,
    pub(super) change: Change,
}

/// What becomes of a Pod.
#[derive(Debug, Default)]
pub(super) enum Change {
    /// Only its claims change.
    #[default]
    None,
    Create(Value),
    /// A merge patch, if the Pod itself changes, and not only the owners of its claims.
    Update(Option<Value>),
    Delete(Arc<Pod>),
}

/// What to do, in this order; a failure ends it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) actions: Vec<Action>,
    /// Whether several actions may be done at once.
    pub(super) parallel: bool,
    pub(super) status: StatefulSetStatus,
}

/// A place in the set, with its Pod or the version that its Pod will be of.
pub(super) enum Replica<'a> {
    Pod(&'a Arc<Pod>),
    Missing(&'a Version),
}

impl Replica<'_> {
    pub(super) fn revision(&self) -> &str {
        match self {
            Self::Pod(pod) => identity::revision(pod),
            Self::Missing(version) => &version.name,
        }
    }
}

impl Observed<'_> {
    pub(super) fn replicas(&self) -> i32 {
        self.set.spec.replicas.unwrap_or(1)
    }

    pub(super) fn min_ready_seconds(&self) -> i32 {
        self.set.spec.min_ready_seconds.unwrap_or(0)
    }

    fn start(&self) -> i32 {
        self.set.spec.ordinals.as_ref().and_then(|o| o.start).unwrap_or(0)
    }

    pub(super) fn is_unavailable(&self, pod: &Pod) -> bool {
        pods::is_leaving(pod) || !pods::is_available(pod, self.min_ready_seconds(), self.now)
    }

    /// Whether a place has no available Pod.
    pub(super) fn lacks(&self, replica: &Replica<'_>) -> bool {
        match replica {
            Replica::Pod(pod) => self.is_unavailable(pod),
            Replica::Missing(_) => true,
        }
    }

    /// The version of a Pod that is made now: below the partition, and while an update without one goes on among the
    /// first that are not updated yet, the one from before.
    fn version(&self, ordinal: i32) -> &Version {
        let strategy = self.set.spec.update_strategy.as_ref();
        let rolling = strategy.and_then(|s| s.rolling_update.as_ref());
        let rolls = strategy.and_then(|s| s.type_.as_deref()) == Some("RollingUpdate");
        let before = match rolling {
            Some(rolling) => rolling.partition.unwrap_or(0),
            None if rolls => self.set.status.as_ref().and_then(|s| s.current_replicas).unwrap_or(0),
            None => 0,
        };
        if ordinal < self.start().saturating_add(before) { self.current } else { self.update }
    }
}

/// Decides.
pub(super) fn plan(observed: &Observed<'_>) -> Plan {
    let (start, count) = (observed.start(), observed.replicas());
    let inside = |ordinal: i32| (start..start.saturating_add(count)).contains(&ordinal);
    let numbered = observed.pods.iter().filter_map(|pod| Some((identity::ordinal(pod)?, pod)));
    let (mut members, mut condemned): (Vec<_>, Vec<_>) = numbered.partition(|(ordinal, _)| inside(*ordinal));
    members.sort_by_key(|(ordinal, _)| *ordinal);
    condemned.sort_by_key(|(ordinal, _)| std::cmp::Reverse(*ordinal));
    let replica = |ordinal: i32| {
        let pod = members.binary_search_by_key(&ordinal, |(ordinal, _)| *ordinal);
        let missing = || Replica::Missing(observed.version(ordinal));
        (ordinal, pod.map_or_else(|_| missing(), |at| Replica::Pod(members[at].1)))
    };
    let replicas = (start..start.saturating_add(count)).map(replica).collect();
    let status = status::count(observed, members.iter().chain(&condemned).map(|(_, pod)| *pod));
    let parallel = observed.set.spec.pod_management_policy.as_deref() == Some("Parallel");
    let mut planner = Planner { observed, replicas, condemned, parallel, actions: Vec::new(), status };
    if observed.set.metadata.deletion_timestamp.is_none() {
        planner.decide();
    }
    status::complete(observed, &mut planner.status);
    Plan { actions: planner.actions, parallel, status: planner.status }
}

struct Planner<'a> {
    observed: &'a Observed<'a>,
    replicas: Vec<(i32, Replica<'a>)>,
    /// Pods that the set is too small for, the highest ordinal first.
    condemned: Vec<(i32, &'a Arc<Pod>)>,
    parallel: bool,
    actions: Vec<Action>,
    status: StatefulSetStatus,
}

/// Whether the steps after this one may be taken, where Pods keep their order.
type Proceed = bool;

impl Planner<'_> {
    fn decide(&mut self) {
        for at in 0..self.replicas.len() {
            if !self.replica(at) && !self.parallel {
                return;
            }
        }
        for (ordinal, pod) in &self.condemned {
            let owners = self.observed.claims.owners(holder(pod, *ordinal, true));
            if owners.iter().any(|owners| owners.references.is_some()) {
                self.actions.push(Action { pod: identity::name(pod).to_owned(), owners, ..Action::default() });
            }
        }
        for at in 0..self.condemned.len() {
            if !self.condemn(at) && !self.parallel {
                return;
            }
        }
        let strategy = self.observed.set.spec.update_strategy.as_ref();
        if strategy.and_then(|s| s.type_.as_deref()) != Some("OnDelete") {
            self.roll();
        }
    }

    fn delete(&mut self, pod: &Arc<Pod>) {
        let change = Change::Delete(pod.clone());
        self.actions.push(Action { pod: identity::name(pod).to_owned(), change, ..Action::default() });
    }

    /// Makes a replica, or looks after the one that is there. The next one has its turn when this one is available.
    fn replica(&mut self, at: usize) -> Proceed {
        let observed = self.observed;
        let (ordinal, replica) = &self.replicas[at];
        let (ordinal, pod) = match replica {
            Replica::Pod(pod) => (*ordinal, (*pod).clone()),
            Replica::Missing(version) => {
                let action = create(observed, *ordinal, version);
                self.actions.extend(action);
                return false;
            }
        };
        // Whatever its exit code says: the Pod of an evicted or rebooted node may have succeeded too.
        if pods::has_ended(&pod) {
            if !pods::is_leaving(&pod) {
                self.delete(&pod);
            }
            return false;
        }
        let holder = holder(&pod, ordinal, false);
        let mut action = Action { pod: holder.name.to_owned(), ..Action::default() };
        if pods::phase(&pod) == "Pending" {
            action.claims = observed.claims.missing(ordinal);
            action.blocked = blocked(observed, ordinal);
            action.owners = observed.claims.owners(holder);
        }
        let waits = pods::phase(&pod) != "Running" || observed.is_unavailable(&pod);
        if !waits || self.parallel {
            let correction = identity::correction(&pod, &observed.claims, ordinal);
            let owners = observed.claims.owners(holder);
            if correction.is_some() || owners.iter().any(|owners| owners.references.is_some()) {
                if correction.as_ref().is_some_and(|patch| !patch["spec"].is_null()) {
                    action.claims = observed.claims.missing(ordinal);
                    action.blocked = blocked(observed, ordinal);
                }
                action.owners = owners;
                action.change = Change::Update(correction);
            }
        }
        let idle = action.claims.is_empty() && action.blocked.is_none() && action.owners.is_empty();
        if !(idle && matches!(action.change, Change::None)) {
            self.actions.push(action);
        }
        !waits
    }

    /// Deletes a Pod that is too many, if no other one is missing or broken.
    fn condemn(&mut self, at: usize) -> Proceed {
        let pod = self.condemned[at].1.clone();
        if pods::is_leaving(&pod) {
            return false;
        }
        let healthy = pods::phase(&pod) == "Running" && !self.observed.is_unavailable(&pod);
        if !healthy && !self.parallel && !self.is_first_unavailable(at) {
            return false;
        }
        self.delete(&pod);
        false
    }

    /// Whether no replica is unavailable, and of the condemned ones none below this one.
    fn is_first_unavailable(&self, at: usize) -> bool {
        let replicas = self.replicas.iter().all(|(_, replica)| !self.observed.lacks(replica));
        replicas && self.condemned[at + 1..].iter().all(|(_, pod)| !self.observed.is_unavailable(pod))
    }

    /// Deletes the Pods whose turn it is in the update.
    fn roll(&mut self) {
        for pod in rolling::step(self.observed, &self.replicas) {
            self.delete(&pod);
            self.status.current_replicas =
                self.status.current_replicas.map(|count| count - 1).filter(|count| *count != 0);
        }
    }
}

fn holder(pod: &Pod, ordinal: i32, condemned: bool) -> Holder<'_> {
    Holder { name: identity::name(pod), uid: pod.metadata.uid.as_deref().unwrap_or_default(), ordinal, condemned }
}

/// Why a Pod can't have its claims now.
fn blocked(observed: &Observed<'_>, ordinal: i32) -> Option<String> {
    let leaving = observed.claims.leaving(ordinal);
    let told: Vec<String> = leaving.iter().map(|name| format!("pvc {name} is being deleted")).collect();
    match told.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        _ => Some(format!("[{}]", told.join(", "))),
    }
}

/// The Pod with this ordinal; `None` while a claim still belongs to its predecessor.
fn create(observed: &Observed<'_>, ordinal: i32, version: &Version) -> Option<Action> {
    let service = observed.set.spec.service_name.as_deref();
    let pod = identity::new_pod(version.pod.clone(), &observed.claims, ordinal, service, &version.name);
    let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if observed.claims.is_stale(Holder { name: &name, uid: "", ordinal, condemned: false }) {
        return None;
    }
    Some(Action {
        pod: name,
        claims: observed.claims.missing(ordinal),
        blocked: blocked(observed, ordinal),
        change: Change::Create(pod),
        ..Action::default()
    })
}

#[cfg(test)]
mod tests;
