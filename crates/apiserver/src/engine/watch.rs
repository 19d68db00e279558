//! Watches: a cursor into the ring of the cache, filtered.

use std::collections::VecDeque;
use std::sync::Arc;

use apimachinery::{ApiError, Object, Resource};
use client::{ListOptions, Target, WatchEvent, WatchStream};
use component_base::watch::Receiver;

use super::Engine;
use super::list::{Selection, namespace_prefix, too_large};
use super::versions::{all_served, served};
use crate::cache::{CacheEvent, Caches, ResourceCache};

struct Watcher {
    caches: Arc<Caches>,
    cache: Arc<ResourceCache>,
    news: Receiver<u64>,
    cursor: u64,
    resource: &'static Resource,
    namespace: String,
    selection: Selection,
    pending: VecDeque<WatchEvent>,
    ended: bool,
}

impl Engine {
    /// Watches a collection. Without a resource version (or with 0) what exists comes first.
    pub async fn watch(&self, target: Target<'_>, options: &ListOptions) -> Result<WatchStream, ApiError> {
        let mut options = options.clone();
        if !target.name.is_empty() {
            let term = format!("metadata.name={}", target.name);
            let comma = if options.field_selector.is_empty() { "" } else { "," };
            options.field_selector = format!("{term}{comma}{}", options.field_selector);
        }
        let selection = Selection::parse(target.resource, self.rules(target.resource)?, &options)?;
        let cache = self.caches.of(target.resource).ok_or_else(ApiError::method_not_allowed)?;
        let news = cache.subscribe();
        let mut pending = VecDeque::new();
        let cursor = match options.resource_version {
            Some(from) if from > 0 && !options.send_initial_events => {
                let current = self.datastore.revision().0;
                if from > current {
                    return Err(too_large(from, current));
                }
                from
            }
            _ => {
                self.caches.wait_for(self.datastore.revision().0).await?;
                let at = self.caches.applied();
                let mut objects = cache.list(&namespace_prefix(target.namespace));
                objects.retain(|object| object.meta().resource_version <= at);
                if target.resource.is_custom() {
                    objects = all_served(&self.caches, target.resource, objects).await?;
                    objects.retain(|object| selection.matches(object));
                } else {
                    objects.retain(|object| selection.matches(object));
                    objects = all_served(&self.caches, target.resource, objects).await?;
                }
                pending.extend(objects.into_iter().map(WatchEvent::Added));
                if options.send_initial_events {
                    pending.push_back(WatchEvent::InitialEventsEnd(at));
                }
                at
            }
        };
        let watcher = Watcher {
            caches: self.caches.clone(),
            cache,
            news,
            cursor,
            resource: target.resource,
            namespace: target.namespace.to_owned(),
            selection,
            pending,
            ended: false,
        };
        Ok(Box::pin(futures_util::stream::unfold(watcher, Watcher::next)))
    }
}

impl Watcher {
    async fn next(mut self) -> Option<(WatchEvent, Self)> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some((event, self));
            }
            if self.ended {
                return None;
            }
            drop(self.news.borrow_and_update());
            match self.cache.events_after(self.cursor) {
                Ok(events) if events.is_empty() => {
                    if self.news.changed().await.is_err() {
                        return None;
                    }
                }
                Ok(events) => {
                    for event in events {
                        self.cursor = event.revision;
                        self.take(event).await;
                    }
                }
                Err(too_old) => {
                    self.ended = true;
                    let text = format!("too old resource version: {} ({})", self.cursor, too_old.oldest);
                    self.pending.push_back(WatchEvent::Error(ApiError::expired(text)));
                }
            }
        }
    }

    async fn take(&mut self, event: CacheEvent) {
        if !self.namespace.is_empty() && event.object.meta().namespace != self.namespace {
            return;
        }
        match self.meaning(event).await {
            Ok(event) => self.pending.extend(event),
            Err(error) => {
                self.ended = true;
                self.pending.push_back(WatchEvent::Error(error));
            }
        }
    }

    /// What an event means to this watcher: an object may enter or leave the selection by a change. Custom resources are
    /// selected in the version that is watched, all others as they are stored.
    async fn meaning(&self, event: CacheEvent) -> Result<Option<WatchEvent>, ApiError> {
        let CacheEvent { mut object, mut previous, .. } = event;
        if self.resource.is_custom() {
            object = served(&self.caches, self.resource, object).await?;
            if let Some(stored) = previous {
                previous = Some(served(&self.caches, self.resource, stored).await?);
            }
        }
        let before = previous.as_ref().is_some_and(|object| self.selection.matches(object));
        let now = !event.deleted && self.selection.matches(&object);
        let make: fn(Arc<Object>) -> WatchEvent = match (before, now) {
            (false, true) => WatchEvent::Added,
            (true, true) => WatchEvent::Modified,
            (true, false) => WatchEvent::Deleted,
            (false, false) => return Ok(None),
        };
        // What left the selection is shown as it was last selected, at the revision of the change.
        if let (Some(previous), false, false) = (&previous, event.deleted, now) {
            object = at_revision(previous, event.revision)?;
        }
        if !self.resource.is_custom() {
            object = served(&self.caches, self.resource, object).await?;
        }
        Ok(Some(make(object)))
    }
}

fn at_revision(object: &Object, revision: u64) -> Result<Arc<Object>, ApiError> {
    let stored = Object::to_stored(&object.value()).map_err(ApiError::internal)?;
    super::written(&stored, revision)
}
