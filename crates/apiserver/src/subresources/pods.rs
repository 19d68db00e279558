//! Binding a Pod to a node and evicting it (upstream: `pkg/registry/core/pod/storage`).

use std::sync::Arc;

use api::resources::{PODDISRUPTIONBUDGETS, PODS};
use apimachinery::labels::Selector;
use apimachinery::{ApiError, Object, Reader};
use client::{DeleteOptions, Target};
use serde_json::{Value, json};

use super::answer;
use crate::engine::RequestContext;
use crate::http::delete_options;
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

    /// Deletes a Pod if its disruption budget allows it.
    pub(super) async fn evict(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        eviction: &Value,
    ) -> Result<Arc<Object>, ApiError> {
        let pod = self.engine().get(Target { subresource: "", ..target })?;
        let value = pod.value();
        let finished = matches!(value["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Pending"));
        let deleting = pod.meta().deletion_timestamp.is_some();
        if !finished && !deleting {
            self.spend_budget(context, &pod, &value).await?;
        }
        let options: DeleteOptions = delete_options(&eviction["deleteOptions"])?;
        self.engine().delete(context, Target { subresource: "", ..target }, &options).await?;
        answer(&json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
    }

    async fn spend_budget(&self, context: &mut RequestContext, pod: &Object, value: &Value) -> Result<(), ApiError> {
        let meta = pod.meta();
        let budgets: Vec<Arc<Object>> = self
            .caches()
            .list(PODDISRUPTIONBUDGETS, &meta.namespace)
            .into_iter()
            .filter(|budget| {
                Selector::from_label_selector(&budget.value()["spec"]["selector"])
                    .is_ok_and(|selector| selector.matches(&meta.labels))
            })
            .collect();
        let [budget] = budgets.as_slice() else {
            return match budgets.len() {
                0 => Ok(()),
                _ => Err(ApiError::internal(
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                )),
            };
        };
        let ready = value["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|c| c["type"] == "Ready" && c["status"] == "True");
        let budget_value = budget.value();
        let policy = budget_value["spec"]["unhealthyPodEvictionPolicy"].as_str().unwrap_or("IfHealthyBudget");
        let healthy = budget_value["status"]["currentHealthy"].as_i64().unwrap_or(0);
        let desired = budget_value["status"]["desiredHealthy"].as_i64().unwrap_or(0);
        if !ready && (policy == "AlwaysAllow" || (healthy >= desired && desired > 0)) {
            return Ok(());
        }
        let target = Target::object(PODDISRUPTIONBUDGETS, &meta.namespace, &budget.meta().name).subresource("status");
        let now = self.now_text();
        let spend = |current: &Value| -> Result<Value, ApiError> {
            let allowed = current["status"]["disruptionsAllowed"].as_i64().unwrap_or(0);
            let observed = current["status"]["observedGeneration"].as_i64().unwrap_or(0);
            if observed < current["metadata"]["generation"].as_i64().unwrap_or(0) {
                return Err(ApiError::too_many_requests(
                    "Cannot evict pod as the disruption budget's status is not yet up to date",
                    10,
                ));
            }
            if allowed < 1 {
                let mut error =
                    ApiError::too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.", 0);
                error.causes = vec![apimachinery::Cause {
                    reason: "DisruptionBudget".to_owned(),
                    message: format!(
                        "The disruption budget {} needs {desired} healthy pods and has {healthy} currently",
                        budget.meta().name
                    ),
                    field: String::new(),
                }];
                return Err(error);
            }
            let mut new = current.clone();
            new["status"]["disruptionsAllowed"] = json!(allowed - 1);
            new["status"]["disruptedPods"][&meta.name] = json!(now);
            Ok(new)
        };
        self.engine().change_object(context, target, &spend).await.map(|_| ())
    }
}

/// Sets a condition of its type; the transition time moves only if the status does.
fn set_condition(object: &mut Value, condition: Value) {
    let conditions = &mut object["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    if let Some(list) = conditions.as_array_mut() {
        match list.iter_mut().find(|c| c["type"] == condition["type"]) {
            Some(existing) if existing["status"] == condition["status"] => {}
            Some(existing) => *existing = condition,
            None => list.push(condition),
        }
    }
}
