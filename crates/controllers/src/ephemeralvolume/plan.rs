//! Which claims a Pod's ephemeral volumes lack.

use std::sync::Arc;

use apimachinery::Object;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Volume};
use registry::volumes::{claim_name, claim_names, is_for_pod};
use serde_json::{Value, json};

/// What is to be done for a volume.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Its claim is there.
    Keep,
    /// A claim is to be made.
    Create { name: String, claim: Value },
    /// A claim of that name is there, and is not the Pod's.
    Refuse(String),
}

/// The claims of a Pod's ephemeral volumes, with the namespace.
pub(super) fn claims_of(pod: &Object) -> Vec<String> {
    let Ok(pod) = pod.typed::<Pod>() else { return Vec::new() };
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let own = claim_names(&pod).filter(|(_, ephemeral)| *ephemeral);
    own.map(|(name, _)| format!("{namespace}/{name}")).collect()
}

/// What is to be done for each ephemeral volume, in their order. A Pod that leaves needs none any more.
pub(super) fn plan(pod: &Pod, known: impl Fn(&str) -> Option<Arc<PersistentVolumeClaim>>) -> Vec<(String, Step)> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let step = |volume: &Volume| {
        let (name, _) = claim_name(pod, volume).filter(|(_, ephemeral)| *ephemeral)?;
        let template = volume.ephemeral.as_ref()?.volume_claim_template.as_ref();
        if let Some(claim) = known(&name) {
            return Some(is_for_pod(pod, &claim).map_or_else(Step::Refuse, |()| Step::Keep));
        }
        let meta = template.and_then(|template| template.metadata.as_ref());
        let owner = json!({
            "apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid,
            "controller": true, "blockOwnerDeletion": true,
        });
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": name, "ownerReferences": [owner],
                "annotations": meta.and_then(|meta| meta.annotations.as_ref()),
                "labels": meta.and_then(|meta| meta.labels.as_ref()),
            },
            "spec": template.map(|template| &template.spec),
        });
        Some(Step::Create { name, claim })
    };
    volumes.filter_map(|volume| Some((volume.name.clone(), step(volume)?))).collect()
}

#[cfg(test)]
mod tests;
