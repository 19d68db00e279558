//! The datastore of a simulated cluster: the real engine on a simulated disk, doing its work on the caller's task, with
//! every commit recorded and checked at the moment it is made.

use std::sync::Arc;

use async_trait::async_trait;
use datastore::{
    CommitError, Committed, Datastore, EmbeddedStore, KeyValue, Mode, Op, OpenError, RangeResult, ReadError, Revision,
    SimulatedDisk, Watch,
};

use crate::world::World;

/// Segments small enough that a run of some minutes rolls them, and takes snapshots.
const SEGMENT_BYTES: u64 = 512 << 10;
const SNAPSHOT_BYTES: u64 = 1 << 20;

/// The engine, observed.
#[derive(Debug)]
pub(crate) struct ObservedStore {
    engine: EmbeddedStore,
    world: World,
}

impl ObservedStore {
    /// Opens what is on `disk`.
    pub(crate) fn open(disk: &SimulatedDisk, world: World) -> Result<Self, OpenError> {
        let options = datastore::Options {
            mode: Mode::Inline,
            segment_bytes_first: SEGMENT_BYTES,
            segment_bytes_max: SEGMENT_BYTES,
            snapshot_bytes_min: SNAPSHOT_BYTES,
            ..datastore::Options::default()
        };
        Ok(Self { engine: EmbeddedStore::open(Arc::new(disk.clone()), options)?, world })
    }
}

#[async_trait]
impl Datastore for ObservedStore {
    fn revision(&self) -> Revision {
        self.engine.revision()
    }

    fn compacted(&self) -> Revision {
        self.engine.compacted()
    }

    fn check_writable(&self) -> Result<(), CommitError> {
        self.engine.check_writable()
    }

    async fn commit(&self, op: Op) -> Result<Committed, CommitError> {
        let committed = self.engine.commit(op).await?;
        let now = self.world.clock.now();
        self.world.invariants.lock().observe(now, &committed);
        self.world.log.commit(now, committed.clone());
        Ok(committed)
    }

    fn get(&self, key: &str, at: Option<Revision>) -> Result<Option<Arc<KeyValue>>, ReadError> {
        self.engine.get(key, at)
    }

    fn range(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<RangeResult, ReadError> {
        self.engine.range(prefix, start_after, limit, at)
    }

    fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, ReadError> {
        self.engine.watch(prefix, after)
    }

    async fn compact(&self, to: Revision) -> Result<(), ReadError> {
        self.engine.compact(to).await
    }
}
