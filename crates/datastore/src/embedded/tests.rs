//! The engine as its callers see it, over a simulated disk unless the disk is the point.

mod crash;
mod damage;
mod directory;
mod faults;
mod model;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{Backend, EmbeddedStore, Mode, OpenError, Options};
use crate::{CommitError, Committed, Datastore, Disk, Expect, Op, Revision, SimulatedDisk};

/// Small enough that a few hundred writes roll segments, take snapshots and move the window.
fn small() -> Options {
    Options {
        mode: Mode::Inline,
        segment_bytes_first: 16 << 10,
        segment_bytes_max: 32 << 10,
        snapshot_bytes_min: 24 << 10,
        window_events_max: 64,
        window_bytes_max: 16 << 10,
    }
}

fn open(disk: &SimulatedDisk) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open(Arc::new(disk.clone()) as Arc<dyn Disk>, small())
}

fn put(key: &str, value: impl Into<Bytes>) -> Op {
    Op::Put { key: key.into(), value: value.into(), expect: Expect::Any }
}

fn delete(key: &str) -> Op {
    Op::Delete { key: key.into(), expect: Expect::Any }
}

/// Commits one group, as the writer thread does with waiting requests.
fn commit(store: &EmbeddedStore, ops: &[Op]) -> Vec<Result<Committed, CommitError>> {
    let Backend::Inline(writer) = &store.backend else { panic!("the test opened it inline") };
    let mut writer = writer.lock();
    let answers = writer.commit(ops);
    writer.quiet();
    answers
}

/// The same without the mark that an idle writer leaves.
fn commit_busy(store: &EmbeddedStore, ops: &[Op]) {
    let Backend::Inline(writer) = &store.backend else { panic!("the test opened it inline") };
    for answer in writer.lock().commit(ops) {
        answer.expect("the disk is fine");
    }
}

/// Key → value, create revision, mod revision, version.
type Keys = BTreeMap<String, (Bytes, u64, u64, u64)>;

fn keys(store: &EmbeddedStore, at: Option<Revision>) -> Keys {
    let page = store.range("", None, 0, at).expect("the revision is readable");
    page.items
        .iter()
        .map(|kv| (kv.key.to_string(), (kv.value.clone(), kv.create_revision.0, kv.mod_revision.0, kv.version)))
        .collect()
}

/// What the keys must be after an operation.
fn apply(keys: &mut Keys, op: &Op, revision: u64) {
    match op {
        Op::Put { key, value, .. } => {
            let (_, create, _, version) = keys.get(&**key).cloned().unwrap_or((Bytes::new(), revision, 0, 0));
            keys.insert(key.to_string(), (value.clone(), create, revision, version + 1));
        }
        Op::Delete { key, .. } => {
            keys.remove(&**key);
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn value(&mut self, bytes_max: u64) -> Bytes {
        let bytes = self.below(bytes_max);
        (0..bytes).map(|_| self.next() as u8).collect()
    }
}
