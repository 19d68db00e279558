//! `serviceaccounts/token` and TokenReview.

use std::sync::Arc;

use api::resources::{NODES, PODS, SECRETS, SERVICEACCOUNTS};
use apimachinery::{ApiError, FieldError, FieldPath, Object, Reader};
use client::Target;
use serde_json::{Value, json};

use super::{answer, user_value};
use crate::server::ApiServer;
use crate::token::{BoundObject, TokenSpec};

/// The shortest time that a token may be asked for.
const SECONDS_MIN: i64 = 600;
/// The longest, as upstream's validation has it.
const SECONDS_MAX: i64 = 1 << 32;
/// What a request without a time gets.
const SECONDS_DEFAULT: i64 = 3600;

impl ApiServer {
    /// Issues a token for a service account.
    pub(super) fn request_token(&self, target: Target<'_>, body: &mut Value) -> Result<Arc<Object>, ApiError> {
        let account = self
            .caches()
            .get(SERVICEACCOUNTS, target.namespace, target.name)
            .ok_or_else(|| ApiError::not_found("", "serviceaccounts", target.name))?;
        let spec = body["spec"].clone();
        let seconds = spec["expirationSeconds"].as_i64().unwrap_or(SECONDS_DEFAULT);
        let path = FieldPath::new("spec.expirationSeconds");
        let fault = if seconds < SECONDS_MIN {
            Some("may not specify a duration less than 10 minutes")
        } else if seconds > SECONDS_MAX {
            Some("may not specify a duration larger than 2^32 seconds")
        } else {
            None
        };
        if let Some(detail) = fault {
            let faults = [FieldError::invalid(&path, seconds, detail)];
            return Err(ApiError::invalid("authentication.k8s.io", "TokenRequest", target.name, &faults));
        }
        let (mut pod, mut node, mut secret) = (None, None, None);
        let bound = &spec["boundObjectRef"];
        if !bound.is_null() {
            let name = bound["name"].as_str().unwrap_or_default();
            let (resource, namespace) = match bound["kind"].as_str().unwrap_or_default() {
                "Pod" => (PODS, target.namespace),
                "Secret" => (SECRETS, target.namespace),
                "Node" => (NODES, ""),
                other => {
                    return Err(ApiError::bad_request(format!("cannot bind token to object of type {other:?}")));
                }
            };
            let object = self
                .caches()
                .get(resource, namespace, name)
                .ok_or_else(|| ApiError::not_found("", resource.plural, name))?;
            let uid = bound["uid"].as_str().unwrap_or_default();
            if !uid.is_empty() && uid != object.meta().uid {
                let why = format!(
                    "the UID in the bound object reference ({uid}) does not match the UID in record. The object might \
                     have been deleted and then recreated"
                );
                return Err(ApiError::conflict("", resource.plural, name, &why));
            }
            let reference = BoundObject { name: name.to_owned(), uid: object.meta().uid.clone() };
            match resource.plural {
                "pods" => {
                    let value = object.value();
                    if value["spec"]["serviceAccountName"] != target.name {
                        return Err(ApiError::bad_request(format!(
                            "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                            target.name
                        )));
                    }
                    pod = Some(reference);
                    let name = value["spec"]["nodeName"].as_str().unwrap_or_default();
                    node = self
                        .caches()
                        .get(NODES, "", name)
                        .map(|n| BoundObject { name: name.to_owned(), uid: n.meta().uid.clone() });
                }
                "nodes" => node = Some(reference),
                _ => secret = Some(reference),
            }
        }
        let audiences: Vec<String> = spec["audiences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|a| a.as_str().filter(|a| !a.is_empty()).map(str::to_owned))
            .collect();
        let token_spec = TokenSpec {
            namespace: target.namespace,
            account: BoundObject { name: target.name.to_owned(), uid: account.meta().uid.clone() },
            pod,
            node,
            secret,
            audiences: audiences.clone(),
            seconds,
        };
        let now = self.clock().now();
        let authority = self.authenticator().authority();
        let token = authority.issue(&token_spec, now, self.engine().random()).map_err(ApiError::internal)?;
        let expires = now.checked_add(jiff::SignedDuration::from_secs(seconds)).map_err(ApiError::internal)?;
        body["apiVersion"] = json!("authentication.k8s.io/v1");
        body["kind"] = json!("TokenRequest");
        body["metadata"] = json!({"name": target.name, "namespace": target.namespace});
        body["spec"]["expirationSeconds"] = json!(seconds);
        if audiences.is_empty() {
            body["spec"]["audiences"] = json!([authority.issuer()]);
        }
        let expires = apimachinery::metav1_time(expires);
        body["status"] = json!({"token": token, "expirationTimestamp": expires});
        answer(body)
    }

    /// Says whose token it is.
    pub(super) fn review_token(&self, body: &mut Value) -> Result<Arc<Object>, ApiError> {
        let token = body["spec"]["token"].as_str().unwrap_or_default().to_owned();
        let authority = self.authenticator().authority();
        let mut audiences: Vec<String> = body["spec"]["audiences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|a| a.as_str().map(str::to_owned))
            .collect();
        if audiences.is_empty() {
            audiences.push(authority.issuer().to_owned());
        }
        body["status"] = match authority.check(&token, &audiences, self.clock().now(), &**self.caches()) {
            Some((user, shared)) => {
                json!({"authenticated": true, "user": user_value(&user), "audiences": shared})
            }
            None => json!({"user": {}, "error": "invalid bearer token"}),
        };
        if body["metadata"].is_null() {
            body["metadata"] = json!({});
        }
        answer(body)
    }
}
