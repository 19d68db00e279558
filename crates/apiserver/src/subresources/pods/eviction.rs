//! Evicting a Pod: its deletion, if its disruption budget allows it
//! (upstream: `pkg/registry/core/pod/storage/eviction.go`).

use std::sync::Arc;

use api::resources::PODDISRUPTIONBUDGETS;
use apimachinery::labels::Selector;
use apimachinery::{ApiError, FieldError, FieldPath, Object, Reason};
use client::{DeleteOptions, ListOptions, Target};
use serde_json::{Value, json};

use super::super::answer;
use super::{budget, set_condition};
use crate::engine::RequestContext;
use crate::http::delete_options;
use crate::server::ApiServer;

/// How often an eviction is tried again that others came in the way of.
const RETRY_MAX: usize = 20;

impl ApiServer {
    /// Deletes a Pod if its disruption budget allows it.
    pub(in super::super) async fn evict(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        eviction: &Value,
    ) -> Result<Arc<Object>, ApiError> {
        let target = Target { subresource: "", ..target };
        if eviction["metadata"]["name"].as_str().unwrap_or_default() != target.name {
            return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
        }
        if eviction["deleteOptions"]["ignoreStoreReadErrorWithClusterBreakingPotential"] == true {
            let path = FieldPath::new("deleteOptions").child("ignoreStoreReadErrorWithClusterBreakingPotential");
            let fault = "can not be set for pod eviction, try after removing the option";
            let faults = [FieldError::invalid(&path, true, fault)];
            return Err(ApiError::invalid("policy", "Eviction", target.name, &faults));
        }
        let options: DeleteOptions = delete_options(&eviction["deleteOptions"])?;
        context.dry_run |= options.dry_run;
        let success = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        let mut tries = 0;
        let pod = loop {
            let pod = self.engine().get(target).await?;
            let value = pod.value();
            let is_deleted = pod.meta().deletion_timestamp.is_some();
            let phase = value["status"]["phase"].as_str().unwrap_or_default();
            if !is_deleted && !matches!(phase, "Succeeded" | "Failed" | "Pending") {
                break pod;
            }
            let mut exact = options.clone();
            // A Pod that waits may become ready at this moment, and then the budget has a say.
            if phase == "Pending" && !is_deleted && options.preconditions.resource_version.is_none() {
                exact.preconditions.resource_version = Some(pod.meta().resource_version);
            }
            match self.mark_and_delete(context, target, exact).await {
                Ok(()) => return answer(&success),
                Err(error) if error.reason == Reason::Conflict && tries < RETRY_MAX => {
                    if options.preconditions.resource_version.is_some() {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
            tries += 1;
        };
        let budgets = self.budgets_of(&pod).await?;
        let mut exact = options.clone();
        let mut unhealthy_under = None;
        match budgets.as_slice() {
            [] => {}
            [one] => {
                if !is_ready(&pod.value()) && budget::ignores_unhealthy(&one.value()) {
                    exact.preconditions.resource_version = Some(pod.meta().resource_version);
                    unhealthy_under = Some(one.meta().name.clone());
                } else {
                    self.spend_budget(context, &pod, &one.meta().name).await?;
                }
            }
            // Upstream gives this as the result, so the request itself succeeds.
            _ => {
                let why =
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                return answer(&json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": why, "code": 500,
                }));
            }
        }
        match (self.mark_and_delete(context, target, exact).await, unhealthy_under) {
            (Ok(()), _) => answer(&success),
            (Err(error), Some(name))
                if error.reason == Reason::Conflict && options.preconditions.resource_version.is_none() =>
            {
                Err(budget::in_work(&name))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Says in the Pod's status why it goes, and deletes it.
    async fn mark_and_delete(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        mut options: DeleteOptions,
    ) -> Result<(), ApiError> {
        if !context.dry_run {
            let now = self.now_text();
            let mark = |current: &Value| -> Result<Value, ApiError> {
                check_preconditions(current, &options)?;
                let mut new = current.clone();
                let condition = json!({
                    "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
                    "message": "Eviction API: evicting", "lastTransitionTime": now,
                });
                set_condition(&mut new, condition);
                Ok(new)
            };
            let marked = self.engine().change_object(context, target.subresource("status"), &mark).await?;
            if let Some(version) = &mut options.preconditions.resource_version {
                *version = marked.meta().resource_version;
            }
        }
        self.engine().delete(context, target, &options).await.map(|_| ())
    }

    async fn budgets_of(&self, pod: &Object) -> Result<Vec<Arc<Object>>, ApiError> {
        let meta = pod.meta();
        let all = Target::collection(PODDISRUPTIONBUDGETS, &meta.namespace);
        let mut budgets = self.engine().list(all, &ListOptions::default()).await?.items;
        budgets.retain(|budget| {
            let selector = Selector::from_label_selector(&budget.value()["spec"]["selector"]);
            selector.is_ok_and(|selector| selector.matches(&meta.labels))
        });
        Ok(budgets)
    }

    async fn spend_budget(&self, context: &mut RequestContext, pod: &Object, name: &str) -> Result<(), ApiError> {
        let meta = pod.meta();
        let target = Target::object(PODDISRUPTIONBUDGETS, &meta.namespace, name).subresource("status");
        let now = self.now_text();
        let spend = |current: &Value| budget::spend(current, &meta.name, &now);
        self.engine().change_object(context, target, &spend).await.map(|_| ())
    }
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn check_preconditions(pod: &Value, options: &DeleteOptions) -> Result<(), ApiError> {
    let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default();
    let conflict = |why: &str| Err(ApiError::conflict("", "Pod", text("name"), why));
    if let Some(uid) = options.preconditions.uid.as_ref().filter(|uid| !uid.is_empty() && *uid != text("uid")) {
        return conflict(&format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted \
             and then recreated",
            text("uid")
        ));
    }
    let version = options.preconditions.resource_version.map(|version| version.to_string());
    if let Some(version) = version.filter(|version| version != text("resourceVersion")) {
        return conflict(&format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). The \
             object might have been modified",
            text("resourceVersion")
        ));
    }
    Ok(())
}
