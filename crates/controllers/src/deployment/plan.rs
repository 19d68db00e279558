//! What to do for a Deployment, decided from what is observed. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus, ReplicaSet};
use k8s_openapi::jiff::Timestamp;

use super::replica_sets::{
    self, Numbers, REVISION, annotation_number, desired_annotations, fraction_of, new_replica_set, replicas,
    revision_of, same_template,
};
use super::status;

/// What the controller sees.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    pub(super) deployment: &'a Deployment,
    /// The sets that the Deployment controls.
    pub(super) replica_sets: Vec<ReplicaSet>,
    /// Pods of each set (by uid) that have not ended.
    pub(super) active_pods: Vec<(String, usize)>,
    pub(super) now: Timestamp,
}

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Create(Box<ReplicaSet>),
    /// `scaled` says from how many to how many replicas, where that changes.
    Update {
        set: Box<ReplicaSet>,
        scaled: Option<(i32, i32)>,
    },
    Delete {
        name: String,
    },
    Warn {
        reason: &'static str,
        message: String,
    },
}

/// The writes in their order, and the status afterwards if it changes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) actions: Vec<Action>,
    pub(super) status: Option<DeploymentStatus>,
    /// Annotations of the Deployment that change with the status.
    pub(super) annotations: BTreeMap<String, String>,
    /// When to look again although nothing happens: the progress deadline.
    pub(super) requeue_after: Option<Duration>,
}

/// Decides.
pub(super) fn plan(observed: &Observed<'_>) -> Plan {
    let mut planner = Planner::new(observed, &observed.deployment.spec);
    planner.decide();
    planner.finish()
}

/// The world as it will be when the actions so far are done.
pub(super) struct Planner<'a> {
    pub(super) observed: &'a Observed<'a>,
    pub(super) spec: &'a DeploymentSpec,
    pub(super) numbers: Numbers,
    /// All sets, oldest first.
    pub(super) sets: Vec<ReplicaSet>,
    /// Which of them has the current template.
    pub(super) new: Option<usize>,
    pub(super) status: DeploymentStatus,
    annotations: BTreeMap<String, String>,
    actions: Vec<Action>,
    requeue_after: Option<Duration>,
}

impl<'a> Planner<'a> {
    fn new(observed: &'a Observed<'a>, spec: &'a DeploymentSpec) -> Self {
        let mut sets = observed.replica_sets.clone();
        sets.sort_by(|a, b| {
            let key = |s: &ReplicaSet| (s.metadata.creation_timestamp.as_ref().map(|t| t.0), s.metadata.name.clone());
            key(a).cmp(&key(b))
        });
        let new = sets.iter().position(|set| same_template(observed.deployment, set));
        Self {
            observed,
            spec,
            numbers: Numbers::of(spec),
            sets,
            new,
            status: observed.deployment.status.clone().unwrap_or_default(),
            annotations: BTreeMap::new(),
            actions: Vec::new(),
            requeue_after: None,
        }
    }

    fn finish(self) -> Plan {
        let before = self.observed.deployment.status.clone().unwrap_or_default();
        let annotations: BTreeMap<String, String> = self
            .annotations
            .into_iter()
            .filter(|(key, value)| {
                let old = self.observed.deployment.metadata.annotations.as_ref().and_then(|a| a.get(key));
                old != Some(value)
            })
            .collect();
        let changed = self.status != before || !annotations.is_empty();
        Plan {
            actions: self.actions,
            status: changed.then_some(self.status),
            annotations,
            requeue_after: self.requeue_after,
        }
    }

    fn decide(&mut self) {
        let deployment = self.observed.deployment;
        let selector = &self.spec.selector;
        let empty = selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
            && selector.match_expressions.as_ref().is_none_or(Vec::is_empty);
        if empty {
            let message = "This deployment is selecting all pods. A non-empty selector is required.".to_owned();
            self.actions.push(Action::Warn { reason: "SelectingAll", message });
            self.status.observed_generation = deployment.metadata.generation;
            return;
        }
        if deployment.metadata.deletion_timestamp.is_some() {
            self.sync_new_set(false);
            self.status = status::calculate(self);
            return;
        }
        status::check_paused(self);
        if self.spec.paused == Some(true) || self.is_scaling() {
            return self.sync();
        }
        match self.spec.strategy.as_ref().and_then(|s| s.type_.as_deref()) {
            Some("Recreate") => self.recreate(),
            _ => self.roll(),
        }
    }

    /// Brings the new set's annotations up to date, or makes the set.
    fn sync_new_set(&mut self, create: bool) {
        let max_old = self.old().iter().map(|i| revision_of(&self.sets[*i])).max().unwrap_or(0);
        let revision = max_old + 1;
        match self.new {
            Some(index) => {
                let mut set = self.sets[index].clone();
                let mut changed = replica_sets::set_annotations(self.observed.deployment, &mut set, revision);
                let min_ready = self.spec.min_ready_seconds;
                if set.spec.min_ready_seconds.unwrap_or(0) != min_ready.unwrap_or(0) {
                    set.spec.min_ready_seconds = min_ready;
                    changed = true;
                }
                let shown = revision_of(&set);
                if changed {
                    self.update(index, set, None);
                }
                self.annotations.insert(REVISION.to_owned(), shown.to_string());
                if self.has_deadline() && status::condition(&self.status, status::PROGRESSING).is_none() {
                    let name = replica_sets::name(&self.sets[index]);
                    let text = format!("Found new replica set {name:?}");
                    status::set(
                        &mut self.status,
                        status::PROGRESSING,
                        "True",
                        "FoundNewReplicaSet",
                        text,
                        self.observed.now,
                    );
                }
            }
            None if create => {
                let mut set = new_replica_set(self.observed.deployment, self.spec, self.status.collision_count);
                let others: i32 = self.sets.iter().map(replicas).sum();
                let count = self.new_set_size(0, others);
                set.spec.replicas = Some(count);
                replica_sets::set_annotations(self.observed.deployment, &mut set, revision);
                desired_annotations(&mut set, &self.numbers);
                self.annotations.insert(REVISION.to_owned(), revision.to_string());
                if self.has_deadline() {
                    let text = format!("Created new replica set {:?}", replica_sets::name(&set));
                    status::set(
                        &mut self.status,
                        status::PROGRESSING,
                        "True",
                        "NewReplicaSetCreated",
                        text,
                        self.observed.now,
                    );
                }
                self.actions.push(Action::Create(Box::new(set.clone())));
                self.sets.push(set);
                self.new = Some(self.sets.len() - 1);
            }
            None => {}
        }
    }

    /// How large the new set may be now, given its size and that of all sets together.
    fn new_set_size(&self, size: i32, all: i32) -> i32 {
        if self.numbers.recreate {
            return self.numbers.desired;
        }
        let most = self.numbers.desired + self.numbers.surge_raw;
        if all >= most { size } else { size + (most - all).min(self.numbers.desired - size) }
    }

    /// The indexes of the old sets, oldest first.
    pub(super) fn old(&self) -> Vec<usize> {
        (0..self.sets.len()).filter(|i| Some(*i) != self.new).collect()
    }

    pub(super) fn has_deadline(&self) -> bool {
        self.spec.progress_deadline_seconds.is_some_and(|seconds| seconds != i32::MAX)
    }

    fn update(&mut self, index: usize, set: ReplicaSet, scaled: Option<(i32, i32)>) {
        // One write an object: a later change of the same set goes into the same update.
        let name = replica_sets::name(&set);
        let earlier = self.actions.iter_mut().find_map(|action| match action {
            Action::Update { set, scaled } if replica_sets::name(set) == name => Some((set, scaled)),
            _ => None,
        });
        match earlier {
            Some((waiting, waiting_scaled)) => {
                **waiting = set.clone();
                *waiting_scaled = match (*waiting_scaled, scaled) {
                    (Some((from, _)), Some((_, to))) => Some((from, to)),
                    (one, other) => other.or(one),
                };
            }
            None => self.actions.push(Action::Update { set: Box::new(set.clone()), scaled }),
        }
        self.sets[index] = set;
    }

    /// Scales a set; true if its size changes.
    fn scale_to(&mut self, index: usize, size: i32) -> bool {
        let mut set = self.sets[index].clone();
        let before = replicas(&set);
        let annotated = desired_annotations(&mut set, &self.numbers);
        if before == size && !annotated {
            return false;
        }
        set.spec.replicas = Some(size);
        let scaled = (before != size).then_some((before, size));
        self.update(index, set, scaled);
        scaled.is_some()
    }

    /// Whether the Deployment's size changed since its sets were last scaled.
    fn is_scaling(&mut self) -> bool {
        self.sync_new_set(false);
        let desired = self.numbers.desired;
        self.sets
            .iter()
            .filter(|set| replicas(set) > 0)
            .any(|set| annotation_number(set, replica_sets::DESIRED).is_some_and(|annotated| annotated != desired))
    }

    /// Only scaling and status: what a paused or scaled Deployment gets.
    fn sync(&mut self) {
        self.sync_new_set(false);
        self.scale();
        if self.spec.paused == Some(true) {
            self.clean_up();
        }
        self.status = status::calculate(self);
    }

    /// Shares a change of size among the sets (upstream's proportional scaling).
    fn scale(&mut self) {
        let desired = self.numbers.desired;
        let active: Vec<usize> = (0..self.sets.len()).filter(|i| replicas(&self.sets[*i]) > 0).collect();
        let only = match active.as_slice() {
            [] => self.new.or_else(|| self.old().last().copied()),
            [one] => Some(*one),
            _ => None,
        };
        if let Some(index) = only {
            if replicas(&self.sets[index]) != desired {
                self.scale_to(index, desired);
            }
            return;
        }
        if active.is_empty() {
            return;
        }
        if self.new.is_some_and(|new| self.is_saturated(&self.sets[new])) {
            for index in self.old().into_iter().filter(|i| replicas(&self.sets[*i]) > 0).collect::<Vec<_>>() {
                self.scale_to(index, 0);
            }
            return;
        }
        if self.numbers.recreate {
            return;
        }
        let all: i32 = active.iter().map(|i| replicas(&self.sets[*i])).sum();
        let allowed = if desired > 0 { desired + self.numbers.surge } else { 0 };
        let to_add = allowed - all;
        let mut order = active;
        // The largest first; of equals the newest when growing and the oldest when shrinking.
        order.sort_by_key(|i| {
            (std::cmp::Reverse(replicas(&self.sets[*i])), if to_add > 0 { usize::MAX - *i } else { *i })
        });
        let mut added = 0;
        let mut sizes: Vec<(usize, i32)> = Vec::new();
        for index in order {
            let share = if to_add == 0 { 0 } else { self.proportion(index, to_add, added) };
            added += share;
            sizes.push((index, replicas(&self.sets[index]) + share));
        }
        if to_add != 0
            && let Some((_, size)) = sizes.first_mut()
        {
            *size = (*size + to_add - added).max(0);
        }
        for (index, size) in sizes {
            self.scale_to(index, size);
        }
    }

    fn is_saturated(&self, set: &ReplicaSet) -> bool {
        let desired = self.numbers.desired;
        replicas(set) == desired
            && annotation_number(set, replica_sets::DESIRED) == Some(desired)
            && replica_sets::available(set) == desired
    }

    fn proportion(&self, index: usize, to_add: i32, added: i32) -> i32 {
        let set = &self.sets[index];
        if replicas(set) == 0 || to_add == added {
            return 0;
        }
        let fraction = fraction_of(set, &self.numbers, self.observed.deployment);
        let allowed = to_add - added;
        if to_add > 0 { fraction.min(allowed) } else { fraction.max(allowed) }
    }

    /// A rolling update: up with the new set as far as the surge allows, else down with the old ones as far as
    /// availability allows.
    fn roll(&mut self) {
        self.sync_new_set(true);
        if !self.grow_new_set() && !self.shrink_old_sets() && status::is_complete(self, &self.status) {
            self.clean_up();
        }
        self.finish_rollout();
    }

    fn grow_new_set(&mut self) -> bool {
        let Some(new) = self.new else { return false };
        let (size, desired) = (replicas(&self.sets[new]), self.numbers.desired);
        if size == desired {
            return false;
        }
        if size > desired {
            return self.scale_to(new, desired);
        }
        let all = self.sets.iter().map(replicas).sum();
        let target = self.new_set_size(size, all);
        target != size && self.scale_to(new, target)
    }

    fn shrink_old_sets(&mut self) -> bool {
        let old = self.old();
        let old_count: i32 = old.iter().map(|i| replicas(&self.sets[*i])).sum();
        let Some(new) = self.new.filter(|_| old_count > 0) else { return false };
        let all: i32 = self.sets.iter().map(replicas).sum();
        let least = self.numbers.desired - self.numbers.unavailable;
        let new_unavailable = replicas(&self.sets[new]) - replica_sets::available(&self.sets[new]);
        let most = all - least - new_unavailable;
        if most <= 0 {
            return false;
        }
        let mut done = 0;
        // First the replicas that serve nobody.
        for index in old.clone() {
            let (size, available) = (replicas(&self.sets[index]), replica_sets::available(&self.sets[index]));
            if done >= most {
                break;
            }
            if size == 0 || size == available {
                continue;
            }
            let count = (most - done).min(size - available);
            if count > 0 {
                self.scale_to(index, size - count);
                done += count;
            }
        }
        let available: i32 = self.sets.iter().map(replica_sets::available).sum();
        let mut spare = (available - least).max(0);
        for index in old {
            let size = replicas(&self.sets[index]);
            if spare <= 0 {
                break;
            }
            if size > 0 {
                let count = size.min(spare);
                self.scale_to(index, size - count);
                spare -= count;
                done += count;
            }
        }
        done > 0
    }

    /// All old Pods end before the first new one starts.
    fn recreate(&mut self) {
        self.sync_new_set(false);
        let mut scaled = false;
        for index in self.old() {
            if replicas(&self.sets[index]) > 0 {
                scaled |= self.scale_to(index, 0);
            }
        }
        let new_uid = self.new.and_then(|i| self.sets[i].metadata.uid.clone());
        let old_lives = self.old().iter().any(|i| replica_sets::actual(&self.sets[*i]) > 0)
            || self.observed.active_pods.iter().any(|(uid, count)| *count > 0 && Some(uid) != new_uid.as_ref());
        if !scaled && !old_lives {
            self.sync_new_set(true);
            if let Some(new) = self.new
                && replicas(&self.sets[new]) != self.numbers.desired
            {
                self.scale_to(new, self.numbers.desired);
            }
            if status::is_complete(self, &self.status) {
                self.clean_up();
            }
        }
        self.finish_rollout();
    }

    fn finish_rollout(&mut self) {
        let before = self.status.clone();
        self.status = status::rollout(self);
        if self.status == before {
            self.requeue_after = status::deadline_left(self);
        } else if self.has_deadline() {
            // The write of the status comes back as an event and brings us here again.
            self.requeue_after = None;
        }
    }

    /// Forgets the oldest empty sets beyond the history limit.
    fn clean_up(&mut self) {
        let Some(limit) = self.spec.revision_history_limit.filter(|limit| *limit != i32::MAX) else { return };
        let mut alive: Vec<usize> =
            self.old().into_iter().filter(|i| self.sets[*i].metadata.deletion_timestamp.is_none()).collect();
        let excess = alive.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        alive.sort_by_key(|i| revision_of(&self.sets[*i]));
        for index in alive.into_iter().take(excess) {
            let set = &self.sets[index];
            let observed = set.status.as_ref().and_then(|s| s.observed_generation).unwrap_or(0);
            let current = set.metadata.generation.unwrap_or(0) <= observed;
            if replicas(set) == 0 && replica_sets::actual(set) == 0 && current {
                self.actions.push(Action::Delete { name: replica_sets::name(set) });
            }
        }
    }
}
