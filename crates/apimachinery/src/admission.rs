//! The contract between the API server's write path and admission plugins (upstream: `apiserver/pkg/admission`).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use crate::{ApiError, Object, Resource};

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserInfo {
    /// The user's name.
    pub name: String,
    /// The user's uid; often empty.
    pub uid: String,
    /// The groups that the user is in.
    pub groups: Vec<String>,
    /// What the authenticator adds, such as the Pod that a token is bound to.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A user in `groups` and in `system:authenticated`.
    pub fn new(name: impl Into<String>, groups: &[&str]) -> Self {
        let groups = groups.iter().copied().chain(["system:authenticated"]).map(str::to_owned).collect();
        Self { name: name.into(), groups, ..Self::default() }
    }

    /// The service account `name` of `namespace`.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let all = format!("system:serviceaccounts:{namespace}");
        Self::new(format!("system:serviceaccount:{namespace}:{name}"), &["system:serviceaccounts", &all])
    }

    /// Whether the user is in `group`.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }
}

/// What a write does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are upstream's")]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// A write on its way to the datastore.
#[derive(Debug)]
pub struct AdmissionRequest<'a> {
    /// What it does.
    pub operation: Operation,
    /// The resource.
    pub resource: &'static Resource,
    /// `status`, `scale` …; empty for the object itself.
    pub subresource: &'a str,
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: &'a str,
    /// The object's name; empty while a generated one is not made yet.
    pub name: &'a str,
    /// The new object; null for a deletion.
    pub object: &'a mut Value,
    /// The old object; `None` for a creation.
    pub old: Option<&'a Value>,
    /// Who asks.
    pub user: &'a UserInfo,
    /// Wall time of the request.
    pub now: Timestamp,
    /// Whether nothing will be committed.
    pub dry_run: bool,
    /// Sentences for the `Warning` header.
    pub warnings: &'a mut Vec<String>,
}

/// Reads the newest objects, for plugins.
pub trait Reader: Send + Sync {
    /// The object, if it exists.
    fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Arc<Object>>;
    /// All objects of a namespace (or of the cluster, if `namespace` is empty).
    fn list(&self, resource: &'static Resource, namespace: &str) -> Vec<Arc<Object>>;
    /// Whether `user` may do that, by the server's authorizers. Who has none says no.
    fn allows(&self, _user: &UserInfo, _wish: &Wish<'_>) -> bool {
        false
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish<'a> {
    /// The verb, such as `sign`.
    pub verb: &'a str,
    /// The API group.
    pub group: &'a str,
    /// The resource, which need not be one that is stored.
    pub resource: &'a str,
    /// The namespace; empty for the cluster as a whole.
    pub namespace: &'a str,
    /// The object's name.
    pub name: &'a str,
}

/// What a write takes from another object, as from a quota.
#[derive(Debug, Clone)]
pub struct Charge {
    /// The other object's resource.
    pub resource: &'static Resource,
    /// The other object as it is.
    pub current: Arc<Object>,
    /// As the write leaves it.
    pub charged: Value,
}

/// A plugin that may change or refuse writes. Pure but for what it reads.
pub trait Admission: Send + Sync + std::fmt::Debug {
    /// Upstream's name of the plugin.
    fn name(&self) -> &'static str;

    /// Changes the object, or refuses it.
    fn admit(&self, _request: &mut AdmissionRequest<'_>, _reader: &dyn Reader) -> Result<(), ApiError> {
        Ok(())
    }

    /// Refuses the final object, or warns of it; changes nothing. Runs after all plugins' [`Admission::admit`].
    fn validate(&self, _request: &mut AdmissionRequest<'_>, _reader: &dyn Reader) -> Result<(), ApiError> {
        Ok(())
    }

    /// What the final object takes from other objects, or why there is not enough. Runs after all plugins'
    /// [`Admission::validate`]. The server commits the charges before the object, and asks again if somebody else was
    /// faster.
    fn charge(&self, _request: &AdmissionRequest<'_>, _reader: &dyn Reader) -> Result<Vec<Charge>, ApiError> {
        Ok(Vec::new())
    }
}

/// Others that are asked over the network, after the plugins: webhooks.
#[async_trait]
pub trait RemoteAdmission: Send + Sync + std::fmt::Debug {
    /// Changes the object, or refuses it. True if it was changed.
    async fn admit(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<bool, ApiError>;

    /// Refuses the final object.
    async fn validate(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError>;
}
