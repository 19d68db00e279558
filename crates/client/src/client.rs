//! A transport with conveniences.

use std::sync::Arc;

use apimachinery::{ApiError, Object, Resource};
use serde::Serialize;
use serde_json::Value;

use crate::transport::{
    DeleteOptions, ListOptions, ObjectList, PatchKind, Target, Transport, WatchStream, WriteOptions,
};

/// The API, as one identity sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
}

/// A typed object as the dynamic value that requests carry.
pub fn typed_value<K: Serialize>(object: &K) -> Result<Value, ApiError> {
    serde_json::to_value(object).map_err(ApiError::internal)
}

impl Client {
    /// A client over `transport`.
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport }
    }

    /// The transport, for requests that have no convenience here.
    pub fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    /// Reads an object.
    pub async fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Result<Arc<Object>, ApiError> {
        self.transport.get(Target::object(resource, namespace, name)).await
    }

    /// Lists a collection; all namespaces if `namespace` is empty.
    pub async fn list(
        &self,
        resource: &'static Resource,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<ObjectList, ApiError> {
        self.transport.list(Target::collection(resource, namespace), options).await
    }

    /// Watches a collection.
    pub async fn watch(
        &self,
        resource: &'static Resource,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<WatchStream, ApiError> {
        self.transport.watch(Target::collection(resource, namespace), options).await
    }

    /// Creates an object.
    pub async fn create(
        &self,
        resource: &'static Resource,
        namespace: &str,
        body: Value,
    ) -> Result<Arc<Object>, ApiError> {
        self.transport.create(Target::collection(resource, namespace), body, &WriteOptions::default()).await
    }

    /// Creates a subresource, such as a Pod's `binding` or `eviction`.
    pub async fn create_subresource(&self, target: Target<'_>, body: Value) -> Result<Arc<Object>, ApiError> {
        self.transport.create(target, body, &WriteOptions::default()).await
    }

    /// Replaces an object. The body's `metadata.resourceVersion` is the optimistic lock.
    pub async fn update(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        body: Value,
    ) -> Result<Arc<Object>, ApiError> {
        self.transport.update(Target::object(resource, namespace, name), body, &WriteOptions::default()).await
    }

    /// Replaces an object's status.
    pub async fn update_status(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        body: Value,
    ) -> Result<Arc<Object>, ApiError> {
        let target = Target::object(resource, namespace, name).subresource("status");
        self.transport.update(target, body, &WriteOptions::default()).await
    }

    /// Patches an object.
    pub async fn patch(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        kind: PatchKind,
        patch: Value,
    ) -> Result<Arc<Object>, ApiError> {
        self.transport.patch(Target::object(resource, namespace, name), kind, patch, &WriteOptions::default()).await
    }

    /// Patches an object's status.
    pub async fn patch_status(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        kind: PatchKind,
        patch: Value,
    ) -> Result<Arc<Object>, ApiError> {
        let target = Target::object(resource, namespace, name).subresource("status");
        self.transport.patch(target, kind, patch, &WriteOptions::default()).await
    }

    /// Deletes an object; gives the revision of the write.
    pub async fn delete(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<u64, ApiError> {
        self.transport.delete(Target::object(resource, namespace, name), options).await
    }
}
