//! Reads the claims of a Pod and their volumes, and waits for those that can't be used yet.

use std::sync::Arc;

use api::resources::{PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES};
use apimachinery::ApiError;
use client::ListOptions;
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Volume};
use registry::volumes::{claim_name, volume_of};

use super::check::{Used, check_claim, check_use, check_volume};
use super::{Claimed, ClaimedVolume, Unusable};
use crate::containers::{FOLLOWED_RETRY, PodHands, SETUP_RETRY};
use crate::names;

impl PodHands {
    /// Reads the claims that containers of the Pod use, and their volumes.
    pub(crate) async fn claimed(&self) -> Claimed {
        let mut claimed = Claimed::new();
        for volume in self.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            let used = Used::of(&self.pod, &volume.name);
            if let Some((name, is_ephemeral)) = claim_name(&self.pod, volume)
                && (used.mounted || used.as_device)
            {
                claimed.insert(volume.name.clone(), self.volume_of(volume, &name, is_ephemeral, used).await);
            }
        }
        claimed
    }

    async fn volume_of(
        &self,
        volume: &Volume,
        name: &str,
        is_ephemeral: bool,
        used: Used,
    ) -> Result<ClaimedVolume, Unusable> {
        let (client, namespace) = (&self.shared.client, names::namespace(&self.pod));
        let failed = |why: String| format!("error processing PVC {namespace}/{name}: {why}");
        let waits = |why: String, version: Option<u64>| Unusable { why, claim: Some((name.to_owned(), version)) };
        let object = client.get(PERSISTENTVOLUMECLAIMS, namespace, name).await;
        let object =
            object.map_err(|error| waits(failed(format!("failed to fetch PVC from API server: {error}")), None))?;
        let claim = object.typed::<PersistentVolumeClaim>().map_err(|error| failed(error.to_string()))?;
        check_claim(&self.pod, &claim, is_ephemeral).map_err(|why| waits(why, Some(object.meta().resource_version)))?;
        let name = volume_of(&claim);
        let found = client.get(PERSISTENTVOLUMES, "", name).await;
        let found: Arc<PersistentVolume> = found
            .and_then(|volume| volume.typed().map_err(ApiError::internal))
            .map_err(|error| failed(format!("failed to fetch PV {name} from API server: {error}")))?;
        check_volume(&found, &claim).map_err(failed)?;
        check_use(&volume.name, &found, used)?;
        let read_only = volume.persistent_volume_claim.as_ref().is_some_and(|source| source.read_only == Some(true));
        Ok(ClaimedVolume { volume: found, read_only })
    }

    /// Tells the Pod's worker as soon as a claim changes that can't be used as it is. False if there is none.
    pub(crate) fn follow_claims(&self, claimed: &Claimed) -> bool {
        let waited: Vec<_> = claimed.values().filter_map(|found| found.as_ref().err()?.claim.clone()).collect();
        let (is_any, uid) = (!waited.is_empty(), names::uid(&self.pod).to_owned());
        for (name, resource_version) in waited {
            let (client, news, uid) = (self.shared.client.clone(), self.shared.news.clone(), uid.clone());
            let namespace = names::namespace(&self.pod).to_owned();
            self.shared.supervisor.spawn_until_shutdown(format!("claim-{name}"), async move {
                let field_selector = format!("metadata.name={name}");
                let options = ListOptions { field_selector, resource_version, ..ListOptions::default() };
                let changed = async {
                    let seen = match client.watch(PERSISTENTVOLUMECLAIMS, &namespace, &options).await {
                        Ok(mut events) => events.next().await.is_some(),
                        Err(_) => false,
                    };
                    // A server that lets nodes watch nothing of the kind is asked again.
                    if !seen {
                        tokio::time::sleep(SETUP_RETRY).await;
                    }
                };
                // Later than that the worker has looked by itself.
                if tokio::time::timeout(FOLLOWED_RETRY, changed).await.is_ok() {
                    news.tell(&uid);
                }
            });
        }
        is_any
    }
}
