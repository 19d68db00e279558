//! The in-process transport: no sockets, no TLS, no encoding, but the same authorisation and admission as over the
//! network. The identity is fixed when the transport is made, by whoever composes the process, so a component can't
//! forge another's.

use std::sync::Arc;

use apimachinery::labels::FieldSelector;
use apimachinery::names::path_segment;
use apimachinery::{ApiError, Object, UserInfo};
use async_trait::async_trait;
use client::{DeleteOptions, ListOptions, ObjectList, PatchKind, Target, Transport, WatchStream, WriteOptions};
use serde_json::Value;

use crate::authorization::Attributes;
use crate::engine::RequestContext;
use crate::server::ApiServer;

/// The API as `user` sees it, in this process.
#[derive(Debug, Clone)]
pub struct LocalTransport {
    server: Arc<ApiServer>,
    user: Arc<UserInfo>,
}

impl LocalTransport {
    /// A transport that speaks as `user`.
    pub fn new(server: Arc<ApiServer>, user: UserInfo) -> Self {
        Self { server, user: Arc::new(user) }
    }

    fn authorize(&self, verb: &str, target: Target<'_>) -> Result<(), ApiError> {
        self.server.authorizer().check(&self.user, &attributes(verb, target))
    }

    /// The same for a list or watch, which may be of one object.
    fn authorize_many(&self, verb: &str, target: Target<'_>, options: &ListOptions) -> Result<(), ApiError> {
        let mut attributes = attributes(verb, target);
        attributes.name = selected_name(&options.field_selector).unwrap_or_default();
        self.server.authorizer().check(&self.user, &attributes)
    }

    /// What upstream's component of this identity calls itself.
    fn field_manager(&self) -> &'static str {
        let name = self.user.name.as_str();
        match name {
            "system:kube-scheduler" => "kube-scheduler",
            _ if name.starts_with("system:serviceaccount:kube-system:") => "kube-controller-manager",
            _ if name.starts_with("system:node:") => "kubelet",
            _ => "kube-apiserver",
        }
    }

    fn context(&self, dry_run: bool) -> RequestContext {
        let field_manager = self.field_manager().to_owned();
        RequestContext { dry_run, field_manager, ..RequestContext::of(self.user.clone()) }
    }
}

/// The name of the one object that a list or watch lets through: whoever may read only that one may list it so
/// (upstream: `apiserver/pkg/endpoints/request/requestinfo.go`).
pub(crate) fn selected_name(field_selector: &str) -> Option<String> {
    let selector = FieldSelector::parse(field_selector).ok()?;
    selector.required("metadata.name").filter(|name| path_segment(name).is_empty()).map(str::to_owned)
}

/// What a request on `target` asks the authorizer.
pub(crate) fn attributes(verb: &str, target: Target<'_>) -> Attributes {
    // A Namespace is its own namespace to RBAC, as upstream's request info has it.
    let namespace = if target.resource.plural == "namespaces" && target.resource.group.is_empty() {
        target.name
    } else {
        target.namespace
    };
    Attributes {
        verb: verb.to_owned(),
        group: target.resource.group.to_owned(),
        version: target.resource.version.to_owned(),
        resource: target.resource.plural.to_owned(),
        subresource: target.subresource.to_owned(),
        namespace: namespace.to_owned(),
        name: target.name.to_owned(),
        path: String::new(),
    }
}

#[async_trait]
impl Transport for LocalTransport {
    async fn get(&self, target: Target<'_>) -> Result<Arc<Object>, ApiError> {
        self.authorize("get", target)?;
        self.server.engine().get(target).await
    }

    async fn list(&self, target: Target<'_>, options: &ListOptions) -> Result<ObjectList, ApiError> {
        self.authorize_many("list", target, options)?;
        self.server.engine().list(target, options).await
    }

    async fn watch(&self, target: Target<'_>, options: &ListOptions) -> Result<WatchStream, ApiError> {
        self.authorize_many("watch", target, options)?;
        self.server.engine().watch(target, options).await
    }

    async fn create(&self, target: Target<'_>, body: Value, options: &WriteOptions) -> Result<Arc<Object>, ApiError> {
        self.authorize("create", target)?;
        self.server.create(&mut self.context(options.dry_run), target, body).await
    }

    async fn update(&self, target: Target<'_>, body: Value, options: &WriteOptions) -> Result<Arc<Object>, ApiError> {
        self.authorize("update", target)?;
        Ok(self.server.engine().update(&mut self.context(options.dry_run), target, body).await?.0)
    }

    async fn patch(
        &self,
        target: Target<'_>,
        kind: PatchKind,
        patch: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Object>, ApiError> {
        self.authorize("patch", target)?;
        self.server.engine().patch(&mut self.context(options.dry_run), target, kind, &patch).await
    }

    async fn delete(&self, target: Target<'_>, options: &DeleteOptions) -> Result<u64, ApiError> {
        self.authorize("delete", target)?;
        let deleted = self.server.engine().delete(&mut self.context(options.dry_run), target, options).await?;
        Ok(deleted.object.meta().resource_version)
    }

    async fn delete_collection(
        &self,
        target: Target<'_>,
        options: &DeleteOptions,
        selection: &ListOptions,
    ) -> Result<(), ApiError> {
        self.authorize("deletecollection", target)?;
        let context = &mut self.context(options.dry_run);
        self.server.engine().delete_collection(context, target, options, selection).await.map(|_| ())
    }
}
