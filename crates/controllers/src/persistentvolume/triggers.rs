//! Which changes make the binder look at which claims and volumes. Upstream looks at all of them every 15 seconds instead.

use apimachinery::Object;
use client::{Change, Informer, WorkQueue};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use registry::volumes::{BIND_COMPLETED, class_of_claim, class_of_volume, volume_of};

use super::plan::binding::has_annotation;
use crate::{owner, pods};

/// The index of claims by the volume that they name.
const BY_VOLUME: &str = "volume";
/// The index of claims that may get any volume, by class.
const UNBOUND: &str = "unbound-by-class";
/// The index of volumes by the claim that they name.
const BY_CLAIM_REFERENCE: &str = "claim-reference";

/// Adds to `queue` what a change is of concern for.
pub(super) fn connect(queue: &WorkQueue, claims: &Informer, volumes: &Informer, classes: &Informer, pods: &Informer) {
    claims.add_index(BY_VOLUME, volume_name);
    claims.add_index(UNBOUND, unbound_class);
    volumes.add_index(BY_CLAIM_REFERENCE, claim_reference);
    claims.on_change(owner::enqueue(queue));
    let (of_claims, all) = (queue.clone(), volumes.clone());
    claims.on_change(move |change| {
        let claim = change.object();
        let moved = match change {
            Change::Updated(before, after) => volume_name(before) != volume_name(after),
            _ => true,
        };
        if moved {
            let named = volume_name(claim);
            let naming = all.store().by_index(BY_CLAIM_REFERENCE, &claim.meta().key());
            naming.iter().map(|volume| volume.meta().name.clone()).chain(named).for_each(|name| of_claims.add(name));
        }
    });
    volumes.on_change(owner::enqueue(queue));
    let (of_volumes, all) = (queue.clone(), claims.clone());
    volumes.on_change(move |change| {
        let volume = change.object();
        claim_reference(volume).into_iter().for_each(|key| of_volumes.add(key));
        let mut concerned = all.store().by_index(BY_VOLUME, &volume.meta().name);
        if becomes_available(change) {
            let class = volume.typed::<PersistentVolume>().map(|volume| class_of_volume(&volume).to_owned());
            concerned.extend(all.store().by_index(UNBOUND, &class.unwrap_or_default()));
        }
        concerned.iter().for_each(|claim| of_volumes.add(claim.meta().key()));
    });
    let (of_classes, all) = (queue.clone(), claims.clone());
    classes.on_change(move |change| {
        for class in [change.object().meta().name.as_str(), ""] {
            all.store().by_index(UNBOUND, class).iter().for_each(|claim| of_classes.add(claim.meta().key()));
        }
    });
    let (of_pods, all) = (queue.clone(), claims.clone());
    pods.on_change(move |change| {
        if !is_refused(change.object()) {
            return;
        }
        let is_unbound = |key: &String| all.store().get(key).is_some_and(|claim| !unbound_class(&claim).is_empty());
        pods::claim_keys(change.object()).into_iter().filter(is_unbound).for_each(|key| of_pods.add(key));
    });
}

fn volume_name(claim: &Object) -> Vec<String> {
    let name = claim.typed::<PersistentVolumeClaim>().map(|claim| volume_of(&claim).to_owned());
    name.into_iter().filter(|name| !name.is_empty()).collect()
}

fn unbound_class(claim: &Object) -> Vec<String> {
    let Ok(claim) = claim.typed::<PersistentVolumeClaim>() else { return Vec::new() };
    let free = volume_of(&claim).is_empty() && !has_annotation(&claim.metadata, BIND_COMPLETED);
    free.then(|| class_of_claim(&claim).to_owned()).into_iter().collect()
}

fn claim_reference(volume: &Object) -> Vec<String> {
    let Ok(volume) = volume.typed::<PersistentVolume>() else { return Vec::new() };
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let key = reference.and_then(|to| Some(format!("{}/{}", to.namespace.as_deref()?, to.name.as_deref()?)));
    key.into_iter().collect()
}

/// Whether a change makes a volume one that claims may get.
fn becomes_available(change: &Change) -> bool {
    let available = |volume: &Object| {
        let phase = |volume: &PersistentVolume| volume.status.as_ref()?.phase.clone();
        volume.typed::<PersistentVolume>().is_ok_and(|volume| phase(&volume).as_deref() == Some("Available"))
    };
    match change {
        Change::Added(volume) => available(volume),
        Change::Updated(before, after) => {
            let spec = |volume: &Object| volume.typed::<PersistentVolume>().map(|volume| volume.spec.clone()).ok();
            available(after)
                && (!available(before) || before.meta().labels != after.meta().labels || spec(before) != spec(after))
        }
        Change::Deleted(_) => false,
    }
}

/// Whether the scheduler has found no node for a Pod.
fn is_refused(pod: &Object) -> bool {
    let Ok(pod) = pod.typed::<Pod>() else { return false };
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
}
