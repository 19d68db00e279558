//! What readers share: the keys, the events that led to them, and the signal that there are more.
//!
//! Only the writer changes it, and only by what is durable. Readers take the lock to clone the map (a pointer) or a few events.
//!
//! **Reads at an earlier revision** start from the present keys and undo the later events, which carry the values before them. That
//! costs about 2 µs an event (16 ms for 8,000), once: the last [`VIEWS_MAX`] results are kept. Keeping the map of every so many revisions
//! instead would cost about 2 KiB (the copied path of a leaf and its parents) for each event in the window, 128 MiB for a full one.

use std::{collections::VecDeque, ops::Bound, sync::Arc};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::{Event, KeyValue, RangeResult, ReadError, Revision, Watch};

/// Views at earlier revisions kept for the next page. A view shares what has not changed since with the present map: at worst (every leaf changed)
/// one of 100,000 keys takes 100,000 × 2 × 16 B plus nodes, 4 MiB; eight of them 32 MiB.
const VIEWS_MAX: usize = 8;

/// An event's own size, its key and its share of the ring, for the window's limit: with the value it makes up what the event keeps in memory.
const EVENT_BYTES: usize = 200;

/// The keys in order. Cloning shares.
pub(crate) type Keys = imbl::OrdMap<Arc<str>, Arc<KeyValue>>;

/// How much history is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) events_max: usize,
    pub(crate) bytes_max: usize,
}

/// The keys and the events of the window.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) revision: u64,
    pub(crate) keys: Keys,
    /// Bytes of all keys and values.
    pub(crate) live_bytes: u64,
    window: Window,
    /// One event for each revision after `floor`, without a gap.
    events: VecDeque<Arc<Event>>,
    events_bytes: usize,
    /// The oldest revision whose state can be told.
    floor: u64,
}

impl State {
    pub(crate) fn new(window: Window, revision: u64, keys: Keys) -> State {
        let live_bytes = keys.values().map(|kv| size(kv) as u64).sum();
        State { revision, keys, live_bytes, window, events: VecDeque::new(), events_bytes: 0, floor: revision }
    }

    /// Takes over the write that made the next revision.
    pub(crate) fn apply(&mut self, event: Arc<Event>) {
        assert_eq!(event.revision.0, self.revision + 1, "events come without a gap");
        let prev = match &event.kv {
            Some(kv) => self.keys.insert(event.key.clone(), kv.clone()),
            None => self.keys.remove(&event.key),
        };
        debug_assert_eq!(prev, event.prev);
        self.live_bytes += event.kv.as_deref().map_or(0, size) as u64;
        self.live_bytes -= event.prev.as_deref().map_or(0, size) as u64;
        self.revision = event.revision.0;
        self.events_bytes += kept(&event);
        self.events.push_back(event);
        while self.events.len() > self.window.events_max || self.events_bytes > self.window.bytes_max {
            self.forget();
        }
    }

    pub(crate) fn compact(&mut self, to: u64) {
        while self.floor < to {
            self.forget();
        }
    }

    fn forget(&mut self) {
        let event = self.events.pop_front().expect("the floor is at most the revision");
        self.events_bytes -= kept(&event);
        self.floor = event.revision.0;
    }

    /// The events after this revision, which is in the window.
    fn events_after(&self, revision: u64) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        self.events.range((revision.max(self.floor) - self.floor) as usize..)
    }

    /// Checks that the state at this revision can be told.
    fn check(&self, at: Revision) -> Result<(), ReadError> {
        let current = Revision(self.revision);
        if at > current {
            return Err(ReadError::Future { requested: at, current });
        }
        if at < self.compacted() {
            return Err(ReadError::Compacted { requested: at, compacted: self.compacted(), current });
        }
        Ok(())
    }

    /// The floor; 0 as long as nothing was forgotten.
    pub(crate) fn compacted(&self) -> Revision {
        if Revision(self.floor) == Revision::FRESH { Revision(0) } else { Revision(self.floor) }
    }
}

fn size(kv: &KeyValue) -> usize {
    kv.key.len() + kv.value.len()
}

fn kept(event: &Event) -> usize {
    EVENT_BYTES + event.key.len() + event.kv.as_ref().map_or(0, |kv| kv.value.len())
}

/// The least string above all that begin with `prefix`; none if there is no such string. With it the end of a range is looked up once,
/// so that what follows a page is counted without looking at each key (105,000 keys: 4 ms instead of 14).
fn successor(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // Surrogates are no characters.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(last as u32 + 1) };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// The keys as they were before these events, newest first.
fn undo<'a>(mut keys: Keys, events: impl Iterator<Item = &'a Arc<Event>>) -> Keys {
    for event in events {
        match &event.prev {
            Some(prev) => keys.insert(event.key.clone(), prev.clone()),
            None => keys.remove(&event.key),
        };
    }
    keys
}

/// What wakes watchers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    pub(crate) revision: u64,
    /// No further revision will come.
    pub(crate) closed: bool,
}

/// The state with its readers.
#[derive(Debug)]
pub(crate) struct Shared {
    state: RwLock<State>,
    signal: watch::Sender<Signal>,
    /// Views of earlier revisions, the last used at the back.
    views: Mutex<VecDeque<(u64, Keys)>>,
}

impl Shared {
    pub(crate) fn new(state: State) -> Shared {
        let signal = watch::Sender::new(Signal { revision: state.revision, closed: false });
        Shared { state: RwLock::new(state), signal, views: Mutex::new(VecDeque::new()) }
    }

    /// Shows durable writes to readers and watchers.
    pub(crate) fn publish(&self, events: Vec<Arc<Event>>) {
        let mut state = self.state.write();
        for event in events {
            state.apply(event);
        }
        let revision = state.revision;
        drop(state);
        self.signal.send_modify(|signal| signal.revision = revision);
    }

    /// Ends all watches; reads go on.
    pub(crate) fn close(&self) {
        self.signal.send_modify(|signal| signal.closed = true);
    }

    pub(crate) fn read<T>(&self, f: impl FnOnce(&State) -> T) -> T {
        f(&self.state.read())
    }

    pub(crate) fn compact(&self, to: Revision) -> Result<(), ReadError> {
        let mut state = self.state.write();
        if to.0 > state.revision {
            return Err(ReadError::Future { requested: to, current: Revision(state.revision) });
        }
        state.compact(to.0);
        let floor = state.floor;
        drop(state);
        self.views.lock().retain(|(revision, _)| *revision >= floor);
        Ok(())
    }

    pub(crate) fn get(&self, key: &str, at: Option<Revision>) -> Result<Option<Arc<KeyValue>>, ReadError> {
        let state = self.state.read();
        if let Some(at) = at {
            state.check(at)?;
            if let Some(later) = state.events_after(at.0).find(|event| &*event.key == key) {
                return Ok(later.prev.clone());
            }
        }
        Ok(state.keys.get(key).cloned())
    }

    pub(crate) fn range(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<RangeResult, ReadError> {
        let (revision, keys) = self.view(at)?;
        let start = match start_after {
            Some(key) if key >= prefix => Bound::Excluded(key),
            _ => Bound::Included(prefix),
        };
        let limit = if limit == 0 { usize::MAX } else { limit };
        let successor = successor(prefix);
        let end = successor.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let empty = start_after.is_some_and(|key| successor.as_deref().is_some_and(|end| key >= end));
        let start = if empty { end } else { start };
        let mut rest = keys.range::<(Bound<&str>, Bound<&str>), str>((start, end)).map(|(_, kv)| kv);
        let items: Vec<_> = rest.by_ref().take(limit).cloned().collect();
        let remaining = rest.count() as u64;
        if remaining > 0 {
            // The next page will be asked for at this revision.
            self.keep_view(revision, &keys);
        }
        Ok(RangeResult { items, more: remaining > 0, remaining, revision: Revision(revision) })
    }

    /// All keys, now or at an earlier revision.
    pub(crate) fn view(&self, at: Option<Revision>) -> Result<(u64, Keys), ReadError> {
        let state = self.state.read();
        let Some(at) = at else { return Ok((state.revision, state.keys.clone())) };
        state.check(at)?;
        if at.0 == state.revision {
            return Ok((state.revision, state.keys.clone()));
        }
        if let Some((_, keys)) = self.views.lock().iter().find(|(revision, _)| *revision == at.0) {
            return Ok((at.0, keys.clone()));
        }
        let keys = state.keys.clone();
        let later: Vec<_> = state.events_after(at.0).cloned().collect();
        drop(state);
        let keys = undo(keys, later.iter().rev());
        self.keep_view(at.0, &keys);
        Ok((at.0, keys))
    }

    /// The keys at the oldest revision that can be told, with that revision: what a snapshot holds.
    pub(crate) fn floor_view(&self) -> (u64, Keys) {
        let state = self.state.read();
        let (floor, keys) = (state.floor, state.keys.clone());
        let later: Vec<_> = state.events.iter().cloned().collect();
        drop(state);
        (floor, undo(keys, later.iter().rev()))
    }

    fn keep_view(&self, revision: u64, keys: &Keys) {
        let mut views = self.views.lock();
        views.retain(|(kept, _)| *kept != revision);
        if views.len() == VIEWS_MAX {
            views.pop_front();
        }
        views.push_back((revision, keys.clone()));
    }

    pub(crate) fn watch(self: &Arc<Self>, prefix: &str, after: Revision) -> Result<Watch, ReadError> {
        let state = self.state.read();
        state.check(after)?;
        // Revisions 0 and 1 of a fresh store are the same empty state.
        let position = after.0.max(state.floor);
        drop(state);
        Ok(Watch::new(self.clone(), self.signal.subscribe(), prefix, position))
    }

    /// Up to `max` events after `position`, or none if some of them are gone.
    pub(crate) fn events(&self, position: u64, max: usize) -> Option<Vec<Arc<Event>>> {
        let state = self.state.read();
        (position >= state.floor).then(|| state.events_after(position).take(max).cloned().collect())
    }
}

#[cfg(test)]
mod tests;
