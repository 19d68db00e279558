//! Real directories: the lock, what else may be there, the threads, backups.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{
    CommitError, Datastore, EmbeddedStore, Expect, KEY_BYTES_MAX, Mode, Op, OpenError, Options, RealDisk, RestoreError,
    Revision, SimulatedDisk, VALUE_BYTES_MAX, WatchError, restore_backup,
};

/// A directory that goes with the test.
struct TestDirectory(PathBuf);

impl TestDirectory {
    fn new() -> TestDirectory {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("skiff-datastore-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        TestDirectory(std::env::temp_dir().join(name))
    }

    fn disk(&self) -> Arc<RealDisk> {
        Arc::new(RealDisk::new(&self.0))
    }

    fn open(&self) -> Result<EmbeddedStore, OpenError> {
        EmbeddedStore::open(self.disk(), Options { mode: Mode::Threads, ..super::small() })
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn put(key: &str, value: Vec<u8>) -> Op {
    Op::Put { key: key.into(), value: value.into(), expect: Expect::Any }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_share_groups_and_all_is_there_after_a_restart() {
    let directory = TestDirectory::new();
    let store = Arc::new(directory.open().expect("a new directory opens"));
    let mut watch = store.watch("/w", Revision(0)).expect("a fresh store has all history");
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..16 {
        let store = store.clone();
        writers.spawn(async move {
            let mut last = Revision(0);
            for i in 0..40 {
                let op = put(&format!("/w/{writer}/{}", i % 4), vec![writer; 200]);
                let revision = store.commit(op).await.expect("the disk is fine").revision;
                assert!(revision > last);
                last = revision;
            }
        });
    }
    let mut seen = 1;
    while seen < 1 + 16 * 40 {
        match watch.next().await {
            Ok(events) => {
                assert_eq!(events[0].revision.0, seen + 1);
                seen += events.len() as u64;
            }
            // The window is small here, and this task may not run for a while.
            Err(WatchError::Lagged { .. }) => {
                seen = store.revision().0;
                watch = store.watch("/w", Revision(seen)).expect("the present can be watched from");
            }
            Err(WatchError::Closed) => panic!("the store is open"),
        }
    }
    writers.join_all().await;
    let stats = store.stats();
    assert_eq!((stats.writes, stats.keys), (640, 64));
    assert!(stats.groups <= stats.writes);
    let before = store.range("", None, 0, None).expect("the present can be read");
    drop(watch);
    drop(store);
    let store = directory.open().expect("a closed store opens");
    assert_eq!(store.recovery().torn, None);
    assert_eq!(store.range("", None, 0, None).expect("the present can be read"), before);
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let directory = TestDirectory::new();
    let store = directory.open().expect("a new directory opens");
    let error = directory.open().expect_err("it is open already");
    assert_eq!(
        error.to_string(),
        format!(
            "datastore {} is in use by process {}; stop that first, or choose another directory",
            directory.0.display(),
            std::process::id()
        )
    );
    drop(store);
    directory.open().expect("it is free again");
}

#[test]
fn foreign_and_newer_directories_stay_as_they_are() {
    let directory = TestDirectory::new();
    fs::create_dir_all(&directory.0).expect("a temporary directory");
    fs::write(directory.0.join("member.db"), "etcd").expect("a temporary file");
    let error = directory.open().expect_err("it is not ours");
    assert_eq!(
        error.to_string(),
        format!(
            "{} is not a skiff datastore: it holds \"member.db\"; choose an empty directory, or move those files away",
            directory.0.display()
        )
    );
    assert_eq!(fs::read_dir(&directory.0).expect("it is there").count(), 1);
    fs::remove_file(directory.0.join("member.db")).expect("it is there");
    fs::write(directory.0.join("format"), "skiff datastore format 2\n").expect("a temporary file");
    let error = directory.open().expect_err("it is newer");
    assert!(error.to_string().contains("has format 2, this version reads up to 1; start the newer version"), "{error}");
    assert_eq!(fs::read_dir(&directory.0).expect("it is there").count(), 1);
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_queued() {
    let directory = TestDirectory::new();
    let options = Options::default();
    let store = EmbeddedStore::open(directory.disk(), options).expect("a new directory opens");
    store.commit(put("/largest", vec![1; VALUE_BYTES_MAX])).await.expect("the largest value fits");
    let error = store.commit(put("/k", vec![1; VALUE_BYTES_MAX + 1])).await.expect_err("one more does not");
    assert_eq!(error.to_string(), "value of key \"/k\" has 3145729 bytes, more than the datastore's limit of 3145728");
    let error = store.commit(put(&"é".repeat(KEY_BYTES_MAX), vec![])).await.expect_err("the key is too long");
    assert!(matches!(error, CommitError::TooLarge { what: "key", bytes: 8192, .. }), "{error}");
    assert_eq!(store.revision(), Revision(2));
}

#[tokio::test]
async fn a_backup_is_restored_whole_or_not_at_all() {
    let directory = TestDirectory::new();
    let store = directory.open().expect("a new directory opens");
    for i in 0..50 {
        store.commit(put(&format!("/{}", i % 20), vec![i; 500])).await.expect("the disk is fine");
    }
    let mut backup = Vec::new();
    assert_eq!(store.backup(&mut backup).expect("memory"), Revision(51));
    store.commit(put("/later", vec![])).await.expect("the disk is fine");

    let target = SimulatedDisk::new(3);
    let mut damaged = backup.clone();
    damaged[5000] ^= 1;
    let error = restore_backup(&target, &super::small(), &mut &damaged[..]).expect_err("it is damaged");
    assert!(matches!(error, RestoreError::Damaged { offset: 44, .. }), "{error}");
    let restored = restore_backup(&target, &super::small(), &mut &backup[..]).expect("the target is usable again");
    assert_eq!(restored, Revision(51));
    let copy = super::open(&target).expect("a restored store opens");
    let expected = store.range("", None, 0, Some(Revision(51))).expect("it is in the window");
    assert_eq!(copy.range("", None, 0, None).expect("the present can be read").items, expected.items);
    assert_eq!(super::commit(&copy, &[super::put("/x", "y")])[0].as_ref().expect("it goes on").revision, Revision(52));
    drop(copy);
    let error = restore_backup(&target, &super::small(), &mut &backup[..]).expect_err("there is a store");
    assert!(matches!(error, RestoreError::NotEmpty { .. }), "{error}");
}

#[tokio::test]
async fn closing_finishes_what_was_accepted_and_ends_watches() {
    let directory = TestDirectory::new();
    let store = directory.open().expect("a new directory opens");
    let mut watch = store.watch("", Revision(1)).expect("the present can be watched from");
    store.commit(put("/a", vec![])).await.expect("the disk is fine");
    drop(store);
    assert_eq!(watch.next().await.expect("it was committed").len(), 1);
    assert_eq!(watch.next().await, Err(WatchError::Closed));
}
