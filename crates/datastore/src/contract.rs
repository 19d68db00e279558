//! What the API server asks of a datastore: plain types, errors and the trait. Nothing here knows how data is kept.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use crate::Watch;

/// A point in the store's history, counted as etcd counts: a fresh store is at 1, its first write makes 2, and every
/// write makes exactly one more. It is what Kubernetes shows as `resourceVersion`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision of a store into which nothing was written yet (upstream's etcd starts at 1, too).
    pub const FRESH: Revision = Revision(1);

    /// The revision that the next write makes.
    pub fn next(self) -> Revision {
        Revision(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key with its value as one write left it. Shared and never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The whole key, for instance `/registry/pods/default/web`.
    pub key: Arc<str>,
    /// What was written. The store keeps exactly this buffer: hand over one that is not a slice of something larger.
    pub value: Bytes,
    /// The write that made the key (after its last deletion).
    pub create_revision: Revision,
    /// The write that made this value.
    pub mod_revision: Revision,
    /// How many writes the key had since it was made, the first being 1.
    pub version: u64,
}

/// What must hold of a key for a write to take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: the last writer wins.
    Any,
    /// The key does not exist.
    Absent,
    /// The key's last write is this one.
    ModRevision(Revision),
}

/// One write. A transaction has one: Kubernetes needs no more.
#[derive(Clone, Debug)]
pub enum Op {
    /// Creates the key or replaces its value.
    Put {
        /// The key; see [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX).
        key: Arc<str>,
        /// The value; see [`VALUE_BYTES_MAX`](crate::VALUE_BYTES_MAX).
        value: Bytes,
        /// The condition.
        expect: Expect,
    },
    /// Removes the key.
    Delete {
        /// The key.
        key: Arc<str>,
        /// The condition.
        expect: Expect,
    },
}

impl Op {
    /// The key that is written.
    pub fn key(&self) -> &Arc<str> {
        match self {
            Op::Put { key, .. } | Op::Delete { key, .. } => key,
        }
    }
}

/// A write that took place and is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The revision it made.
    pub revision: Revision,
    /// The key as it is now; none after a deletion.
    pub kv: Option<Arc<KeyValue>>,
    /// The key as it was before; none if it did not exist.
    pub prev: Option<Arc<KeyValue>>,
}

/// Why a write did not take place (or, for [`CommitError::Io`], may not have).
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// The expectation does not hold.
    #[error("the expectation on key {key:?} does not hold: {}", describe_found(found))]
    Conflict {
        /// The key.
        key: Arc<str>,
        /// The key as it is; none if it does not exist.
        found: Option<Arc<KeyValue>>,
    },
    /// A deletion of a key that does not exist.
    #[error("key {key:?} does not exist")]
    NotFound {
        /// The key.
        key: Arc<str>,
    },
    /// The key or value is larger than the store takes.
    #[error("{what} of key {key:?} has {bytes} bytes, more than the datastore's limit of {limit}")]
    TooLarge {
        /// The key (cut at its limit).
        key: Arc<str>,
        /// `key` or `value`.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The disk has no room for more of the log. Nothing was written; the store serves on and accepts writes again once there is room.
    #[error("no space left on the disk of datastore {location}; free some, then repeat the request")]
    StoreFull {
        /// The store's directory.
        location: Arc<str>,
    },
    /// The disk failed in the middle of this write, so it is unknown whether it took place. The store is poisoned now.
    #[error("datastore {location} failed to {action}: {reason}; whether the write took place is known after a restart")]
    Io {
        /// The store's directory.
        location: Arc<str>,
        /// What was tried.
        action: Arc<str>,
        /// What the disk answered.
        reason: Arc<str>,
    },
    /// An earlier failure of the disk stopped all writes: after a failed sync nobody knows what the disk holds until it is read again.
    #[error(
        "datastore {location} accepts no writes since it failed to {action}: {reason}; check the disk, then restart"
    )]
    Poisoned {
        /// The store's directory.
        location: Arc<str>,
        /// What was tried.
        action: Arc<str>,
        /// What the disk answered.
        reason: Arc<str>,
    },
    /// The store was closed.
    #[error("the datastore is closed")]
    Closed,
}

fn describe_found(found: &Option<Arc<KeyValue>>) -> String {
    match found {
        Some(kv) => format!("its last write is revision {}", kv.mod_revision),
        None => "it does not exist".to_owned(),
    }
}

/// Why a read or watch at a revision is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The history before `compacted` is gone.
    #[error("revision {requested} has been compacted, the oldest readable revision is {compacted}")]
    Compacted {
        /// What was asked for.
        requested: Revision,
        /// The oldest revision that can be read.
        compacted: Revision,
        /// The store's revision.
        current: Revision,
    },
    /// The revision does not exist yet.
    #[error("revision {requested} is in the future, the store is at {current}")]
    Future {
        /// What was asked for.
        requested: Revision,
        /// The store's revision.
        current: Revision,
    },
}

/// A page of keys in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeResult {
    /// The keys of this page, ascending by bytes.
    pub items: Vec<Arc<KeyValue>>,
    /// Whether further keys follow: continue with `start_after` the last key, at `revision`.
    pub more: bool,
    /// How many follow.
    pub remaining: u64,
    /// The revision at which the page was read.
    pub revision: Revision,
}

/// One write, as a watcher sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The revision the write made. Every revision has exactly one event.
    pub revision: Revision,
    /// The key.
    pub key: Arc<str>,
    /// The key as the write left it; none for a deletion.
    pub kv: Option<Arc<KeyValue>>,
    /// The key as it was before; none if the write created it.
    pub prev: Option<Arc<KeyValue>>,
}

/// A revisioned key-value store with watch: the only thing the API server knows of persistence.
#[async_trait]
pub trait Datastore: Send + Sync + fmt::Debug {
    /// The last revision that is committed and durable.
    fn revision(&self) -> Revision;

    /// The oldest revision that can still be read; 0 while the whole history is there.
    fn compacted(&self) -> Revision;

    /// Why the store takes no writes until it is opened anew, if that is so. A full disk is not among the reasons: room may come back.
    fn check_writable(&self) -> Result<(), CommitError>;

    /// Writes, and returns when the write is durable. A caller that drops the future does not cancel a write already handed over.
    async fn commit(&self, op: Op) -> Result<Committed, CommitError>;

    /// The key now, or at an earlier revision.
    fn get(&self, key: &str, at: Option<Revision>) -> Result<Option<Arc<KeyValue>>, ReadError>;

    /// The keys that begin with `prefix`, behind `start_after` (exclusive), at most `limit` of them (0: all), now or at an earlier revision.
    fn range(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<RangeResult, ReadError>;

    /// Every event of keys that begin with `prefix` with a revision above `after`, in order.
    fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, ReadError>;

    /// Forgets the history before `to`: afterwards `to` is the oldest readable revision. Compacting what is already compacted does nothing.
    async fn compact(&self, to: Revision) -> Result<(), ReadError>;
}
