//! The work queue of controllers: a key is in it once, is never worked on twice at the same time, and comes back with
//! a per-key exponential back-off after a failure (upstream: `client-go/util/workqueue`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// First retry after a failure.
pub(crate) const BACKOFF_INITIAL: Duration = Duration::from_millis(5);
/// Longest wait between retries.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(1000);

/// A shared queue of keys. Its size is bounded by the number of objects that exist, for a key is in it once.
#[derive(Debug, Clone)]
pub struct WorkQueue {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<String>,
    /// Keys that are ready, or were added again while being worked on.
    dirty: BTreeSet<String>,
    working: BTreeSet<String>,
    /// Keys that become ready at a time; the earliest time wins.
    delayed: BTreeSet<(Instant, String)>,
    due: BTreeMap<String, Instant>,
    failures: BTreeMap<String, u32>,
    closed: bool,
}

impl Default for WorkQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl WorkQueue {
    /// An empty queue.
    pub fn new() -> Self {
        Self { state: Arc::default(), changed: Arc::new(Notify::new()) }
    }

    /// Adds `key` unless it waits already. A key that is being worked on comes again afterwards.
    pub fn add(&self, key: impl Into<String>) {
        let mut state = self.state.lock();
        state.add(key.into());
        drop(state);
        self.changed.notify_one();
    }

    /// Adds `key` after `delay`; an earlier time that is already set stays.
    pub fn add_after(&self, key: impl Into<String>, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let (key, at) = (key.into(), Instant::now() + delay);
        let mut state = self.state.lock();
        if let Some(due) = state.due.get(&key).copied() {
            if due <= at {
                return;
            }
            state.delayed.remove(&(due, key.clone()));
        }
        state.due.insert(key.clone(), at);
        state.delayed.insert((at, key));
        drop(state);
        self.changed.notify_one();
    }

    /// Adds `key` after its back-off, which doubles with every call until [`WorkQueue::forget`].
    pub fn add_rate_limited(&self, key: impl Into<String>) {
        let key = key.into();
        let failures = {
            let mut state = self.state.lock();
            let count = state.failures.entry(key.clone()).or_insert(0);
            *count = count.saturating_add(1);
            *count
        };
        let delay = BACKOFF_INITIAL.saturating_mul(2u32.saturating_pow((failures - 1).min(30))).min(BACKOFF_MAX);
        self.add_after(key, delay);
    }

    /// Ends the back-off of `key`.
    pub fn forget(&self, key: &str) {
        self.state.lock().failures.remove(key);
    }

    /// How often `key` has failed since it was last forgotten.
    pub fn failures(&self, key: &str) -> u32 {
        self.state.lock().failures.get(key).copied().unwrap_or(0)
    }

    /// The number of keys that wait to be worked on now.
    pub fn len(&self) -> usize {
        self.state.lock().ready.len()
    }

    /// Whether no key waits to be worked on now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next key, as soon as there is one; `None` once the queue is closed. Call [`WorkQueue::done`] afterwards.
    pub async fn next(&self) -> Option<String> {
        loop {
            let notified = self.changed.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            let wait_until = {
                let mut state = self.state.lock();
                if state.closed {
                    return None;
                }
                state.promote(Instant::now());
                if let Some(key) = state.ready.pop_front() {
                    state.dirty.remove(&key);
                    state.working.insert(key.clone());
                    let more = !state.ready.is_empty();
                    drop(state);
                    if more {
                        self.changed.notify_one();
                    }
                    return Some(key);
                }
                state.delayed.first().map(|(at, _)| *at)
            };
            match wait_until {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, notified).await;
                }
                None => notified.await,
            }
        }
    }

    /// The work on `key` has ended; if it was added meanwhile it is ready again.
    pub fn done(&self, key: &str) {
        let mut state = self.state.lock();
        state.working.remove(key);
        if state.dirty.contains(key) {
            state.ready.push_back(key.to_owned());
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Ends all waits; nothing more is handed out.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_waiters();
    }
}

impl State {
    fn add(&mut self, key: String) {
        if self.closed || !self.dirty.insert(key.clone()) {
            return;
        }
        if !self.working.contains(&key) {
            self.ready.push_back(key);
        }
    }

    fn promote(&mut self, now: Instant) {
        while let Some((at, _)) = self.delayed.first() {
            if *at > now {
                return;
            }
            if let Some((_, key)) = self.delayed.pop_first() {
                self.due.remove(&key);
                self.add(key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
