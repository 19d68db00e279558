//! Pods that wait for a node: ready ones by priority, refused ones until something happens that may help, with a
//! back-off (upstream: `pkg/scheduler/backend/queue`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// First back-off of a refused Pod.
const BACKOFF_INITIAL: Duration = Duration::from_secs(1);
/// Longest back-off.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A Pod that is refused for the same reason as before is told so again after this time (upstream:
/// `client-go/tools/events`).
const REMINDER: Duration = Duration::from_secs(360);
/// A refused Pod is tried again after this time although nothing happened, as a safety net.
const UNSCHEDULABLE_MAX: Duration = Duration::from_secs(300);

/// The queue. Its size is bounded by the number of Pods without a node.
#[derive(Debug, Clone, Default)]
pub(crate) struct SchedulingQueue {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// Priority (highest first), then the order of arrival.
    active: BTreeSet<(Reverse<i32>, u64, String)>,
    known: BTreeMap<String, Entry>,
    /// When a waiting Pod becomes active.
    timers: BTreeSet<(Instant, String)>,
    /// Those of them that are taken earlier if nobody is active: their back-off only lets others go first.
    early: BTreeSet<(Instant, String)>,
    arrivals: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    priority: i32,
    arrival: u64,
    attempts: u32,
    /// When its user was told last why it has no node.
    told: Option<Instant>,
    place: Place,
}

/// Where a Pod is. Each Pod is in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Active,
    /// Being decided on; `moved` if something happened meanwhile that may help.
    InFlight {
        moved: bool,
    },
    /// Refused at a time; becomes active by an event, with a back-off that lets others go first, or after the safety net.
    Unschedulable {
        since: Instant,
        wakes: Instant,
    },
    Backoff {
        wakes: Instant,
    },
}

impl SchedulingQueue {
    /// Adds a Pod that wants a node, unless it is there.
    pub(crate) fn add(&self, key: &str, priority: i32) {
        let mut state = self.state.lock();
        if state.known.contains_key(key) {
            return;
        }
        state.arrivals += 1;
        let entry = Entry { priority, arrival: state.arrivals, attempts: 0, told: None, place: Place::Active };
        state.active.insert((Reverse(priority), entry.arrival, key.to_owned()));
        state.known.insert(key.to_owned(), entry);
        drop(state);
        self.changed.notify_one();
    }

    /// Something happened that may help this Pod: it asks for something else.
    pub(crate) fn wake(&self, key: &str) {
        self.state.lock().happened(key);
        self.changed.notify_one();
    }

    /// Forgets a Pod: it has a node or is gone.
    pub(crate) fn remove(&self, key: &str) {
        self.state.lock().remove(key);
    }

    /// Something happened that may help refused Pods: a node came or changed, a Pod ended.
    pub(crate) fn move_all(&self) {
        let mut state = self.state.lock();
        let keys: Vec<String> = state.known.keys().cloned().collect();
        keys.iter().for_each(|key| state.happened(key));
        drop(state);
        self.changed.notify_one();
    }

    /// What was decided could not be done: the Pod is tried again after its back-off, and not before.
    pub(crate) fn failed(&self, key: &str) {
        let mut state = self.state.lock();
        let Some(entry) = state.known.get_mut(key) else { return };
        let Place::InFlight { .. } = entry.place else { return };
        entry.attempts += 1;
        let wakes = Instant::now() + entry.backoff();
        entry.place = Place::Backoff { wakes };
        state.timers.insert((wakes, key.to_owned()));
        drop(state);
        self.changed.notify_one();
    }

    /// The Pod was refused.
    pub(crate) fn refused(&self, key: &str) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let Some(entry) = state.known.get_mut(key) else { return };
        // Another Pod of that name may have come meanwhile.
        let Place::InFlight { moved } = entry.place else { return };
        entry.attempts += 1;
        let wakes = now + UNSCHEDULABLE_MAX;
        entry.place = Place::Unschedulable { since: now, wakes };
        state.timers.insert((wakes, key.to_owned()));
        if moved {
            state.wake(key);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Whether to tell why a Pod has no node: for `news` at once, else once in a while.
    pub(crate) fn is_worth_telling(&self, key: &str, news: bool) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        let Some(entry) = state.known.get_mut(key) else { return news };
        let due = news || entry.told.is_none_or(|told| now >= told + REMINDER);
        if due {
            entry.told = Some(now);
        }
        due
    }

    /// The next Pod, as soon as there is one.
    pub(crate) async fn next(&self) -> String {
        loop {
            let notified = self.changed.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            let wait_until = {
                let mut state = self.state.lock();
                state.promote(Instant::now());
                if let Some(key) = state.pop() {
                    return key;
                }
                state.timers.first().map(|(at, _)| *at)
            };
            match wait_until {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, notified).await;
                }
                None => notified.await,
            }
        }
    }
}

impl Entry {
    fn backoff(&self) -> Duration {
        BACKOFF_INITIAL.saturating_mul(1 << (self.attempts.clamp(1, 10) - 1)).min(BACKOFF_MAX)
    }
}

impl State {
    /// The next Pod, if there is one.
    fn pop(&mut self) -> Option<String> {
        let active = self.active.pop_first().map(|(_, _, key)| key);
        let key = active.or_else(|| {
            let timer = self.early.pop_first()?;
            self.timers.remove(&timer);
            Some(timer.1)
        })?;
        self.set(&key, Place::InFlight { moved: false });
        Some(key)
    }

    fn set(&mut self, key: &str, place: Place) {
        if let Some(entry) = self.known.get_mut(key) {
            entry.place = place;
        }
    }

    /// Notes that something happened that may help a Pod that is refused, or just being decided on.
    fn happened(&mut self, key: &str) {
        match self.known.get(key).map(|entry| entry.place) {
            Some(Place::Unschedulable { .. }) => self.wake(key),
            Some(Place::InFlight { .. }) => self.set(key, Place::InFlight { moved: true }),
            Some(Place::Active | Place::Backoff { .. }) | None => {}
        }
    }

    fn remove(&mut self, key: &str) {
        let Some(entry) = self.known.remove(key) else { return };
        match entry.place {
            Place::Active => {
                self.active.remove(&(Reverse(entry.priority), entry.arrival, key.to_owned()));
            }
            Place::Unschedulable { wakes, .. } | Place::Backoff { wakes } => {
                let timer = (wakes, key.to_owned());
                self.timers.remove(&timer);
                self.early.remove(&timer);
            }
            Place::InFlight { .. } => {}
        }
    }

    /// Makes a refused Pod active, after what is left of its back-off.
    fn wake(&mut self, key: &str) {
        let Some(entry) = self.known.get(key).cloned() else { return };
        let Place::Unschedulable { since, wakes } = entry.place else { return };
        self.timers.remove(&(wakes, key.to_owned()));
        let timer = (since + entry.backoff(), key.to_owned());
        self.set(key, Place::Backoff { wakes: timer.0 });
        self.timers.insert(timer.clone());
        self.early.insert(timer);
    }

    fn promote(&mut self, now: Instant) {
        while let Some((at, _)) = self.timers.first() {
            if *at > now {
                return;
            }
            let Some(timer) = self.timers.pop_first() else { return };
            self.early.remove(&timer);
            if let Some(entry) = self.known.get_mut(&timer.1) {
                entry.place = Place::Active;
                let position = (Reverse(entry.priority), entry.arrival, timer.1);
                self.active.insert(position);
            }
        }
    }
}

#[cfg(test)]
mod tests;
