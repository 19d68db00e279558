//! The ConfigMap by which API servers behind this one know its users: `kube-system/extension-apiserver-authentication`
//! (upstream: `pkg/controlplane/controller/clusterauthenticationtrust`, in the API server's process and under its name).

mod plan;

use std::sync::Arc;

use api::resources::CONFIGMAPS;
use apimachinery::Reason;
use async_trait::async_trait;
use client::{Client, Informer, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller};
use serde_json::json;

use crate::context::ControllerContext;
use plan::{Trust, data};

const NAME: &str = "cluster-authentication-info-controller";
const NAMESPACE: &str = "kube-system";
const CONFIG_MAP: &str = "extension-apiserver-authentication";

struct Publisher {
    client: Client,
    context: ControllerContext,
    config_maps: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let config_maps = context.informers.of(CONFIGMAPS);
    let key = format!("{NAMESPACE}/{CONFIG_MAP}");
    queue.add(key.clone());
    let changed = queue.clone();
    config_maps.on_change(move |change| {
        if change.object().meta().key() == key {
            changed.add(key.clone());
        }
    });
    let controller = Publisher { client: context.apiserver.clone(), context: context.clone(), config_maps };
    run_controller(&context.supervisor, &queue, 1, Arc::new(controller));
}

#[async_trait]
impl Reconciler for Publisher {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.config_maps.synced().await;
        let current = self.config_maps.store().get(key);
        let mut body = match &current {
            Some(object) => object.value(),
            None => json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG_MAP, "namespace": NAMESPACE},
            }),
        };
        let trust = Trust { client_ca: &self.context.root_ca, front_proxy_ca: &self.context.front_proxy_ca };
        let wanted = data(&body["data"], &trust);
        if body["data"] == wanted {
            return Ok(Outcome::Done);
        }
        body["data"] = wanted;
        let written = match current {
            Some(_) => self.client.update(CONFIGMAPS, NAMESPACE, CONFIG_MAP, body).await,
            None => self.client.create(CONFIGMAPS, NAMESPACE, body).await,
        };
        match written {
            Ok(written) => {
                self.config_maps.caught_up(written.meta().resource_version).await;
                Ok(Outcome::Done)
            }
            Err(error) if matches!(error.reason, Reason::Conflict | Reason::AlreadyExists | Reason::NotFound) => {
                Ok(Outcome::Retry)
            }
            Err(error) => Err(error.into()),
        }
    }
}
