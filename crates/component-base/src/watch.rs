//! The latest value of something, for many to wait on: tokio's `sync::watch` with one difference, that those who wait are
//! woken in the order in which they began to wait. Tokio spreads them over eight lists by a random number that no seed
//! reaches, so with it the same seed gives different runs.
//!
//! Who writes: whoever holds the [`Sender`]. Who reads: any number of [`Receiver`]s, each of which remembers what it has
//! seen. A value that nobody looked at in time is overwritten.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
use tokio::sync::Notify;

/// The value, for as long as it is looked at. Nobody can change it meanwhile: do not hold it for long.
pub type Ref<'a, T> = MappedRwLockReadGuard<'a, T>;

/// All senders are gone, and the last value has been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("whoever changed the value is gone")]
pub struct Closed;

#[derive(Debug)]
struct Shared<T> {
    state: RwLock<State<T>>,
    changed: Notify,
    senders: AtomicUsize,
}

#[derive(Debug)]
struct State<T> {
    value: T,
    version: u64,
    closed: bool,
}

impl<T> Shared<T> {
    fn borrow(&self) -> Ref<'_, T> {
        RwLockReadGuard::map(self.state.read(), |state| &state.value)
    }
}

/// Changes the value.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Sees the value, and learns of changes.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// A value with one receiver, which has seen it.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Sender<T> {
    /// A value without receivers.
    pub fn new(value: T) -> Self {
        let state = RwLock::new(State { value, version: 0, closed: false });
        Self { shared: Arc::new(Shared { state, changed: Notify::new(), senders: AtomicUsize::new(1) }) }
    }

    /// Sets the value, wakes the receivers, gives the value before.
    pub fn send_replace(&self, value: T) -> T {
        let mut state = self.shared.state.write();
        let before = std::mem::replace(&mut state.value, value);
        state.version += 1;
        drop(state);
        self.shared.changed.notify_waiters();
        before
    }

    /// Changes the value in place; wakes the receivers if `modify` says that it changed, and gives that back.
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let mut state = self.shared.state.write();
        let modified = modify(&mut state.value);
        state.version += u64::from(modified);
        drop(state);
        if modified {
            self.shared.changed.notify_waiters();
        }
        modified
    }

    /// The value as it is.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.borrow()
    }

    /// A receiver that has seen the value as it is.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { seen: self.shared.state.read().version, shared: self.shared.clone() }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.state.write().closed = true;
            self.shared.changed.notify_waiters();
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T> Receiver<T> {
    /// The value as it is; whether it counts as seen does not change.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.borrow()
    }

    /// The value as it is, which counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let state = self.shared.state.read();
        self.seen = state.version;
        RwLockReadGuard::map(state, |state| &state.value)
    }

    /// Returns when there is a value that was not seen, which then counts as seen. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            let notified = self.shared.changed.notified();
            tokio::pin!(notified);
            // Before the look at the value, lest a change in between wakes nobody.
            notified.as_mut().enable();
            {
                let state = self.shared.state.read();
                if state.version != self.seen {
                    self.seen = state.version;
                    return Ok(());
                }
                if state.closed {
                    return Err(Closed);
                }
            }
            notified.await;
        }
    }

    /// Returns when `accept` takes the value, which may be at once.
    pub async fn wait_for(&mut self, mut accept: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, Closed> {
        loop {
            let closed = {
                let state = self.shared.state.read();
                self.seen = state.version;
                if accept(&state.value) {
                    break;
                }
                state.closed
            };
            if closed {
                return Err(Closed);
            }
            self.changed().await.or_else(|closed| {
                // The last value may have come with the end.
                if accept(&self.shared.state.read().value) { Ok(()) } else { Err(closed) }
            })?;
        }
        Ok(self.shared.borrow())
    }
}

#[cfg(test)]
mod tests;
