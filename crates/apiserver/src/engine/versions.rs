//! Objects between the version in which they are stored and the one in which they are asked for.
//!
//! Built-in kinds are judged in their storage version, for which their rules are made; custom resources in the version
//! of the request, whose schema they have to follow, and converted when they are read and before they are stored.

use std::sync::Arc;

use apimachinery::{ApiError, Object, Resource};
use bytes::Bytes;
use serde_json::Value;

use super::{Engine, convert};
use crate::cache::Caches;

impl Engine {
    /// A stored object in the version of `resource`.
    pub(super) async fn served(
        &self,
        resource: &'static Resource,
        object: Arc<Object>,
    ) -> Result<Arc<Object>, ApiError> {
        served(&self.caches, resource, object).await
    }

    /// A stored object as a write of `resource` sees it.
    pub(super) async fn live(&self, resource: &'static Resource, stored: &Arc<Object>) -> Result<Value, ApiError> {
        if resource.is_custom() {
            return Ok(self.served(resource, stored.clone()).await?.value());
        }
        Ok(stored.value())
    }

    /// What is stored of a value that a write of `resource` has made.
    pub(super) async fn to_stored(&self, resource: &'static Resource, value: &Value) -> Result<Bytes, ApiError> {
        if !resource.is_custom() {
            return Object::to_stored(value).map_err(ApiError::internal);
        }
        let catalog = self.caches.catalog();
        let served = catalog.custom_type(resource)?;
        let version = &served.ty.storage_version;
        let mut converted = match &served.ty.conversion {
            Some(webhook) if value["apiVersion"] != version.as_str() => {
                let objects = vec![value.clone()];
                let mut objects = self.caches.converter().convert(webhook, version, objects, &*self.caches).await?;
                objects.pop().unwrap_or_default()
            }
            _ => value.clone(),
        };
        match catalog.in_version(resource, version) {
            Some(stored) => stored.ty.settle(&mut converted),
            // A version in which objects are stored need not be served.
            None => converted["apiVersion"] = version.as_str().into(),
        }
        Object::to_stored(&converted).map_err(ApiError::internal)
    }
}

/// A stored object in the version of `resource`.
pub(super) async fn served(
    caches: &Caches,
    resource: &'static Resource,
    object: Arc<Object>,
) -> Result<Arc<Object>, ApiError> {
    match all_served(caches, resource, vec![object]).await?.pop() {
        Some(object) => Ok(object),
        None => Err(ApiError::internal("an object was lost in its conversion")),
    }
}

/// Stored objects of one resource in the version of `resource`, in their order; one question for all that a webhook has
/// to convert.
pub(super) async fn all_served(
    caches: &Caches,
    resource: &'static Resource,
    mut objects: Vec<Arc<Object>>,
) -> Result<Vec<Arc<Object>>, ApiError> {
    if !resource.is_custom() {
        if !api::storage_resource(resource).is(resource) {
            for object in &mut objects {
                *object = convert::from_storage(resource, object.clone())?;
            }
        }
        return Ok(objects);
    }
    let served = caches.catalog().custom_type(resource)?;
    if let Some(webhook) = &served.ty.conversion {
        let foreign: Vec<usize> = (0..objects.len()).filter(|at| !served.is_own(&objects[*at])).collect();
        let asked = foreign.iter().map(|at| objects[*at].value()).collect();
        let converted = caches.converter().convert(webhook, &resource.api_version(), asked, caches).await?;
        for (at, value) in foreign.into_iter().zip(converted) {
            objects[at] = Object::from_value(&value).map(Arc::new).map_err(ApiError::internal)?;
        }
    }
    objects.into_iter().map(|object| served.serve(object)).collect()
}
