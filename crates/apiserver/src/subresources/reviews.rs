//! SubjectAccessReview and its sisters: asking the authorizer.

use std::sync::Arc;

use apimachinery::{ApiError, Object, UserInfo};
use client::Target;
use serde_json::{Map, Value, json};

use super::answer;
use crate::authorization::Attributes;
use crate::engine::RequestContext;
use crate::server::ApiServer;

/// A user as `authentication.k8s.io/v1 UserInfo`.
pub(crate) fn user_value(user: &UserInfo) -> Value {
    let mut value = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        value["uid"] = json!(user.uid);
    }
    if !user.extra.is_empty() {
        value["extra"] = json!(user.extra);
    }
    value
}

/// Says who asks.
pub(super) fn review_self(context: &RequestContext, body: &mut Value) -> Result<Arc<Object>, ApiError> {
    body["status"] = json!({"userInfo": user_value(&context.user)});
    if body["metadata"].is_null() {
        body["metadata"] = json!({});
    }
    answer(body)
}

impl ApiServer {
    /// Says whether the subject (or the asker) may do something.
    pub(super) fn review_access(
        &self,
        context: &RequestContext,
        target: Target<'_>,
        body: &mut Value,
    ) -> Result<Arc<Object>, ApiError> {
        let spec = &body["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let user = if target.resource.plural == "selfsubjectaccessreviews" {
            (*context.user).clone()
        } else {
            if spec["user"].as_str().is_none_or(str::is_empty) && spec["groups"].as_array().is_none_or(Vec::is_empty) {
                return Err(ApiError::bad_request("spec: at least one of user or group must be specified"));
            }
            UserInfo {
                name: text(&spec["user"]),
                uid: text(&spec["uid"]),
                groups: serde_json::from_value(spec["groups"].clone()).unwrap_or_default(),
                extra: serde_json::from_value(spec["extra"].clone()).unwrap_or_default(),
            }
        };
        let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
        let attributes = match (resource.is_object(), path.is_object()) {
            (true, false) => Attributes {
                verb: text(&resource["verb"]),
                group: text(&resource["group"]),
                version: text(&resource["version"]),
                resource: text(&resource["resource"]),
                subresource: text(&resource["subresource"]),
                namespace: text(&resource["namespace"]),
                name: text(&resource["name"]),
                path: String::new(),
            },
            (false, true) => {
                Attributes { verb: text(&path["verb"]), path: text(&path["path"]), ..Attributes::default() }
            }
            _ => {
                return Err(ApiError::bad_request(
                    "spec: exactly one of nonResourceAttributes or resourceAttributes must be specified",
                ));
            }
        };
        if target.resource.plural == "localsubjectaccessreviews" && attributes.namespace != target.namespace {
            return Err(ApiError::bad_request(format!(
                "spec.resourceAttributes.namespace must match namespace: {}",
                target.namespace
            )));
        }
        let decision = self.authorizer().authorize(&user, &attributes);
        let mut status = Map::new();
        status.insert("allowed".to_owned(), json!(decision.is_allowed()));
        if !decision.reason().is_empty() {
            status.insert("reason".to_owned(), json!(decision.reason()));
        }
        body["status"] = Value::Object(status);
        if body["metadata"].is_null() {
            body["metadata"] = json!({});
        }
        answer(body)
    }

    /// Lists what the asker may do in a namespace.
    pub(super) fn review_rules(&self, context: &RequestContext, body: &mut Value) -> Result<Arc<Object>, ApiError> {
        let namespace = body["spec"]["namespace"].as_str().unwrap_or_default().to_owned();
        if namespace.is_empty() {
            return Err(ApiError::bad_request("no namespace on request"));
        }
        let (mut resources, mut paths) = (Vec::new(), Vec::new());
        for rule in self.authorizer().graph().rules(&context.user, &namespace) {
            if rule.resources.is_empty() {
                paths.push(json!({"verbs": rule.verbs, "nonResourceURLs": rule.non_resource_urls}));
            } else {
                resources.push(json!(rule));
            }
        }
        body["status"] = json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false});
        if body["metadata"].is_null() {
            body["metadata"] = json!({});
        }
        answer(body)
    }
}
