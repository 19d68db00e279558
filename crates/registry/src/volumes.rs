//! Which PersistentVolume suits a PersistentVolumeClaim, on which nodes it is to be had, and which claims a Pod has
//! (upstream: `component-helpers/storage/volume`, `component-helpers/storage/ephemeral`). The binder, the scheduler and the
//! kubelet ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apimachinery::Quantity;
use apimachinery::labels::Selector;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod, Volume};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as QuantityText;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::scheduling::fits_term;

/// On a claim: its binding is complete. The value does not matter.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// On a claim or volume: not the user has bound it.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// On a claim: where its first Pod is to run, so that its volume is made there.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// The provisioner of classes whose volumes nobody makes.
pub const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// Where the class stood before it had a field.
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// An object's annotation.
pub fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The class that a claim asks for; empty if none.
pub fn class_of_claim(claim: &PersistentVolumeClaim) -> &str {
    let named = || claim.spec.as_ref()?.storage_class_name.as_deref();
    annotation(&claim.metadata, BETA_CLASS).or_else(named).unwrap_or_default()
}

/// The class that a volume is of; empty if of none.
pub fn class_of_volume(volume: &PersistentVolume) -> &str {
    let named = || volume.spec.as_ref()?.storage_class_name.as_deref();
    annotation(&volume.metadata, BETA_CLASS).or_else(named).unwrap_or_default()
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

/// Whether a volume is for this claim: bound to it, or meant for it by the user.
pub fn is_bound_to(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let Some(reference) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) else { return false };
    let uid = reference.uid.as_deref().unwrap_or_default();
    reference.name == claim.metadata.name
        && reference.namespace == claim.metadata.namespace
        && (uid.is_empty() || claim.metadata.uid.as_deref() == Some(uid))
}

/// Whether a volume is to be had on a node with these labels.
pub fn fits_labels(volume: &PersistentVolume, labels: Option<&BTreeMap<String, String>>) -> bool {
    let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref());
    let Some(required) = affinity.and_then(|affinity| affinity.required.as_ref()) else { return true };
    // Nothing but the labels is looked at: a term that names a node fits none.
    let metadata = ObjectMeta { labels: labels.cloned(), ..ObjectMeta::default() };
    let node = Node { metadata, ..Node::default() };
    required.node_selector_terms.iter().any(|term| fits_term(term, &node))
}

fn storage(list: Option<&BTreeMap<String, QuantityText>>) -> Quantity {
    list.and_then(|list| list.get("storage")?.0.parse().ok()).unwrap_or_default()
}

/// How much a claim asks for.
pub fn requested(claim: &PersistentVolumeClaim) -> Quantity {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    storage(resources.and_then(|resources| resources.requests.as_ref()))
}

/// How much a volume holds.
pub fn capacity(volume: &PersistentVolume) -> Quantity {
    storage(volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref()))
}

/// Whether a volume that is nobody's has what a claim asks for, but for its size.
fn suits(volume: &PersistentVolume, claim: &PersistentVolumeClaim, selector: Option<&Selector>) -> bool {
    let labels = || volume.metadata.labels.clone().unwrap_or_default();
    volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Available")
        && selector.is_none_or(|selector| selector.matches(&labels()))
        && class_of_volume(volume) == class_of_claim(claim)
}

/// Whether a volume can be used in all ways in which a claim wants to.
pub fn has_access_modes(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let offered = volume.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
    let wanted = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
    wanted.iter().all(|mode| offered.contains(mode))
}

/// `Filesystem` or `Block`, as a field of either kind says.
pub fn mode(field: Option<&String>) -> &str {
    field.map_or("Filesystem", String::as_str)
}

/// The volume that is meant for a claim, else the smallest of those that suit it, without those in `excluded`. With `labels`
/// of a node the volume must be to be had there; without, and if the claim waits for its first Pod (`delayed`), only the one
/// that is meant for it counts, for the scheduler chooses among the others.
pub fn find_match<'a>(
    claim: &PersistentVolumeClaim,
    volumes: impl IntoIterator<Item = &'a Arc<PersistentVolume>>,
    labels: Option<&BTreeMap<String, String>>,
    excluded: &BTreeSet<String>,
    delayed: bool,
) -> Option<&'a Arc<PersistentVolume>> {
    let wanted = claim.spec.as_ref()?;
    let least = requested(claim);
    let selector = wanted.selector.as_ref().map(|selector| serde_json::to_value(selector).unwrap_or_default());
    let selector = match selector.as_ref().map(Selector::from_label_selector) {
        Some(Err(_)) => return None,
        selector => selector.and_then(Result::ok),
    };
    let attributes = |class: Option<&String>| class.cloned().unwrap_or_default();
    let mut smallest: Option<(Quantity, &Arc<PersistentVolume>)> = None;
    for volume in volumes {
        let Some(spec) = volume.spec.as_ref() else { continue };
        let own = is_bound_to(volume, claim);
        let size = capacity(volume);
        if excluded.contains(volume.metadata.name.as_deref().unwrap_or_default())
            || (spec.claim_ref.is_some() && !own)
            || size < least
            || mode(spec.volume_mode.as_ref()) != mode(wanted.volume_mode.as_ref())
            || attributes(spec.volume_attributes_class_name.as_ref())
                != attributes(wanted.volume_attributes_class_name.as_ref())
            || volume.metadata.deletion_timestamp.is_some()
        {
            continue;
        }
        if own {
            return (labels.is_none() || fits_labels(volume, labels)).then_some(volume);
        }
        if (labels.is_none() && delayed)
            || !suits(volume, claim, selector.as_ref())
            || (labels.is_some() && !(fits_labels(volume, labels) && has_access_modes(volume, claim)))
        {
            continue;
        }
        if smallest.as_ref().is_none_or(|(least, _)| size < *least) {
            smallest = Some((size, volume));
        }
    }
    smallest.map(|(_, volume)| volume)
}

/// The name of the claim behind a Pod's volume, and whether the claim is made for the Pod alone.
pub fn claim_name(pod: &Pod, volume: &Volume) -> Option<(String, bool)> {
    if let Some(source) = &volume.persistent_volume_claim {
        return Some((source.claim_name.clone(), false));
    }
    volume.ephemeral.as_ref()?;
    Some((format!("{}-{}", pod.metadata.name.as_deref().unwrap_or_default(), volume.name), true))
}

/// The names of all claims of a Pod, each with whether it is made for the Pod alone.
pub fn claim_names(pod: &Pod) -> impl Iterator<Item = (String, bool)> + '_ {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| claim_name(pod, volume))
}

/// Whether a claim was made for this Pod; `Err` says that it was not.
pub fn is_for_pod(pod: &Pod, claim: &PersistentVolumeClaim) -> Result<(), String> {
    let owners = claim.metadata.owner_references.iter().flatten();
    let mut controllers = owners.filter(|owner| owner.controller == Some(true));
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (of_claim, of_pod) = (&claim.metadata, &pod.metadata);
    if of_claim.namespace == of_pod.namespace && controllers.next().is_some_and(|o| Some(&o.uid) == of_pod.uid.as_ref())
    {
        return Ok(());
    }
    Err(format!(
        "PVC {}/{} was not created for pod {}/{} (pod is not owner)",
        text(&of_claim.namespace),
        text(&of_claim.name),
        text(&of_pod.namespace),
        text(&of_pod.name)
    ))
}

#[cfg(test)]
mod tests;
