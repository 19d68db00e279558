//! The requests that every transport (in process, HTTPS) carries.

use std::pin::Pin;
use std::sync::Arc;

use apimachinery::{ApiError, Object, Resource};
use async_trait::async_trait;
use futures_util::Stream;
use serde_json::Value;

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The resource.
    pub resource: &'static Resource,
    /// The namespace; empty for cluster-scoped objects and for "all namespaces".
    pub namespace: &'a str,
    /// The object's name; empty for collections.
    pub name: &'a str,
    /// `status`, `scale`, `binding` …; empty for the object itself.
    pub subresource: &'a str,
}

impl<'a> Target<'a> {
    /// A collection.
    pub fn collection(resource: &'static Resource, namespace: &'a str) -> Self {
        Self { resource, namespace, name: "", subresource: "" }
    }

    /// An object.
    pub fn object(resource: &'static Resource, namespace: &'a str, name: &'a str) -> Self {
        Self { resource, namespace, name, subresource: "" }
    }

    /// A subresource of this object.
    #[must_use]
    pub fn subresource(self, subresource: &'a str) -> Self {
        Self { subresource, ..self }
    }
}

/// What a list or watch selects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Label selector text.
    pub label_selector: String,
    /// Field selector text.
    pub field_selector: String,
    /// The most items to return; 0 for all.
    pub limit: u64,
    /// Where an earlier page ended.
    pub continue_token: String,
    /// Watch: events after this revision. List: at least this fresh. 0 and `None` as upstream has them.
    pub resource_version: Option<u64>,
    /// List: the revision must be matched exactly.
    pub exact: bool,
    /// Watch: send what exists first, then a mark (`sendInitialEvents`).
    pub send_initial_events: bool,
}

/// A page of objects.
#[derive(Debug, Clone, Default)]
pub struct ObjectList {
    /// The objects, ordered by namespace and name.
    pub items: Vec<Arc<Object>>,
    /// The revision at which the list was read.
    pub resource_version: u64,
    /// Where to go on; empty at the end.
    pub continue_token: String,
    /// How many objects follow, where that is known: not with selectors.
    pub remaining: Option<u64>,
}

/// How a write is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Do everything but the commit.
    pub dry_run: bool,
    /// Who writes, for managed fields.
    pub field_manager: String,
}

/// What must be true of the object that is deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// Its uid.
    pub uid: Option<String>,
    /// Its resource version.
    pub resource_version: Option<u64>,
}

/// What happens to the objects that a deleted one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They stay, without the owner reference.
    Orphan,
    /// The garbage collector deletes them afterwards.
    Background,
    /// They go first; the owner waits with a finalizer.
    Foreground,
}

impl Propagation {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orphan => "Orphan",
            Self::Background => "Background",
            Self::Foreground => "Foreground",
        }
    }
}

/// How a deletion is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Seconds of grace; `None` for the kind's default.
    pub grace_period_seconds: Option<i64>,
    /// What must be true.
    pub preconditions: Preconditions,
    /// What happens to dependants; `None` for the kind's default.
    pub propagation: Option<Propagation>,
    /// Do everything but the commit.
    pub dry_run: bool,
}

/// The formats of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' strategic merge.
    Strategic,
}

impl PatchKind {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
        }
    }
}

/// One event of a watch.
#[derive(Debug, Clone)]
pub enum WatchEvent {
    /// The object is there, or is newly selected.
    Added(Arc<Object>),
    /// The object changed.
    Modified(Arc<Object>),
    /// The object is gone, or no longer selected; its last state.
    Deleted(Arc<Object>),
    /// Everything up to this revision has been sent.
    Bookmark(u64),
    /// The objects that existed when the watch began have been sent, as of this revision.
    InitialEventsEnd(u64),
    /// The watch ends; `Expired` asks for a new list.
    Error(ApiError),
}

/// A watch in progress. Dropping it ends the watch.
pub type WatchStream = Pin<Box<dyn Stream<Item = WatchEvent> + Send>>;

/// A way to an API server, with an identity that the server knows.
#[async_trait]
pub trait Transport: Send + Sync + std::fmt::Debug {
    /// Reads one object (or subresource).
    async fn get(&self, target: Target<'_>) -> Result<Arc<Object>, ApiError>;
    /// Lists a collection.
    async fn list(&self, target: Target<'_>, options: &ListOptions) -> Result<ObjectList, ApiError>;
    /// Watches a collection from a revision on.
    async fn watch(&self, target: Target<'_>, options: &ListOptions) -> Result<WatchStream, ApiError>;
    /// Creates an object, or POSTs to a subresource when the target has one.
    async fn create(&self, target: Target<'_>, body: Value, options: &WriteOptions) -> Result<Arc<Object>, ApiError>;
    /// Replaces an object or subresource.
    async fn update(&self, target: Target<'_>, body: Value, options: &WriteOptions) -> Result<Arc<Object>, ApiError>;
    /// Patches an object or subresource.
    async fn patch(
        &self,
        target: Target<'_>,
        kind: PatchKind,
        patch: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Object>, ApiError>;
    /// Deletes an object. `Ok` says that the deletion was accepted; the object may live on until its grace or its
    /// finalizers end. Gives the revision of the write, or 0 where the server does not tell.
    async fn delete(&self, target: Target<'_>, options: &DeleteOptions) -> Result<u64, ApiError>;
    /// Deletes all objects of a collection that the selectors choose.
    async fn delete_collection(
        &self,
        target: Target<'_>,
        options: &DeleteOptions,
        selection: &ListOptions,
    ) -> Result<(), ApiError>;
}
