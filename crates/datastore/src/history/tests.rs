//! The window: what can be read and watched, and what not any more.

use std::sync::Arc;

use bytes::Bytes;

use super::{Keys, Shared, State, Window};
use crate::{Event, KeyValue, ReadError, Revision, WATCH_BATCH_MAX, WatchError};

fn shared(events_max: usize) -> Arc<Shared> {
    let window = Window { events_max, bytes_max: usize::MAX };
    Arc::new(Shared::new(State::new(window, 1, Keys::new())))
}

/// Writes a key and returns the revision.
fn write(shared: &Shared, key: &str) -> u64 {
    let (revision, prev) = shared.read(|state| (Revision(state.revision).next(), state.keys.get(key).cloned()));
    let kv = KeyValue {
        key: key.into(),
        value: Bytes::from(revision.to_string()),
        create_revision: prev.as_ref().map_or(revision, |prev| prev.create_revision),
        mod_revision: revision,
        version: prev.as_ref().map_or(1, |prev| prev.version + 1),
    };
    shared.publish(vec![Arc::new(Event { revision, key: key.into(), kv: Some(Arc::new(kv)), prev })]);
    revision.0
}

#[test]
fn a_slow_watcher_is_dropped_and_told_where_to_go_on() {
    let shared = shared(10);
    let mut watch = shared.watch("/a", Revision(0)).expect("a fresh store has all history");
    for _ in 0..10 {
        write(&shared, "/a");
    }
    assert_eq!(watch.try_next().expect("all is in the window").map(|events| events.len()), Some(10));
    for _ in 0..11 {
        write(&shared, "/b");
    }
    let error = watch.try_next().expect_err("the first event behind its position is gone");
    assert_eq!(error, WatchError::Lagged { position: Revision(11), compacted: Revision(12) });
    assert_eq!(
        error.to_string(),
        "the watch fell behind: events after revision 11 are no longer kept, the oldest readable revision is 12"
    );
}

#[tokio::test]
async fn a_watch_waits_for_its_prefix_and_tells_its_position() {
    let shared = shared(10 * WATCH_BATCH_MAX);
    let mut watch = shared.watch("/a/", Revision(1)).expect("the present can be watched from");
    for _ in 0..2 * WATCH_BATCH_MAX {
        write(&shared, "/b/1");
    }
    assert_eq!(watch.try_next(), Ok(None));
    assert_eq!(watch.position().0, 1 + 2 * WATCH_BATCH_MAX as u64, "a bookmark may say so");
    let mut next = tokio_test_task(watch.next());
    assert!(next.poll().is_none());
    write(&shared, "/b/1");
    assert!(next.poll().is_none(), "not its prefix");
    let revision = write(&shared, "/a/1");
    let events = next.poll().expect("woken").expect("not closed");
    assert_eq!(events.iter().map(|event| event.revision.0).collect::<Vec<_>>(), [revision]);
}

/// A future polled by hand.
struct Polled<F>(std::pin::Pin<Box<F>>);

fn tokio_test_task<F: Future>(future: F) -> Polled<F> {
    Polled(Box::pin(future))
}

impl<F: Future> Polled<F> {
    fn poll(&mut self) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match self.0.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}

#[test]
fn pages_at_a_revision_stay_while_writes_go_on() {
    let shared = shared(1000);
    for i in 0..20 {
        write(&shared, &format!("/k/{i:02}"));
    }
    let first = shared.range("/k/", None, 8, None).expect("the present can be read");
    assert_eq!((first.revision, first.more, first.remaining), (Revision(21), true, 12));
    let mut after = first.items.last().expect("eight items").key.clone();
    let mut items = first.items;
    // Written between the pages: later keys, changed keys, and more views than are kept.
    for i in 0..30 {
        write(&shared, &format!("/k/{i:02}"));
        shared.range("/k/", None, 0, Some(Revision(22 + i))).expect("in the window");
    }
    loop {
        let page = shared.range("/k/", Some(&after), 8, Some(Revision(21))).expect("in the window");
        assert_eq!(page.revision, Revision(21));
        items.extend(page.items);
        after = items.last().expect("not empty").key.clone();
        if !page.more {
            break;
        }
    }
    let found: Vec<_> = items.iter().map(|kv| (kv.key.to_string(), kv.mod_revision.0)).collect();
    let expected: Vec<_> = (0..20).map(|i| (format!("/k/{i:02}"), i + 2)).collect();
    assert_eq!(found, expected);
}

#[test]
fn compaction_moves_the_oldest_readable_revision() {
    let shared = shared(1000);
    for _ in 0..9 {
        write(&shared, "/a");
    }
    assert_eq!(shared.compact(Revision(11)), Err(ReadError::Future { requested: Revision(11), current: Revision(10) }));
    shared.compact(Revision(5)).expect("it exists");
    shared.compact(Revision(3)).expect("compacting what is compacted does nothing");
    let gone = ReadError::Compacted { requested: Revision(4), compacted: Revision(5), current: Revision(10) };
    assert_eq!(shared.get("/a", Some(Revision(4))), Err(gone));
    assert_eq!(shared.range("", None, 0, Some(Revision(4))), Err(gone));
    assert_eq!(shared.watch("", Revision(4)).map(drop), Err(gone));
    assert_eq!(shared.get("/a", Some(Revision(5))).expect("the floor is readable").expect("written").version, 4);
    let mut watch = shared.watch("", Revision(5)).expect("the floor can be watched from");
    let events = watch.try_next().expect("in the window").expect("five events");
    assert_eq!(events.len(), 5);
    shared.compact(Revision(10)).expect("everything may go");
    assert_eq!(shared.get("/a", Some(Revision(10))).expect("the present").expect("written").version, 9);
    let future = ReadError::Future { requested: Revision(11), current: Revision(10) };
    assert_eq!(shared.watch("", Revision(11)).map(drop), Err(future));
    assert_eq!(future.to_string(), "revision 11 is in the future, the store is at 10");
    assert_eq!(gone.to_string(), "revision 4 has been compacted, the oldest readable revision is 5");
}

#[test]
fn a_prefix_ends_where_the_next_begins() {
    let shared = shared(1000);
    let keys = [
        "/a",
        "/a/",
        "/a/b",
        "/a/\u{d7ff}",
        "/a/\u{e000}",
        "/a/\u{10ffff}",
        "/a/\u{10ffff}z",
        "/a0",
        "\u{10ffff}",
        "\u{10ffff}a",
    ];
    for key in keys {
        write(&shared, key);
    }
    for prefix in ["", "/", "/a", "/a/", "/a/\u{d7ff}", "/a/\u{10ffff}", "\u{10ffff}", "/b"] {
        for after in [None, Some(""), Some("/a/b"), Some("/a0"), Some("\u{10ffff}z")] {
            let page = shared.range(prefix, after, 0, None).expect("the present can be read");
            let found: Vec<_> = page.items.iter().map(|kv| kv.key.to_string()).collect();
            let after = after.unwrap_or_default();
            let expected: Vec<_> = keys.into_iter().filter(|key| key.starts_with(prefix) && *key > after).collect();
            assert_eq!(found, expected, "{prefix:?} after {after:?}");
        }
    }
}
