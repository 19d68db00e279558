//! The way to the API server: the in-process transport, with latency, faults, and the server's crashes in between.

use std::future::Future;
use std::sync::Arc;

use apimachinery::{ApiError, Object, UserInfo};
use apiserver::{ApiServer, LocalTransport};
use async_trait::async_trait;
use client::{
    Client, DeleteOptions, ListOptions, ObjectList, PatchKind, Target, Transport, WatchEvent, WatchStream, WriteOptions,
};
use component_base::Shutdown;
use futures_util::StreamExt;
use parking_lot::RwLock;
use serde_json::Value;

use crate::faults::Dice;

/// One life of the API server, from its start to its crash.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) server: Arc<ApiServer>,
    pub(crate) crashed: Shutdown,
}

/// Where clients that outlive the server find it.
#[derive(Debug, Default)]
pub(crate) struct Door {
    life: RwLock<Option<Life>>,
}

impl Door {
    pub(crate) fn open(&self, life: Life) {
        *self.life.write() = Some(life);
    }

    pub(crate) fn close(&self) {
        *self.life.write() = None;
    }
}

/// Which server a client speaks to.
#[derive(Debug, Clone)]
enum Server {
    /// Parts of the server's own process, which end with it.
    Fixed(Life),
    /// Others: whichever lives.
    Behind(Arc<Door>),
}

#[derive(Debug)]
struct SimulatedTransport {
    server: Server,
    user: UserInfo,
    dice: Arc<Dice>,
}

/// A client that speaks as `user` and ends with this life of the server.
pub(crate) fn client_of(life: &Life, user: UserInfo, dice: &Arc<Dice>) -> Client {
    Client::new(Arc::new(SimulatedTransport { server: Server::Fixed(life.clone()), user, dice: dice.clone() }))
}

/// A client that speaks as `user` to whichever server lives.
pub(crate) fn client_behind(door: &Arc<Door>, user: UserInfo, dice: &Arc<Dice>) -> Client {
    Client::new(Arc::new(SimulatedTransport { server: Server::Behind(door.clone()), user, dice: dice.clone() }))
}

/// A client for scenarios: without faults.
pub(crate) fn honest_client(door: &Arc<Door>, user: UserInfo) -> Client {
    client_behind(door, user, &Arc::new(Dice::new(crate::Faults::default(), 0)))
}

/// What a client sees of a server that does not run.
fn refused() -> ApiError {
    ApiError::unavailable("connect: connection refused")
}

impl SimulatedTransport {
    fn life(&self) -> Result<Life, ApiError> {
        let life = match &self.server {
            Server::Fixed(life) => Some(life.clone()),
            Server::Behind(door) => door.life.read().clone(),
        };
        life.filter(|life| !life.crashed.is_requested()).ok_or_else(refused)
    }

    /// Does a request, unless something comes in between. What is not done by the crash is not done at all.
    async fn request<T, F: Future<Output = Result<T, ApiError>>>(
        &self,
        request: impl FnOnce(LocalTransport) -> F,
    ) -> Result<T, ApiError> {
        self.dice.latency().await;
        if self.dice.hits(self.dice.faults.refused) {
            return Err(ApiError::unavailable("the simulated server is not able to handle the request now"));
        }
        let life = self.life()?;
        let local = LocalTransport::new(life.server.clone(), self.user.clone());
        tokio::select! {
            biased;
            () = life.crashed.requested() => Err(ApiError::unavailable("read: connection reset by peer")),
            answer = request(local) => answer,
        }
    }

    /// A conflict that the server might have found.
    fn conflict(&self, target: Target<'_>, body: &Value) -> Result<(), ApiError> {
        let locked = body["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty());
        if locked && self.dice.hits(self.dice.faults.conflicts) {
            return Err(ApiError::modified(target.resource.group, target.resource.plural, target.name));
        }
        Ok(())
    }
}

#[async_trait]
impl Transport for SimulatedTransport {
    async fn get(&self, target: Target<'_>) -> Result<Arc<Object>, ApiError> {
        self.request(async |local| local.get(target).await).await
    }

    async fn list(&self, target: Target<'_>, options: &ListOptions) -> Result<ObjectList, ApiError> {
        self.request(async |local| local.list(target, options).await).await
    }

    async fn watch(&self, target: Target<'_>, options: &ListOptions) -> Result<WatchStream, ApiError> {
        let stream = self.request(async |local| local.watch(target, options).await).await?;
        let life = self.life()?;
        let watch = SimulatedWatch { stream, crashed: life.crashed, dice: self.dice.clone() };
        Ok(Box::pin(futures_util::stream::unfold(watch, SimulatedWatch::next)))
    }

    async fn create(&self, target: Target<'_>, body: Value, options: &WriteOptions) -> Result<Arc<Object>, ApiError> {
        self.request(async |local| local.create(target, body, options).await).await
    }

    async fn update(&self, target: Target<'_>, body: Value, options: &WriteOptions) -> Result<Arc<Object>, ApiError> {
        self.conflict(target, &body)?;
        self.request(async |local| local.update(target, body, options).await).await
    }

    async fn patch(
        &self,
        target: Target<'_>,
        kind: PatchKind,
        patch: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Object>, ApiError> {
        self.conflict(target, &patch)?;
        self.request(async |local| local.patch(target, kind, patch, options).await).await
    }

    async fn delete(&self, target: Target<'_>, options: &DeleteOptions) -> Result<u64, ApiError> {
        self.request(async |local| local.delete(target, options).await).await
    }

    async fn delete_collection(
        &self,
        target: Target<'_>,
        options: &DeleteOptions,
        selection: &ListOptions,
    ) -> Result<(), ApiError> {
        self.request(async |local| local.delete_collection(target, options, selection).await).await
    }
}

/// A watch that may end at any event.
struct SimulatedWatch {
    stream: WatchStream,
    crashed: Shutdown,
    dice: Arc<Dice>,
}

impl SimulatedWatch {
    async fn next(mut self) -> Option<(WatchEvent, Self)> {
        let event = tokio::select! {
            biased;
            () = self.crashed.requested() => return None,
            event = self.stream.next() => event?,
        };
        self.dice.latency().await;
        if self.dice.hits(self.dice.faults.lost_watches) {
            return None;
        }
        if self.dice.hits(self.dice.faults.expired_watches) {
            self.stream = Box::pin(futures_util::stream::empty());
            return Some((WatchEvent::Error(ApiError::expired("too old resource version")), self));
        }
        Some((event, self))
    }
}
