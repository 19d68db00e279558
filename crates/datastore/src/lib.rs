//! The revisioned key-value store with watch behind the API server.
//!
//! [`Datastore`] is the contract. [`EmbeddedStore`] fulfils it with an ordered map in memory and a checksummed log on a [`Disk`]:
//!
//! - **Writing** has one owner, the writer. It takes up to [`GROUP_MAX`] waiting requests, checks their expectations against memory, writes
//!   one frame, syncs once, publishes, answers. Nothing is shown or acknowledged before it is durable.
//! - **Reading and watching** never touch the disk: see `history`.
//! - **On disk** there are log segments, at most one snapshot, a format and a lock file: see `log`, `snapshot`, `names`. Snapshots are of the oldest revision
//!   that can be read, so that the log behind them holds the whole window and a restart loses no history.
//! - **Failures**: a full disk refuses writes and recovers; every other failure of the disk stops all writes until a restart has read
//!   what the disk really holds. Damage is found at opening, named with file and offset, and nothing is changed then.
//!
//! Absent on purpose: leases (Kubernetes has its own, and events expire by compaction of keys), transactions of several keys, writes
//! that are acknowledged before they are durable. The etcd client for several servers is not here yet.

mod contract;
mod disk;
mod embedded;
mod history;
mod log;
mod names;
mod snapshot;
mod watch;

pub use contract::{CommitError, Committed, Datastore, Event, Expect, KeyValue, Op, RangeResult, ReadError, Revision};
pub use disk::{CrashImage, Disk, DiskFile, DiskLock, Fault, FaultOp, LockError, RealDisk, SimulatedDisk};
pub use embedded::{
    EmbeddedStore, GROUP_MAX, KEY_BYTES_MAX, Mode, OpenError, Options, Recovery, RestoreError, Stats, TornTail,
    VALUE_BYTES_MAX, restore_backup,
};
pub use watch::{WATCH_BATCH_MAX, Watch, WatchError};
