//! Approves kubelets' client certificates for those who may ask for them.

use std::sync::Arc;

use api::resources::{CERTIFICATESIGNINGREQUESTS, SUBJECTACCESSREVIEWS};
use apimachinery::ApiError;
use async_trait::async_trait;
use client::{Client, Informer, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller};
use serde_json::{Value, json};

use super::plan::{Permission, approvable};
use super::{NAME, add_condition, write};
use crate::context::ControllerContext;
use crate::owner;

struct Approver {
    client: Client,
    requests: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let requests = context.informers.of(CERTIFICATESIGNINGREQUESTS);
    requests.on_change(owner::enqueue(&queue));
    let controller = Approver { client: context.client(NAME), requests };
    run_controller(&context.supervisor, &queue, 1, Arc::new(controller));
}

impl Approver {
    /// Whether who has asked may do so without anybody's approval.
    async fn is_allowed(&self, request: &Value, permission: &Permission) -> Result<bool, ApiError> {
        let spec = &request["spec"];
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {
                "user": spec["username"], "uid": spec["uid"], "groups": spec["groups"], "extra": spec["extra"],
                "resourceAttributes": {
                    "group": CERTIFICATESIGNINGREQUESTS.group, "resource": CERTIFICATESIGNINGREQUESTS.plural,
                    "verb": "create", "subresource": permission.subresource, "version": "*",
                },
            },
        });
        let answer = self.client.create(SUBJECTACCESSREVIEWS, "", review).await?;
        Ok(answer.value()["status"]["allowed"] == true)
    }
}

#[async_trait]
impl Reconciler for Approver {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, name: &str) -> Result<Outcome, ReconcileError> {
        self.requests.synced().await;
        let Some(object) = self.requests.store().get(name) else { return Ok(Outcome::Done) };
        let mut request = object.value();
        for permission in approvable(&request) {
            if !self.is_allowed(&request, &permission).await? {
                continue;
            }
            let condition = json!({
                "type": "Approved", "status": "True", "reason": "AutoApproved", "message": permission.message,
            });
            add_condition(&mut request, condition);
            return write(&self.client, &self.requests, (name, "approval"), request).await;
        }
        Ok(Outcome::Done)
    }
}
