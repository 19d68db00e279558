//! Every namespace has the cluster's CA in the ConfigMap `kube-root-ca.crt`, for Pods to check the API server by
//! (upstream: `pkg/controller/certificates/rootcacertpublisher`).

use std::sync::Arc;

use api::resources::{CONFIGMAPS, NAMESPACES};
use apimachinery::Reason;
use async_trait::async_trait;
use client::{Client, Informer, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller};
use serde_json::{Value, json};

use crate::context::ControllerContext;

const NAME: &str = "root-ca-cert-publisher";
const CONFIG_MAP: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

struct Publisher {
    client: Client,
    context: ControllerContext,
    namespaces: Informer,
    config_maps: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let [namespaces, config_maps] = [NAMESPACES, CONFIGMAPS].map(|resource| context.informers.of(resource));
    namespaces.on_change(crate::owner::enqueue(&queue));
    let changed = queue.clone();
    config_maps.on_change(move |change| {
        if change.object().meta().name == CONFIG_MAP {
            changed.add(change.object().meta().namespace.clone());
        }
    });
    let controller = Publisher { client: context.client(NAME), context: context.clone(), namespaces, config_maps };
    run_controller(&context.supervisor, &queue, 1, Arc::new(controller));
}

#[async_trait]
impl Reconciler for Publisher {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, namespace: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let lives = self.namespaces.store().get(namespace).is_some_and(|n| n.meta().deletion_timestamp.is_none());
        if !lives {
            return Ok(Outcome::Done);
        }
        let current = self.config_maps.store().get(&format!("{namespace}/{CONFIG_MAP}"));
        let mut body = match &current {
            Some(object) => object.value(),
            None => json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {
                    "name": CONFIG_MAP, "namespace": namespace, "annotations": {"kubernetes.io/description": DESCRIPTION},
                },
            }),
        };
        let wanted: Value = json!({"ca.crt": &*self.context.root_ca});
        if body["data"] == wanted {
            return Ok(Outcome::Done);
        }
        body["data"] = wanted;
        let written = match current {
            Some(_) => self.client.update(CONFIGMAPS, namespace, CONFIG_MAP, body).await,
            None => self.client.create(CONFIGMAPS, namespace, body).await,
        };
        match written {
            Err(error) if error.reason == Reason::Conflict => Ok(Outcome::Retry),
            Err(error) if !matches!(error.reason, Reason::AlreadyExists | Reason::NotFound | Reason::Forbidden) => {
                Err(error.into())
            }
            _ => Ok(Outcome::Done),
        }
    }
}
