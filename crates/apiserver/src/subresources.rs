//! POSTs that store nothing, or something else than they say: reviews, bindings, evictions and tokens.

mod pods;
mod reviews;
mod tokens;

pub(crate) use reviews::user_value;

use std::sync::Arc;

use apimachinery::{ApiError, Object};
use client::Target;
use serde_json::Value;

use crate::engine::RequestContext;
use crate::server::ApiServer;

impl ApiServer {
    /// POSTs to a collection or a subresource.
    pub async fn create(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        mut body: Value,
    ) -> Result<Arc<Object>, ApiError> {
        let resource = target.resource;
        if !resource.stored() {
            self.engine().decode(context, resource, &mut body)?;
        }
        match (resource.group, resource.plural, target.subresource) {
            ("", "pods", "binding") | ("", "bindings", "") => self.bind(context, target, &body).await,
            ("", "pods", "eviction") => self.evict(context, target, &body).await,
            ("", "serviceaccounts", "token") => self.request_token(target, &mut body),
            ("authentication.k8s.io", "tokenreviews", _) => self.review_token(&mut body),
            ("authentication.k8s.io", "selfsubjectreviews", _) => reviews::review_self(context, &mut body),
            ("authorization.k8s.io", "selfsubjectrulesreviews", _) => self.review_rules(context, &mut body),
            ("authorization.k8s.io", _, _) => self.review_access(context, target, &mut body),
            (_, _, "") => self.engine().create(context, target, body).await,
            _ => Err(ApiError::method_not_allowed()),
        }
    }
}

/// A body that is answered and not stored.
fn answer(body: &Value) -> Result<Arc<Object>, ApiError> {
    Object::from_value(body).map(Arc::new).map_err(ApiError::internal)
}
