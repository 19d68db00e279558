//! Full and failing disks.

use std::io;

use super::{Random, commit, keys, open, put};
use crate::{CommitError, Datastore, Fault, FaultOp, Revision, SimulatedDisk, WatchError};

#[test]
fn a_full_disk_refuses_writes_and_recovers() {
    let disk = SimulatedDisk::new(11);
    let store = open(&disk).expect("an empty disk opens");
    disk.set_capacity(Some(disk.used_bytes()));
    let mut written = 0;
    let error = loop {
        match commit(&store, &[put(&format!("/{written}"), vec![1; 900])]).remove(0) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100, "two segments hold less");
    };
    assert!(written > 20, "the spare is used up, too: {written}");
    assert!(matches!(error, CommitError::StoreFull { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "no space left on the disk of datastore (simulated); free some, then repeat the request"
    );
    assert_eq!(store.revision(), Revision(1 + written));
    assert_eq!(keys(&store, None).len() as u64, written);
    assert_eq!(store.stats().poisoned, None);
    // Still full: still refused. Room again: accepted, without a restart.
    let big = put("/big", vec![1; 900]);
    assert!(matches!(commit(&store, std::slice::from_ref(&big))[0], Err(CommitError::StoreFull { .. })));
    disk.set_capacity(None);
    commit(&store, &[big])[0].clone().expect("there is room again");
    let expected = keys(&store, None);
    drop(store);
    let store = open(&disk).expect("a closed store opens");
    assert_eq!(keys(&store, None), expected);
}

#[test]
fn no_room_for_a_snapshot_keeps_the_log() {
    let disk = SimulatedDisk::new(12);
    let store = open(&disk).expect("an empty disk opens");
    let fault = Fault { op: FaultOp::Write, name_contains: "snapshot", after: 0, error: io::ErrorKind::StorageFull };
    disk.inject(fault);
    let mut snapshots = Vec::new();
    for i in 0..120 {
        commit(&store, &[put(&format!("/{}", i % 10), vec![1; 900])])[0].clone().expect("the disk is fine");
        snapshots.extend(store.stats().snapshot);
    }
    assert!(!snapshots.is_empty(), "a later attempt succeeds");
    assert_eq!(store.stats().poisoned, None);
    let expected = keys(&store, None);
    drop(store);
    assert_eq!(keys(&open(&disk).expect("a closed store opens"), None), expected);
}

/// Wherever the disk fails, the write at hand says so, later ones are refused, and a restart has all that was acknowledged.
#[test]
fn a_failing_disk_poisons_the_store() {
    let ops = [FaultOp::Create, FaultOp::Write, FaultOp::SyncData, FaultOp::Rename, FaultOp::Remove, FaultOp::SyncDir];
    let mut poisoned = 0;
    for (seed, (op, after)) in ops.into_iter().flat_map(|op| (0..12).map(move |after| (op, after))).enumerate() {
        let disk = SimulatedDisk::new(seed as u64);
        let store = open(&disk).expect("an empty disk opens");
        let mut watch = store.watch("", Revision(1)).expect("the present can be watched from");
        disk.inject(Fault { op, name_contains: "", after, error: io::ErrorKind::Other });
        let mut random = Random(seed as u64);
        let mut acknowledged = Revision(1);
        for i in 0..120 {
            match commit(&store, &[put(&format!("/{}", i % 10), random.value(1500))]).remove(0) {
                Ok(committed) => acknowledged = committed.revision,
                Err(error) => {
                    assert!(matches!(error, CommitError::Io { .. } | CommitError::Poisoned { .. }), "{error}");
                    break;
                }
            }
        }
        if store.stats().poisoned.is_none() {
            // So many operations of this kind did not happen.
            continue;
        }
        poisoned += 1;
        let refused = commit(&store, &[put("/x", "y")]).remove(0).expect_err("a poisoned store accepts nothing");
        assert!(matches!(refused, CommitError::Poisoned { .. }), "{refused}");
        assert!(store.check_writable().is_err(), "and says so when asked");
        assert_eq!(store.revision(), acknowledged, "{op:?} after {after}: readers see what was acknowledged");
        let ended = loop {
            match watch.try_next() {
                Ok(Some(_)) => {}
                Ok(None) => break futures_now(watch.next()),
                Err(error) => break Some(Err(error)),
            }
        };
        assert!(
            matches!(ended, Some(Err(WatchError::Closed | WatchError::Lagged { .. }))),
            "{op:?} after {after}: watches end"
        );
        drop(store);
        let store = open(&disk).unwrap_or_else(|error| panic!("{op:?} after {after}: {error}"));
        assert!(store.revision() >= acknowledged, "{op:?} after {after}");
        assert!(store.revision() <= acknowledged.next(), "{op:?} after {after}");
    }
    assert!(poisoned > 40, "only {poisoned}");
}

/// The value of a future that is ready.
fn futures_now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}
