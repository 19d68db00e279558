//! The generic engine: get, list, watch, create, update, patch and delete for every kind, over the datastore and the
//! watch cache. It knows no kinds: what is special about one are its rules.

mod apply;
mod charge;
mod convert;
mod delete;
mod list;
mod metadata;
mod patch;
mod scale;
mod versions;
mod watch;
mod write;

use std::sync::Arc;

use apimachinery::{Admission, ApiError, Object, Reader, RemoteAdmission, Resource, UserInfo};
use client::Target;
use component_base::{Clock, Random};
use datastore::Datastore;
use serde_json::Value;

pub use apply::Configuration;
pub use delete::Deleted;
pub use list::Selection;

use crate::authorization::Authorizer;
use crate::cache::Caches;
use crate::catalog::KindRules;
use crate::service_network::ServiceNetwork;

/// How unknown and duplicate fields of a body are treated (`fieldValidation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// They are dropped silently.
    Ignore,
    /// They are dropped with a `Warning` header each.
    #[default]
    Warn,
    /// The request fails.
    Strict,
}

/// One request's circumstances.
#[derive(Debug)]
pub struct RequestContext {
    /// Who asks.
    pub user: Arc<UserInfo>,
    /// Do everything but the commit.
    pub dry_run: bool,
    /// How to treat unknown fields.
    pub field_validation: FieldValidation,
    /// Whose the fields are that this write sets; empty if nobody says.
    pub field_manager: String,
    /// Whether the write is an apply, which says itself who owns what.
    pub(crate) applies: bool,
    /// Sentences of the fields that the body has twice, until it is decoded.
    pub duplicates: Vec<String>,
    /// Sentences for the `Warning` header.
    pub warnings: Vec<String>,
}

impl RequestContext {
    /// A request of `user` with the defaults of a component: no dry run, unknown fields ignored.
    pub fn of(user: Arc<UserInfo>) -> Self {
        Self {
            user,
            dry_run: false,
            field_validation: FieldValidation::Ignore,
            field_manager: String::new(),
            applies: false,
            duplicates: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// What the engine is made of.
#[derive(Debug)]
pub struct Engine {
    pub(crate) datastore: Arc<dyn Datastore>,
    pub(crate) caches: Arc<Caches>,
    pub(crate) authorizer: Authorizer,
    pub(crate) admission: Vec<Box<dyn Admission>>,
    pub(crate) remote_admission: Arc<dyn RemoteAdmission>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<Random>,
    pub(crate) service_network: ServiceNetwork,
}

impl Engine {
    /// An engine over `datastore`, whose content `caches` holds.
    pub fn new(
        datastore: Arc<dyn Datastore>,
        caches: Arc<Caches>,
        admission: Vec<Box<dyn Admission>>,
        remote_admission: Arc<dyn RemoteAdmission>,
        clock: Arc<dyn Clock>,
        random: Arc<Random>,
        service_network: ServiceNetwork,
    ) -> Self {
        let authorizer = Authorizer::new(caches.clone());
        Self { datastore, caches, authorizer, admission, remote_admission, clock, random, service_network }
    }

    /// The watch cache.
    pub fn caches(&self) -> &Arc<Caches> {
        &self.caches
    }

    /// The randomness of generated names.
    pub(crate) fn random(&self) -> &Random {
        &self.random
    }

    /// Reads an object in the version that the target names.
    pub async fn get(&self, target: Target<'_>) -> Result<Arc<Object>, ApiError> {
        let object = self.served(target.resource, self.stored(target)?).await?;
        if target.subresource == "scale" {
            return scale::read(target.resource, &self.rules(target.resource)?, &object);
        }
        Ok(object)
    }

    /// The rules of a resource's kind.
    pub(crate) fn rules(&self, resource: &'static Resource) -> Result<KindRules, ApiError> {
        self.caches.catalog().rules(resource)
    }

    /// Changes an object in its storage version as `change` says, with the whole write path; see [`Engine::update`].
    pub(crate) async fn change_object(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        change: write::Change<'_>,
    ) -> Result<Arc<Object>, ApiError> {
        self.change(context, target, change).await
    }

    /// Reads an object in its storage version.
    fn stored(&self, target: Target<'_>) -> Result<Arc<Object>, ApiError> {
        self.caches
            .get(target.resource, target.namespace, target.name)
            .ok_or_else(|| ApiError::not_found(target.resource.group, target.resource.plural, target.name))
    }
}

/// The key in the datastore.
pub(crate) fn key(resource: &Resource, namespace: &str, name: &str) -> Arc<str> {
    let prefix = api::storage_prefix(resource);
    let root = crate::cache::ROOT;
    if namespace.is_empty() { format!("{root}{prefix}/{name}") } else { format!("{root}{prefix}/{namespace}/{name}") }
        .into()
}

/// A text field of metadata; empty if it is absent.
pub(crate) fn meta_text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// An object that was just written, without waiting for the cache to hold it.
pub(crate) fn written(stored: &[u8], revision: u64) -> Result<Arc<Object>, ApiError> {
    Object::from_stored(stored, revision).map(Arc::new).map_err(ApiError::internal)
}
