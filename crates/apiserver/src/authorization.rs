//! Who may do what: `system:masters` everything, nodes what their Pods need, everybody else what RBAC grants
//! (upstream: `plugin/pkg/auth/authorizer`).

mod node;
pub(crate) mod rbac;

use std::sync::Arc;

use apimachinery::{ApiError, Object, Reader, Resource, UserInfo, Wish};
use parking_lot::RwLock;

use crate::cache::Caches;

/// What a request wants to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or the lower-case HTTP method for a path
    /// that is not a resource.
    pub verb: String,
    /// The API group.
    pub group: String,
    /// The API version.
    pub version: String,
    /// The resource; empty for other paths.
    pub resource: String,
    /// The subresource.
    pub subresource: String,
    /// The namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The path of a request that is not about a resource.
    pub path: String,
}

/// An authorizer's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes, because.
    Allow(String),
    /// Nobody says yes; what they say instead.
    NoOpinion(String),
}

impl Decision {
    /// Whether the answer is yes.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// The reason.
    pub fn reason(&self) -> &str {
        match self {
            Self::Allow(reason) | Self::NoOpinion(reason) => reason,
        }
    }
}

/// Decides by what the cache holds.
#[derive(Debug)]
pub struct Authorizer {
    caches: Arc<Caches>,
    /// The RBAC graph, with the revisions of its four resources when it was built.
    graph: RwLock<(rbac::Revisions, Arc<rbac::Graph>)>,
}

impl Authorizer {
    /// An authorizer over `caches`.
    pub fn new(caches: Arc<Caches>) -> Self {
        let revisions = rbac::revisions(&caches);
        let graph = Arc::new(rbac::Graph::build(&*caches));
        Self { caches, graph: RwLock::new((revisions, graph)) }
    }

    /// Whether `user` may do what `attributes` say.
    pub fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Decision {
        if user.in_group("system:masters") {
            return Decision::Allow(String::new());
        }
        if let Some(decision) = node::authorize(user, attributes, &*self.caches) {
            return decision;
        }
        match self.graph().grants(user, attributes) {
            Some(why) => Decision::Allow(why),
            None => Decision::NoOpinion(String::new()),
        }
    }

    /// Fails with upstream's words if `user` may not.
    pub fn check(&self, user: &UserInfo, attributes: &Attributes) -> Result<(), ApiError> {
        match self.authorize(user, attributes) {
            Decision::Allow(_) => Ok(()),
            Decision::NoOpinion(reason) => Err(refusal(user, attributes, &reason)),
        }
    }

    /// The current graph, built anew if a role or binding has changed since.
    pub(crate) fn graph(&self) -> Arc<rbac::Graph> {
        let revisions = rbac::revisions(&self.caches);
        {
            let graph = self.graph.read();
            if graph.0 == revisions {
                return graph.1.clone();
            }
        }
        let built = Arc::new(rbac::Graph::build(&*self.caches));
        *self.graph.write() = (revisions, built.clone());
        built
    }
}

/// What plugins know of the world: the objects of the cache, and who may do what.
impl Reader for Authorizer {
    fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.caches.get(resource, namespace, name)
    }

    fn list(&self, resource: &'static Resource, namespace: &str) -> Vec<Arc<Object>> {
        self.caches.list(resource, namespace)
    }

    fn allows(&self, user: &UserInfo, wish: &Wish<'_>) -> bool {
        let Wish { verb, group, resource, namespace, name } = wish;
        let attributes = Attributes {
            verb: (*verb).to_owned(),
            group: (*group).to_owned(),
            version: "*".to_owned(),
            resource: (*resource).to_owned(),
            namespace: (*namespace).to_owned(),
            name: (*name).to_owned(),
            ..Attributes::default()
        };
        self.authorize(user, &attributes).is_allowed()
    }
}

/// `pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "default"`.
fn refusal(user: &UserInfo, attributes: &Attributes, reason: &str) -> ApiError {
    let who = format!("User {:?} cannot", user.name);
    let mut why = if attributes.resource.is_empty() {
        format!("{who} {} path {:?}", attributes.verb, attributes.path)
    } else {
        let resource = match attributes.subresource.as_str() {
            "" => attributes.resource.clone(),
            subresource => format!("{}/{subresource}", attributes.resource),
        };
        let place = match attributes.namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        format!("{who} {} resource {resource:?} in API group {:?} {place}", attributes.verb, attributes.group)
    };
    if !reason.is_empty() {
        why = format!("{why}: {reason}");
    }
    ApiError::forbidden(&attributes.group, &attributes.resource, &attributes.name, &why)
}

#[cfg(test)]
mod tests;
