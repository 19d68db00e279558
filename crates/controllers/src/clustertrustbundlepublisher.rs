//! Publishes the CA that has signed the API server's certificate as a ClusterTrustBundle, for Pods to mount
//! (upstream: `pkg/controller/certificates/clustertrustbundlepublisher`).

mod plan;

use std::sync::Arc;

use api::resources::CLUSTERTRUSTBUNDLES;
use apimachinery::Reason;
use async_trait::async_trait;
use client::{Client, DeleteOptions, Informer, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller};
use serde_json::json;

use crate::context::ControllerContext;
use plan::{Plan, SIGNER, bundle_name, plan};

const NAME: &str = "kube-apiserver-serving-clustertrustbundle-publisher";

struct Publisher {
    client: Client,
    context: ControllerContext,
    bundles: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    if registry::pem::blocks(&context.root_ca).is_empty() {
        // Who has no CA has nothing to publish.
        return;
    }
    let queue = WorkQueue::new();
    // Its role lets it see no others.
    let bundles = context.informers.selected(CLUSTERTRUSTBUNDLES, &format!("spec.signerName={SIGNER}"));
    let changed = queue.clone();
    bundles.on_change(move |_| changed.add(SIGNER.to_owned()));
    queue.add(SIGNER.to_owned());
    let controller = Publisher { client: context.client(NAME), context: context.clone(), bundles };
    run_controller(&context.supervisor, &queue, 1, Arc::new(controller));
}

#[async_trait]
impl Reconciler for Publisher {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, _signer: &str) -> Result<Outcome, ReconcileError> {
        self.bundles.synced().await;
        let authority = &*self.context.root_ca;
        let observed: Vec<_> = self.bundles.store().list().iter().map(|bundle| bundle.value()).collect();
        let Plan { create, update, delete } = plan(&observed, authority);
        let name = bundle_name(authority);
        let written = if create {
            let bundle = json!({
                "apiVersion": "certificates.k8s.io/v1", "kind": "ClusterTrustBundle",
                "metadata": {"name": name}, "spec": {"signerName": SIGNER, "trustBundle": authority},
            });
            self.client.create(CLUSTERTRUSTBUNDLES, "", bundle).await.map(Some)
        } else if let Some(bundle) = update {
            self.client.update(CLUSTERTRUSTBUNDLES, "", &name, bundle).await.map(Some)
        } else {
            Ok(None)
        };
        match written {
            Ok(Some(object)) => self.bundles.caught_up(object.meta().resource_version).await,
            Ok(None) => {}
            Err(error) if matches!(error.reason, Reason::Conflict | Reason::AlreadyExists) => {
                return Ok(Outcome::Retry);
            }
            Err(error) => return Err(error.into()),
        }
        for old in delete {
            match self.client.delete(CLUSTERTRUSTBUNDLES, "", &old, &DeleteOptions::default()).await {
                Ok(revision) => self.bundles.caught_up(revision).await,
                Err(error) if error.reason == Reason::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Outcome::Done)
    }
}
