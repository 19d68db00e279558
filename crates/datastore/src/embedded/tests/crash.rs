//! Power failures at every moment at which durability changes hands.

use std::collections::BTreeMap;

use super::{Keys, Random, apply, commit, delete, keys, open, put};
use crate::{Datastore, Op, Revision, SimulatedDisk};

const SEEDS: u64 = 12;
const GROUPS: u64 = 90;
const IMAGES_PER_MOMENT: u32 = 2;

/// What the images covered, so that the test can't lose its point unnoticed.
#[derive(Debug, Default)]
struct Coverage {
    images: u64,
    torn: u64,
    from_snapshot: u64,
    unacknowledged_kept: u64,
    in_snapshot: u64,
    in_roll: u64,
}

/// All keys at the end of each group.
type Boundaries = BTreeMap<u64, Keys>;

fn random_group(random: &mut Random, model: &Keys) -> Vec<Op> {
    let count = 1 + random.below(6);
    let mut deleted = Vec::new();
    (0..count)
        .map(|_| {
            let key = format!("/registry/pods/{}", random.below(30));
            if model.contains_key(&key) && random.below(4) == 0 && !deleted.contains(&key) {
                deleted.push(key.clone());
                return delete(&key);
            }
            deleted.retain(|other| *other != key);
            put(&key, random.value(1200))
        })
        .collect()
}

fn run(seed: u64, coverage: &mut Coverage) {
    let disk = SimulatedDisk::new(seed);
    disk.record_crashes(IMAGES_PER_MOMENT);
    disk.set_note(1);
    let mut random = Random(seed);
    let mut model = Keys::new();
    let mut boundaries = Boundaries::from([(1, model.clone())]);
    let mut revision = 1;
    let mut store = open(&disk).expect("an empty disk opens");
    for group in 0..GROUPS {
        let ops = random_group(&mut random, &model);
        for (i, op) in ops.iter().enumerate() {
            apply(&mut model, op, revision + 1 + i as u64);
        }
        revision += ops.len() as u64;
        boundaries.insert(revision, model.clone());
        for answer in commit(&store, &ops) {
            answer.expect("the disk is fine");
        }
        disk.set_note(revision);
        if group % 40 == 39 {
            drop(store);
            store = open(&disk).expect("a closed store opens");
        }
    }
    drop(store);
    disk.record_crashes(0);
    for image in disk.take_crashes() {
        let acknowledged = image.note;
        let context = format!("seed {seed}, {}, revision {acknowledged} acknowledged", image.moment);
        let store = open(&image.disk).unwrap_or_else(|error| panic!("{context}: {error}"));
        let found = store.revision().0;
        assert!(found >= acknowledged, "{context}: lost, the store is at {found}");
        let expected =
            boundaries.get(&found).unwrap_or_else(|| panic!("{context}: half a group, the store is at {found}"));
        assert_eq!(keys(&store, None), *expected, "{context}");
        check_history(&store, &boundaries, &context);
        coverage.images += 1;
        coverage.torn += u64::from(store.recovery().torn.is_some());
        coverage.from_snapshot += u64::from(store.recovery().snapshot.is_some());
        coverage.unacknowledged_kept += u64::from(found > acknowledged);
        coverage.in_snapshot += u64::from(image.moment.contains("snapshot"));
        coverage.in_roll += u64::from(image.moment.contains("log-") && image.moment.contains(".tmp"));
        // It goes on, and what it then acknowledges survives as well.
        let later = commit(&store, &[put("/later", "x")])[0].clone().expect("the disk is fine");
        assert_eq!(later.revision, Revision(found + 1), "{context}");
        drop(store);
        let again = open(&image.disk).unwrap_or_else(|error| panic!("{context}, again: {error}"));
        assert_eq!(again.revision(), later.revision, "{context}");
        assert_eq!(again.recovery().torn, None, "{context}: the torn tail was cut for good");
        let mut expected = expected.clone();
        apply(&mut expected, &put("/later", "x"), later.revision.0);
        assert_eq!(keys(&again, None), expected, "{context}");
    }
}

/// Every revision that is still readable has one event, and the keys of the group that ended there.
fn check_history(store: &super::EmbeddedStore, boundaries: &Boundaries, context: &str) {
    let from = store.compacted();
    let mut watch = store.watch("", from).expect("the floor can be watched from");
    let mut next = from.0.max(1) + 1;
    while let Some(events) = watch.try_next().expect("nothing is lost while nothing is written") {
        for event in events {
            assert_eq!(event.revision.0, next, "{context}: a hole");
            next += 1;
        }
    }
    assert_eq!(next, store.revision().0 + 1, "{context}");
    if let Some((revision, expected)) = boundaries.range(from.0.max(1)..=store.revision().0).next() {
        assert_eq!(keys(store, Some(Revision(*revision))), *expected, "{context}: at revision {revision}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_no_group_is_halved() {
    let mut coverage = Coverage::default();
    for seed in 0..SEEDS {
        run(seed, &mut coverage);
    }
    assert!(coverage.images > 5_000, "{coverage:?}");
    assert!(coverage.torn > 100, "{coverage:?}");
    assert!(coverage.from_snapshot > 1_000, "{coverage:?}");
    assert!(coverage.unacknowledged_kept > 100, "{coverage:?}");
    assert!(coverage.in_snapshot > 100 && coverage.in_roll > 100, "{coverage:?}");
}

/// A crash while a crash is being repaired.
#[test]
fn a_crash_during_recovery_is_harmless() {
    let mut repaired = 0;
    for seed in 0..60 {
        let disk = SimulatedDisk::new(seed);
        let store = open(&disk).expect("an empty disk opens");
        let value = vec![7; 3000];
        commit(&store, &[put("/a", value.clone())])[0].clone().expect("the disk is fine");
        disk.record_crashes(1);
        commit(&store, &[put("/b", value.clone()), put("/c", value.clone())])[0].clone().expect("the disk is fine");
        for image in disk.take_crashes() {
            image.disk.record_crashes(3);
            let first = open(&image.disk).expect("a crash is repaired");
            repaired += u64::from(first.recovery().torn.is_some());
            let revision = first.revision();
            for again in image.disk.take_crashes() {
                let second = open(&again.disk).expect("a crash during the repair is repaired");
                assert_eq!(second.revision(), revision, "seed {seed}, {}", again.moment);
            }
        }
    }
    assert!(repaired > 20, "only {repaired} torn tails");
}
