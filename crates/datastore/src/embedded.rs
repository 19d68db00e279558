//! The embedded engine: opening, and the handle that callers hold.

mod backup;
mod group;
mod housekeeping;
mod open;
mod writer;

use std::{io, sync::Arc, thread};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

pub use backup::{RestoreError, restore_backup};

use crate::{
    CommitError, Committed, Datastore, Disk, DiskLock, KeyValue, Op, RangeResult, ReadError, Revision, Watch,
    history::Shared, log::SEGMENT_HEADER_BYTES,
};
use housekeeping::Housekeeper;
use writer::{Request, Writer};

/// Requests in one group at most: beyond, latency grows and throughput does not (measured flat from 128).
pub const GROUP_MAX: usize = 256;
/// Longest key. Kubernetes' longest is `/registry/` + resource.group + namespace + name, about 600 bytes.
pub const KEY_BYTES_MAX: usize = 4096;
/// Largest value: upstream's API server reads request bodies up to 3 MiB.
pub const VALUE_BYTES_MAX: usize = 3 << 20;
/// Largest group: one value of the largest size with room for a few more requests.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// Requests that wait for the writer; further callers wait to hand over. Four groups.
const QUEUE_MAX: usize = 4 * GROUP_MAX;

/// How the engine runs and what it keeps.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who does the work.
    pub mode: Mode,
    /// Size of the first segment. Later ones double up to `segment_bytes_max`: a small cluster starts fast and stays small.
    pub segment_bytes_first: u64,
    /// Size of the largest segments.
    pub segment_bytes_max: u64,
    /// A snapshot is taken when the log has grown by this, or by the size of all live keys and values if that is more: each byte is
    /// then written at most twice.
    pub snapshot_bytes_min: u64,
    /// Events kept for watches and earlier revisions: at 100 writes a second more than 10 minutes; upstream keeps 5 to 10.
    pub window_events_max: usize,
    /// The same by size: what the events keep in memory, and what a restart replays.
    pub window_bytes_max: usize,
}

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Two threads: the writer, and one that prepares segments and takes snapshots. For real disks.
    Threads,
    /// The caller, before its call returns. No threads and no order but the caller's: for simulations.
    Inline,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            mode: Mode::Threads,
            segment_bytes_first: 8 << 20,
            segment_bytes_max: 64 << 20,
            snapshot_bytes_min: 64 << 20,
            window_events_max: 1 << 16,
            window_bytes_max: 64 << 20,
        }
    }
}

impl Options {
    /// The bytes of records that fit into every segment.
    fn group_bytes_max(&self) -> usize {
        let overhead = SEGMENT_HEADER_BYTES as usize + crate::log::FRAME_HEADER_BYTES + 2 * crate::log::MARK_BYTES;
        GROUP_BYTES_MAX.min((self.segment_bytes_first as usize).saturating_sub(overhead))
    }
}

/// Why a store can't be opened. Unless said otherwise, nothing in its directory was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("datastore {location} is in use by {holder}; stop that first, or choose another directory")]
    Locked {
        /// The directory.
        location: String,
        /// Who has it.
        holder: String,
    },
    /// The directory holds something else.
    #[error(
        "{location} is not a skiff datastore: it holds {found:?}; choose an empty directory, or move those files away"
    )]
    Foreign {
        /// The directory.
        location: String,
        /// A file in it.
        found: String,
    },
    /// A later version wrote it.
    #[error(
        "datastore {location} has format {found}, this version reads up to {supported}; start the newer version that wrote it, or choose another directory"
    )]
    NewerFormat {
        /// The directory.
        location: String,
        /// Its format.
        found: u32,
        /// The newest readable.
        supported: u32,
    },
    /// What is on disk is not what was written. Never caused by a crash.
    #[error(
        "datastore {location} is damaged: {file} at byte {offset}: {what}; restore a backup, or move the directory away to start empty"
    )]
    Corrupt {
        /// The directory.
        location: String,
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// How one sees it.
        what: String,
    },
    /// The disk failed, or is full.
    #[error("failed to {action} of datastore {location}")]
    Io {
        /// The directory.
        location: String,
        /// What was tried, on which file.
        action: String,
        /// What the disk answered.
        source: io::Error,
    },
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The snapshot that was loaded.
    pub snapshot: Option<Revision>,
    /// Writes replayed from the log.
    pub replayed: u64,
    /// An unacknowledged group that a crash had left in part.
    pub torn: Option<TornTail>,
}

/// Remains of an unacknowledged group, now gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: String,
    /// Where they began.
    pub offset: u64,
    /// How far they reached.
    pub bytes: u64,
}

/// Numbers for metrics and benchmarks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// The last durable revision.
    pub revision: Revision,
    /// The oldest readable revision; 0 while all history is there.
    pub compacted: Revision,
    /// Live keys.
    pub keys: u64,
    /// Bytes of live keys and values.
    pub live_bytes: u64,
    /// Bytes of all segments, including the one made ready.
    pub log_bytes: u64,
    /// Segments in use.
    pub segments: u64,
    /// The snapshot on disk.
    pub snapshot: Option<Revision>,
    /// Writes committed since opening.
    pub writes: u64,
    /// Groups committed since opening: each took one sync.
    pub groups: u64,
    /// Why no writes are accepted any more.
    pub poisoned: Option<String>,
}

/// A [`Datastore`] in memory with a log on a [`Disk`]. Dropping it closes it: requests already accepted are finished first.
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    housekeeper: Arc<Housekeeper>,
    backend: Backend,
    recovery: Recovery,
    group_bytes_max: usize,
    /// Dropped last: only then may another process open the directory.
    _lock: Box<dyn DiskLock>,
}

#[derive(Debug)]
enum Backend {
    Inline(Mutex<Writer>),
    Threads { queue: Option<mpsc::Sender<Request>>, threads: Vec<thread::JoinHandle<()>> },
}

impl EmbeddedStore {
    /// Opens the store on this disk, making it if the disk is empty. Reads everything, so it takes about a second per 300 MB: in async code, call it on a blocking thread.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<EmbeddedStore, OpenError> {
        let opened = open::open(&disk, &options)?;
        let location = disk.location();
        let failed = |source| OpenError::Io { location: location.clone(), action: "start a thread".to_owned(), source };
        let housekeeper = Arc::new(Housekeeper::new(disk, &options, opened.shared.clone(), opened.files));
        let writer = Writer::new(housekeeper.clone(), opened.active, opened.replayed_bytes);
        let backend = match options.mode {
            Mode::Inline => {
                housekeeper.request_spare();
                Backend::Inline(Mutex::new(writer))
            }
            Mode::Threads => {
                let (queue, requests) = mpsc::channel(QUEUE_MAX);
                let housekeeping = housekeeping::start(&housekeeper).map_err(failed)?;
                housekeeper.request_spare();
                let group_bytes_max = options.group_bytes_max();
                let writing = thread::Builder::new()
                    .name("datastore-writer".to_owned())
                    .spawn(move || writer.run(requests, group_bytes_max))
                    .map_err(failed)?;
                Backend::Threads { queue: Some(queue), threads: vec![writing, housekeeping] }
            }
        };
        Ok(EmbeddedStore {
            shared: opened.shared,
            housekeeper,
            backend,
            recovery: opened.recovery,
            group_bytes_max: options.group_bytes_max(),
            _lock: opened.lock,
        })
    }

    /// What opening found.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Numbers for metrics and benchmarks.
    pub fn stats(&self) -> Stats {
        self.housekeeper.stats()
    }

    /// Writes a consistent copy of the present state, which [`restore_backup`] reads, and returns its revision. Commits go on meanwhile.
    /// Blocks while `out` does.
    pub fn backup(&self, out: &mut dyn io::Write) -> io::Result<Revision> {
        backup::write_backup(&self.shared, out)
    }

    fn check_size(&self, op: &Op) -> Result<(), CommitError> {
        let key = op.key();
        if key.len() > KEY_BYTES_MAX {
            let end = (0..=64).rev().find(|end| key.is_char_boundary(*end)).unwrap_or(0);
            let shown: Arc<str> = key[..end].into();
            return Err(CommitError::TooLarge { key: shown, what: "key", bytes: key.len(), limit: KEY_BYTES_MAX });
        }
        let limit = VALUE_BYTES_MAX.min(self.group_bytes_max.saturating_sub(KEY_BYTES_MAX));
        match op {
            Op::Put { key, value, .. } if value.len() > limit => {
                Err(CommitError::TooLarge { key: key.clone(), what: "value", bytes: value.len(), limit })
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Datastore for EmbeddedStore {
    fn revision(&self) -> Revision {
        self.shared.read(|state| Revision(state.revision))
    }

    fn compacted(&self) -> Revision {
        self.shared.read(|state| state.compacted())
    }

    fn check_writable(&self) -> Result<(), CommitError> {
        self.housekeeper.health.poisoned().map_or(Ok(()), Err)
    }

    async fn commit(&self, op: Op) -> Result<Committed, CommitError> {
        self.check_size(&op)?;
        match &self.backend {
            Backend::Inline(writer) => {
                let mut writer = writer.lock();
                let result = writer.commit(&[op]).pop().expect("one answer for one request");
                writer.quiet();
                result
            }
            Backend::Threads { queue, .. } => {
                let queue = queue.as_ref().ok_or(CommitError::Closed)?;
                let (reply, answer) = oneshot::channel();
                queue.send(Request { op, reply }).await.map_err(|_| CommitError::Closed)?;
                answer.await.map_err(|_| CommitError::Closed)?
            }
        }
    }

    fn get(&self, key: &str, at: Option<Revision>) -> Result<Option<Arc<KeyValue>>, ReadError> {
        self.shared.get(key, at)
    }

    fn range(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<RangeResult, ReadError> {
        self.shared.range(prefix, start_after, limit, at)
    }

    fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, ReadError> {
        self.shared.watch(prefix, after)
    }

    async fn compact(&self, to: Revision) -> Result<(), ReadError> {
        self.shared.compact(to)
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.housekeeper.stop();
        match &mut self.backend {
            Backend::Inline(writer) => writer.get_mut().close(),
            Backend::Threads { queue, threads } => {
                drop(queue.take());
                for thread in threads.drain(..) {
                    // A panicking thread has said so, and poisoned the store.
                    let _ = thread.join();
                }
            }
        }
        self.shared.close();
    }
}

#[cfg(test)]
mod tests;
