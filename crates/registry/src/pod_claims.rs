//! Which PersistentVolumeClaims a Pod has, and how far they are (upstream: `component-helpers/storage/ephemeral`).

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Volume};

use crate::persistent_volumes::{BIND_COMPLETED, SELECTED_NODE, annotation};

/// The claim behind a Pod's volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodClaim {
    /// Its name.
    pub name: String,
    /// Whether it is made for the Pod alone.
    pub ephemeral: bool,
}

/// The claim behind a Pod's volume, if there is one.
pub fn claim_of(pod: &Pod, volume: &Volume) -> Option<PodClaim> {
    if let Some(source) = &volume.persistent_volume_claim {
        return Some(PodClaim { name: source.claim_name.clone(), ephemeral: false });
    }
    volume.ephemeral.as_ref()?;
    let name = format!("{}-{}", pod.metadata.name.as_deref().unwrap_or_default(), volume.name);
    Some(PodClaim { name, ephemeral: true })
}

/// All claims of a Pod, in the order of its volumes.
pub fn claims_of(pod: &Pod) -> impl Iterator<Item = PodClaim> + '_ {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| claim_of(pod, volume))
}

/// Whether a claim was made for this Pod; `Err` says that it was not.
pub fn is_for_pod(pod: &Pod, claim: &PersistentVolumeClaim) -> Result<(), String> {
    let (of_claim, of_pod) = (&claim.metadata, &pod.metadata);
    let controller = of_claim.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    if of_claim.namespace == of_pod.namespace && controller.is_some_and(|owner| Some(&owner.uid) == of_pod.uid.as_ref())
    {
        return Ok(());
    }
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let claim = format!("{}/{}", text(&of_claim.namespace), text(&of_claim.name));
    let pod = format!("{}/{}", text(&of_pod.namespace), text(&of_pod.name));
    Err(format!("PVC {claim} was not created for pod {pod} (pod is not owner)"))
}

/// The volume that a claim names; empty if none.
pub fn volume_of(claim: &PersistentVolumeClaim) -> &str {
    claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default()
}

/// The node on which a claim's volume is to be made.
pub fn selected_node(claim: &PersistentVolumeClaim) -> Option<&str> {
    annotation(&claim.metadata, SELECTED_NODE)
}

/// Whether a claim has a volume and nothing is left to be done for that.
pub fn is_fully_bound(claim: &PersistentVolumeClaim) -> bool {
    !volume_of(claim).is_empty() && annotation(&claim.metadata, BIND_COMPLETED).is_some()
}
