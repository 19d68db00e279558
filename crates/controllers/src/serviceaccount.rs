//! Every namespace has a service account `default` (upstream: `pkg/controller/serviceaccount`).

use std::sync::Arc;

use api::resources::{NAMESPACES, SERVICEACCOUNTS};
use apimachinery::Reason;
use async_trait::async_trait;
use client::{Change, Client, Informer, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller};
use serde_json::json;

use crate::context::ControllerContext;

const NAME: &str = "service-account-controller";
const DEFAULT: &str = "default";

struct ServiceAccountController {
    client: Client,
    context: ControllerContext,
    namespaces: Informer,
    accounts: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let [namespaces, accounts] = [NAMESPACES, SERVICEACCOUNTS].map(|resource| context.informers.of(resource));
    namespaces.on_change(crate::owner::enqueue(&queue));
    let deleted = queue.clone();
    accounts.on_change(move |change| {
        if let Change::Deleted(account) = change {
            deleted.add(account.meta().namespace.clone());
        }
    });
    let client = context.client(NAME);
    let controller = ServiceAccountController { client, context: context.clone(), namespaces, accounts };
    run_controller(&context.supervisor, &queue, 1, Arc::new(controller));
}

#[async_trait]
impl Reconciler for ServiceAccountController {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, namespace: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let lives = self.namespaces.store().get(namespace).is_some_and(|n| n.meta().deletion_timestamp.is_none());
        if !lives || self.accounts.store().get(&format!("{namespace}/{DEFAULT}")).is_some() {
            return Ok(Outcome::Done);
        }
        let body = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": DEFAULT, "namespace": namespace},
        });
        match self.client.create(SERVICEACCOUNTS, namespace, body).await {
            Err(error) if !matches!(error.reason, Reason::AlreadyExists | Reason::NotFound | Reason::Forbidden) => {
                Err(error.into())
            }
            _ => Ok(Outcome::Done),
        }
    }
}
