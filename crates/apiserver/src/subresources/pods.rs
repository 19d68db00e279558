//! Binding a Pod to a node (upstream: `pkg/registry/core/pod/storage`).

mod budget;
mod eviction;

use std::sync::Arc;

use api::resources::PODS;
use apimachinery::{ApiError, Object};
use client::Target;
use serde_json::{Value, json};

use super::answer;
use crate::engine::RequestContext;
use crate::server::ApiServer;

impl ApiServer {
    /// Gives a Pod its node. The scheduler's only write to a Pod's spec.
    pub(super) async fn bind(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        binding: &Value,
    ) -> Result<Arc<Object>, ApiError> {
        let named = binding["metadata"]["name"].as_str().unwrap_or_default();
        let name = if target.name.is_empty() { named } else { target.name };
        let node = binding["target"]["name"].as_str().unwrap_or_default();
        let kind = binding["target"]["kind"].as_str().unwrap_or_default();
        if name != named && !named.is_empty() {
            return Err(ApiError::bad_request("name in URL does not match name in Binding object"));
        }
        if node.is_empty() || !(kind.is_empty() || kind == "Node" || kind == "Minion") {
            return Err(ApiError::bad_request("the binding's target must be a Node with a name"));
        }
        let pod = Target { resource: PODS, namespace: target.namespace, name, subresource: "binding" };
        let now = self.now_text();
        let uid = binding["metadata"]["uid"].as_str().unwrap_or_default();
        let bound = |current: &Value| -> Result<Value, ApiError> {
            let refuse = |why: String| Err(ApiError::conflict("", "pods/binding", name, &why));
            if !uid.is_empty() && current["metadata"]["uid"] != uid {
                return refuse(format!("Precondition failed: UID in precondition: {uid}"));
            }
            if current["metadata"]["deletionTimestamp"].is_string() {
                return refuse(format!("pod {name} is being deleted, cannot be assigned to a host"));
            }
            if let Some(assigned) = current["spec"]["nodeName"].as_str().filter(|n| !n.is_empty()) {
                return refuse(format!("pod {name} is already assigned to node {assigned:?}"));
            }
            if current["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
                return refuse(format!("pod {name} has non-empty .spec.schedulingGates"));
            }
            let mut new = current.clone();
            new["spec"]["nodeName"] = json!(node);
            if let Some(status) = new["status"].as_object_mut() {
                // Where it was to run says nothing any more.
                status.remove("nominatedNodeName");
            }
            for field in ["annotations", "labels"] {
                for (key, value) in binding["metadata"][field].as_object().into_iter().flatten() {
                    new["metadata"][field][key] = value.clone();
                }
            }
            set_condition(&mut new, json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": now}));
            Ok(new)
        };
        self.engine().change_object(context, pod, &bound).await?;
        answer(&json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
    }
}

/// Sets a condition of its type; the transition time moves only if the status does.
fn set_condition(object: &mut Value, mut condition: Value) {
    let conditions = &mut object["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    if let Some(list) = conditions.as_array_mut() {
        match list.iter_mut().find(|c| c["type"] == condition["type"]) {
            Some(existing) => {
                if existing["status"] == condition["status"] {
                    condition["lastTransitionTime"] = existing["lastTransitionTime"].take();
                }
                *existing = condition;
            }
            None => list.push(condition),
        }
    }
}
