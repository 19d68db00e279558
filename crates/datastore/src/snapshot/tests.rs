//! A snapshot is read back as it was written, or refused.

use std::sync::Arc;

use bytes::Bytes;

use super::{BLOCK_BYTES, ReadSnapshotError, SnapshotHeader, read_snapshot, write_snapshot};
use crate::{KeyValue, Revision};

fn items(count: u64, value_bytes: usize) -> Vec<Arc<KeyValue>> {
    (0..count)
        .map(|i| {
            Arc::new(KeyValue {
                key: format!("/{i:06}").into(),
                value: Bytes::from(vec![i as u8; value_bytes]),
                create_revision: Revision(2 + i),
                mod_revision: Revision(3 + i),
                version: 2,
            })
        })
        .collect()
}

fn written(items: &[Arc<KeyValue>]) -> (SnapshotHeader, Vec<u8>) {
    let header = SnapshotHeader { revision: 10_000, first_segment: 7, count: items.len() as u64 };
    let mut bytes = Vec::new();
    let length = write_snapshot(&mut bytes, &header, items.iter()).expect("memory");
    assert_eq!(length, bytes.len() as u64);
    (header, bytes)
}

#[test]
fn what_is_written_is_read() {
    for (count, value_bytes) in [(0, 0), (1, 0), (3, 10), (300, 1000), (3, BLOCK_BYTES)] {
        let items = items(count, value_bytes);
        let (header, bytes) = written(&items);
        let mut read = Vec::new();
        let found = read_snapshot(&mut &bytes[..], |kv| read.push(Arc::new(kv))).expect("it is whole");
        assert_eq!((found, read), (header, items));
    }
}

#[test]
fn cut_lengthened_and_reordered_snapshots_are_refused() {
    let (_, bytes) = written(&items(300, 1000));
    let what = |bytes: &[u8]| match read_snapshot(&mut &bytes[..], |_| {}) {
        Err(ReadSnapshotError::Damage { offset, what }) => format!("{offset}: {what}"),
        other => format!("{other:?}"),
    };
    for length in [0, 43, 44, 50, 1000, bytes.len() - 1] {
        assert!(what(&bytes[..length]).ends_with("the snapshot is cut off"), "{length}: {}", what(&bytes[..length]));
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(what(&longer).ends_with("bytes follow the snapshot's end"));
    let mut reversed = items(3, 10);
    reversed.reverse();
    assert_eq!(what(&written(&reversed).1), "44: the snapshot's entries are out of order");
}
