//! Writes what was decided of a Pod's claims and waits until they are bound: work of the Pod's binding, beside which others
//! are decided on (upstream: `pkg/scheduler/framework/plugins/volumebinding/binder.go`).

use std::sync::Arc;
use std::time::Duration;

use api::resources::{PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES};
use apimachinery::{ApiError, Object};
use client::{Client, Informer, PatchKind};
use component_base::watch;
use parking_lot::Mutex;
use serde_json::json;

use crate::cache::Cache;
use crate::volumes::Reservation;

/// How long a Pod waits for its claims (upstream's `bindTimeoutSeconds`).
const BIND_TIMEOUT: Duration = Duration::from_secs(600);

/// Binds the claims of Pods.
#[derive(Debug, Clone)]
pub(crate) struct VolumeBinder {
    pub(crate) client: Client,
    pub(crate) claims: Informer,
    pub(crate) volumes: Informer,
    pub(crate) pods: Informer,
    pub(crate) cache: Arc<Mutex<Cache>>,
    /// Counts what may matter to those that wait.
    pub(crate) news: Arc<watch::Sender<u64>>,
}

impl VolumeBinder {
    /// Binds what is reserved for `pod` on `node`. `Err` says why the Pod must be decided on again.
    pub(crate) async fn bind(&self, pod: &Object, node: &str, reservation: &Reservation) -> Result<(), String> {
        self.write(reservation).await.map_err(|error| error.to_string())?;
        let waited = tokio::time::timeout(BIND_TIMEOUT, self.bound(pod, node, reservation)).await;
        let bound = waited.unwrap_or_else(|_| Err("context deadline exceeded".to_owned()));
        bound.map_err(|error| format!("binding volumes: {error}"))
    }

    async fn write(&self, reservation: &Reservation) -> Result<(), ApiError> {
        for binding in reservation.bindings.iter().filter(|binding| !binding.written) {
            let (meta, spec) = (&binding.volume.metadata, binding.volume.spec.as_ref());
            let patch = json!({
                "metadata": {"resourceVersion": meta.resource_version, "annotations": meta.annotations},
                "spec": {"claimRef": spec.and_then(|spec| spec.claim_ref.as_ref())},
            });
            let name = meta.name.as_deref().unwrap_or_default();
            let written = self.client.patch(PERSISTENTVOLUMES, "", name, PatchKind::Merge, patch).await?;
            self.volumes.caught_up(written.meta().resource_version).await;
        }
        for claim in &reservation.provisions {
            let meta = &claim.metadata;
            let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref().unwrap_or_default());
            let patch =
                json!({"metadata": {"resourceVersion": meta.resource_version, "annotations": meta.annotations}});
            let namespace = namespace.unwrap_or_default();
            let written = self.client.patch(PERSISTENTVOLUMECLAIMS, namespace, name, PatchKind::Merge, patch).await?;
            self.claims.caught_up(written.meta().resource_version).await;
        }
        Ok(())
    }

    async fn bound(&self, pod: &Object, node: &str, reservation: &Reservation) -> Result<(), String> {
        let mut news = self.news.subscribe();
        loop {
            if self.pods.store().get(&pod.meta().key()).is_none_or(|now| now.meta().uid != pod.meta().uid) {
                return Err(format!("pod does not exist any more: pod {:?} not found", pod.meta().name));
            }
            let bound = {
                let cache = self.cache.lock();
                let found =
                    cache.node(node).ok_or_else(|| format!("failed to get node {node:?}: node {node:?} not found"))?;
                cache.volumes().is_bound(reservation, found)?
            };
            if bound {
                return Ok(());
            }
            if news.changed().await.is_err() {
                return Err("the scheduler ends".to_owned());
            }
        }
    }
}
