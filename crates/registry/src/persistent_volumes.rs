//! Which volume a claim gets: what the binder and the scheduler agree on
//! (upstream: `component-helpers/storage/volume`, `pkg/volume/util/storageclass.go`).

use std::sync::Arc;

use apimachinery::labels::Selector;
use apimachinery::{Object, Quantity};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::scheduling::fits_term;

/// On claims: they were bound completely once.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// On claims and volumes: binder or scheduler chose the other one, not the user.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// On claims: the node for whose Pod a volume is to be made.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// On claims: who is to make a volume.
pub const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
/// As [`STORAGE_PROVISIONER`], for provisioners of old.
pub const BETA_STORAGE_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";
/// On volumes: who made them.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// The provisioner of classes whose volumes are made by hand.
pub const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// A class' name, before there was a field for it.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
/// On classes: it is for claims that name none.
const DEFAULT_CLASS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// An object's annotation.
pub fn annotation<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(name).map(String::as_str)
}

/// The class that a claim names; empty if none.
pub fn class_of_claim(claim: &PersistentVolumeClaim) -> &str {
    let field = || claim.spec.as_ref()?.storage_class_name.as_deref();
    annotation(&claim.metadata, CLASS_ANNOTATION).or_else(field).unwrap_or_default()
}

/// Whether a claim says which class it wants, be it none.
pub fn names_class(claim: &PersistentVolumeClaim) -> bool {
    let field = claim.spec.as_ref().is_some_and(|spec| spec.storage_class_name.is_some());
    field || annotation(&claim.metadata, CLASS_ANNOTATION).is_some()
}

/// The class of a volume; empty if none.
pub fn class_of_volume(volume: &PersistentVolume) -> &str {
    let field = || volume.spec.as_ref()?.storage_class_name.as_deref();
    annotation(&volume.metadata, CLASS_ANNOTATION).or_else(field).unwrap_or_default()
}

/// Whether a StorageClass is for claims that name none.
pub fn is_default_class(class: &Object) -> bool {
    DEFAULT_CLASS.iter().any(|name| class.meta().annotations.get(*name).is_some_and(|value| value == "true"))
}

/// The class for claims that name none: the newest one that says so, of these the first by name.
pub fn default_class(classes: &[Arc<Object>]) -> Option<&Arc<Object>> {
    let order = |class: &&Arc<Object>| {
        let meta = class.meta();
        (std::cmp::Reverse(meta.creation_timestamp), meta.name.clone())
    };
    classes.iter().filter(|class| is_default_class(class)).min_by_key(order)
}

/// How much a claim asks for.
pub fn requested(claim: &PersistentVolumeClaim) -> Quantity {
    let requests = || claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage");
    requests().and_then(|amount| amount.0.parse().ok()).unwrap_or_default()
}

/// How much a volume has.
pub fn capacity(volume: &PersistentVolume) -> Quantity {
    let capacity = || volume.spec.as_ref()?.capacity.as_ref()?.get("storage");
    capacity().and_then(|amount| amount.0.parse().ok()).unwrap_or_default()
}

/// Whether a volume is for this claim: by name, and by uid where it says one.
pub fn is_bound_to(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let Some(reference) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) else { return false };
    let given = |uid: &&String| !uid.is_empty();
    reference.name == claim.metadata.name
        && reference.namespace == claim.metadata.namespace
        && reference.uid.as_ref().filter(given).is_none_or(|uid| Some(uid) == claim.metadata.uid.as_ref())
}

/// Whether one is a device and the other a file system.
pub fn modes_differ(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
    let wanted = claim.spec.as_ref().and_then(|spec| spec.volume_mode.as_deref()).unwrap_or("Filesystem");
    let is = volume.spec.as_ref().and_then(|spec| spec.volume_mode.as_deref()).unwrap_or("Filesystem");
    wanted != is
}

/// The ways in which a volume may be mounted.
pub fn access_modes(volume: &PersistentVolume) -> &[String] {
    volume.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default()
}

/// Whether a volume may be mounted in all ways that a claim asks for.
pub fn has_access_modes(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
    let wanted = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
    wanted.iter().all(|mode| access_modes(volume).contains(mode))
}

/// Whether both have the same VolumeAttributesClass.
pub fn same_attributes(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
    let wanted = claim.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.as_deref());
    let is = volume.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.as_deref());
    wanted.unwrap_or_default() == is.unwrap_or_default()
}

/// Whether a volume can be reached from a node.
pub fn reaches(volume: &PersistentVolume, node: &Node) -> bool {
    let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required.as_ref());
    required.is_none_or(|selector| selector.node_selector_terms.iter().any(|term| fits_term(term, node)))
}

/// Who looks for a volume.
#[derive(Debug, Clone, Copy)]
pub enum Seeker<'a> {
    /// The binder. It leaves what is not meant for the claim alone if the claim `waits` for a Pod.
    Binder {
        /// Whether the claim's class waits for a Pod.
        waits: bool,
    },
    /// The scheduler, for this node.
    Scheduler(&'a Node),
}

/// The volume among `volumes` that a claim gets: the one that is meant for it, else the smallest that fits.
pub fn find_matching<'v>(
    claim: &PersistentVolumeClaim,
    volumes: impl IntoIterator<Item = &'v PersistentVolume>,
    seeker: Seeker<'_>,
) -> Option<&'v PersistentVolume> {
    let wanted = requested(claim);
    let selector = claim.spec.as_ref().and_then(|spec| spec.selector.as_ref()).map(|selector| {
        let selector = serde_json::to_value(selector).unwrap_or_default();
        // Validation has refused what is none.
        Selector::from_label_selector(&selector).unwrap_or_else(|_| Selector::nothing())
    });
    let empty = std::collections::BTreeMap::new();
    let mut smallest: Option<(Quantity, &PersistentVolume)> = None;
    for volume in volumes {
        let meant = is_bound_to(volume, claim);
        let taken = volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_some());
        let capacity = capacity(volume);
        if (taken && !meant)
            || capacity < wanted
            || modes_differ(claim, volume)
            || !same_attributes(claim, volume)
            || volume.metadata.deletion_timestamp.is_some()
        {
            continue;
        }
        let within_reach = match seeker {
            Seeker::Scheduler(node) => reaches(volume, node),
            Seeker::Binder { .. } => true,
        };
        if meant {
            return within_reach.then_some(volume);
        }
        let labels = volume.metadata.labels.as_ref().unwrap_or(&empty);
        let available = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Available");
        let fits = match seeker {
            Seeker::Binder { waits } => !waits,
            Seeker::Scheduler(_) => has_access_modes(claim, volume),
        };
        if fits
            && within_reach
            && available
            && selector.as_ref().is_none_or(|selector| selector.matches(labels))
            && class_of_volume(volume) == class_of_claim(claim)
            && smallest.as_ref().is_none_or(|(size, _)| capacity < *size)
        {
            smallest = Some((capacity, volume));
        }
    }
    smallest.map(|(_, volume)| volume)
}

#[cfg(test)]
mod tests;
