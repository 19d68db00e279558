//! Watches over HTTP: a line of JSON for each event.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{ApiError, Object, Resource};
use bytes::Bytes;
use client::{WatchEvent, WatchStream};
use component_base::Shutdown;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::negotiate::Shape;
use super::table::{IncludeObject, columns, metadata_only, row, table};
use crate::cache::Caches;
use crate::catalog::KindRules;

/// How often a quiet watch says how far it is.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// How events are sent.
pub(crate) struct WatchFormat {
    pub(crate) resource: &'static Resource,
    pub(crate) rules: KindRules,
    pub(crate) shape: Shape,
    pub(crate) include: IncludeObject,
    pub(crate) bookmarks: bool,
    /// When the server ends the watch.
    pub(crate) ends: Instant,
    pub(crate) clock: Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>,
}

struct State {
    events: WatchStream,
    format: WatchFormat,
    caches: Arc<Caches>,
    shutdown: Shutdown,
    next_bookmark: Instant,
    /// Tables name their columns in the first event only.
    columns_sent: bool,
    ended: bool,
}

/// The body of a watch response.
pub(crate) fn lines(
    events: WatchStream,
    format: WatchFormat,
    caches: Arc<Caches>,
    shutdown: Shutdown,
) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Send {
    let next_bookmark = Instant::now() + BOOKMARK_EVERY;
    let state = State { events, format, caches, shutdown, next_bookmark, columns_sent: false, ended: false };
    futures_util::stream::unfold(state, |mut state| async move {
        if state.ended {
            return None;
        }
        loop {
            let bookmarks = state.format.bookmarks;
            let event = tokio::select! {
                biased;
                event = state.events.next() => event?,
                () = state.shutdown.requested() => return None,
                () = tokio::time::sleep_until(state.format.ends) => return None,
                () = tokio::time::sleep_until(state.next_bookmark), if bookmarks => {
                    state.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                    // The cursor has seen everything up to here, for its cache is current and had nothing to say.
                    WatchEvent::Bookmark(state.caches.applied())
                }
            };
            if matches!(event, WatchEvent::Bookmark(_)) && !bookmarks {
                continue;
            }
            let line = state.line(event);
            return Some((Ok(line), state));
        }
    })
}

impl State {
    fn line(&mut self, event: WatchEvent) -> Bytes {
        match event {
            WatchEvent::Added(object) => self.object_line("ADDED", &object),
            WatchEvent::Modified(object) => self.object_line("MODIFIED", &object),
            WatchEvent::Deleted(object) => self.object_line("DELETED", &object),
            WatchEvent::Bookmark(revision) => self.bookmark(revision, json!({})),
            WatchEvent::InitialEventsEnd(revision) => {
                self.bookmark(revision, json!({"annotations": {"k8s.io/initial-events-end": "true"}}))
            }
            WatchEvent::Error(error) => {
                self.ended = true;
                line("ERROR", error.to_status().to_string().as_bytes())
            }
        }
    }

    fn object_line(&mut self, kind: &str, object: &Object) -> Bytes {
        match self.format.shape {
            Shape::Whole => line(kind, object.json()),
            Shape::Metadata => line(kind, metadata_only(object).to_string().as_bytes()),
            Shape::Table => {
                let now = (self.format.clock)();
                let row = row(self.format.resource, &self.format.rules, object, self.format.include, now);
                let version = json!({"resourceVersion": object.meta().resource_version.to_string()});
                line(kind, self.table(vec![row], version).to_string().as_bytes())
            }
        }
    }

    fn table(&mut self, rows: Vec<Value>, metadata: Value) -> Value {
        let columns = if self.columns_sent { Value::Null } else { columns(self.format.resource, &self.format.rules) };
        self.columns_sent = true;
        table(columns, rows, metadata)
    }

    fn bookmark(&mut self, revision: u64, mut metadata: Value) -> Bytes {
        metadata["resourceVersion"] = json!(revision.to_string());
        metadata["creationTimestamp"] = Value::Null;
        let object = match self.format.shape {
            Shape::Table => {
                let row = json!({"cells": [], "object": {
                    "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                }});
                let version = json!({"resourceVersion": revision.to_string()});
                self.table(vec![row], version)
            }
            Shape::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Shape::Whole => json!({
                "kind": self.format.resource.kind, "apiVersion": self.format.resource.api_version(), "metadata": metadata,
            }),
        };
        line("BOOKMARK", object.to_string().as_bytes())
    }
}

fn line(kind: &str, object: &[u8]) -> Bytes {
    let head = format!("{{\"type\":\"{kind}\",\"object\":");
    [head.as_bytes(), object, b"}\n"].concat().into()
}

/// When a watch ends: the client's wish, or a random time between half an hour and an hour, so that not all end at once.
pub(crate) fn watch_end(asked_seconds: Option<u64>, random: &component_base::Random) -> Result<Instant, ApiError> {
    const MIN_SECONDS: u64 = 1800;
    let seconds = match asked_seconds {
        Some(seconds) if seconds > 0 => seconds.min(86_400),
        _ => MIN_SECONDS + random.below(MIN_SECONDS),
    };
    Ok(Instant::now() + Duration::from_secs(seconds))
}
