//! What binding and unbinding writes. Each function gives the change of one object, `None` where there is none.

use apimachinery::Quantity;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use registry::volumes::{BIND_COMPLETED, BOUND_BY_CONTROLLER, is_bound_to, volume_of};
use serde_json::{Map, Value, json};

use super::{Plan, Side};

/// On volumes: how large their file systems are until these are expanded.
const PRE_RESIZE_CAPACITY: &str = "volume.alpha.kubernetes.io/pre-resize-capacity";

pub(in crate::persistentvolume) fn has_annotation(meta: &ObjectMeta, name: &str) -> bool {
    meta.annotations.as_ref().is_some_and(|all| all.contains_key(name))
}

pub(super) fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

pub(super) fn phase_of(status: Option<&PersistentVolumeStatus>) -> &str {
    status.and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Binds both to each other: the volume first, so that nobody else takes it.
pub(super) fn bind(plan: &mut Plan, volume: &PersistentVolume, claim: &PersistentVolumeClaim) {
    plan.volume = volume.metadata.name.clone();
    plan.write(Side::Volume, volume_to_claim(volume, claim));
    plan.write_status(Side::Volume, phase(volume, "Bound", ""));
    plan.write(Side::Claim, claim_to_volume(claim, volume));
    plan.write_status(Side::Claim, claim_status(claim, "Bound", Some(volume)));
}

fn volume_to_claim(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<Value> {
    let meta = &claim.metadata;
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let same = reference.is_some_and(|reference| {
        (&reference.name, &reference.namespace, &reference.uid) == (&meta.name, &meta.namespace, &meta.uid)
    });
    let mut change = Map::new();
    if !same {
        let reference = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta.namespace, "name": meta.name,
            "uid": meta.uid, "resourceVersion": meta.resource_version,
        });
        change.insert("spec".to_owned(), json!({"claimRef": reference}));
    }
    if !is_bound_to(volume, claim) && !has_annotation(&volume.metadata, BOUND_BY_CONTROLLER) {
        change.insert("metadata".to_owned(), json!({"annotations": {BOUND_BY_CONTROLLER: "yes"}}));
    }
    (!change.is_empty()).then(|| change.into())
}

fn claim_to_volume(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Option<Value> {
    let (mut annotations, mut change) = (Map::new(), Map::new());
    let lacks = |name: &str| !has_annotation(&claim.metadata, name);
    if volume_of(claim) != name(&volume.metadata) {
        change.insert("spec".to_owned(), json!({"volumeName": volume.metadata.name}));
        if lacks(BOUND_BY_CONTROLLER) {
            annotations.insert(BOUND_BY_CONTROLLER.to_owned(), json!("yes"));
        }
    }
    if lacks(BIND_COMPLETED) {
        annotations.insert(BIND_COMPLETED.to_owned(), json!("yes"));
    }
    if !annotations.is_empty() {
        change.insert("metadata".to_owned(), json!({"annotations": annotations}));
    }
    (!change.is_empty()).then(|| change.into())
}

/// Takes a volume back from a claim that has another one. What the user meant for the claim stays meant for it.
pub(super) fn unbind(plan: &mut Plan, volume: &PersistentVolume) {
    let change = if has_annotation(&volume.metadata, BOUND_BY_CONTROLLER) {
        let only = volume.metadata.annotations.as_ref().is_some_and(|all| all.len() == 1);
        let annotations = if only { Value::Null } else { json!({BOUND_BY_CONTROLLER: null}) };
        json!({"metadata": {"annotations": annotations}, "spec": {"claimRef": null}})
    } else {
        json!({"spec": {"claimRef": {"uid": null}}})
    };
    plan.write(Side::Volume, Some(change));
    plan.write_status(Side::Volume, phase(volume, "Available", ""));
}

/// A volume's status with this phase.
pub(super) fn phase(volume: &PersistentVolume, phase: &str, message: &str) -> Option<Value> {
    let message = if message.is_empty() { Value::Null } else { json!(message) };
    let differs = phase_of(volume.status.as_ref()) != phase;
    differs.then(|| json!({"phase": phase, "message": message}))
}

pub(super) fn claim_phase(claim: &PersistentVolumeClaim) -> &str {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// A claim's status with this phase and what the volume has.
pub(super) fn claim_status(
    claim: &PersistentVolumeClaim,
    phase: &str,
    volume: Option<&PersistentVolume>,
) -> Option<Value> {
    let status = claim.status.clone().unwrap_or_default();
    let enters = claim_phase(claim) != phase;
    let mut change = Map::new();
    if enters {
        change.insert("phase".to_owned(), json!(phase));
    }
    let Some(volume) = volume else {
        let had = [
            ("accessModes", status.access_modes.is_some()),
            ("capacity", status.capacity.is_some()),
            ("currentVolumeAttributesClassName", status.current_volume_attributes_class_name.is_some()),
        ];
        change.extend(had.into_iter().filter(|(_, had)| *had).map(|(field, _)| (field.to_owned(), Value::Null)));
        return (!change.is_empty()).then(|| change.into());
    };
    let spec = volume.spec.clone().unwrap_or_default();
    if status.access_modes != spec.access_modes {
        change.insert("accessModes".to_owned(), json!(spec.access_modes));
    }
    if enters {
        // Later the two may differ on purpose: a file system that is smaller than its volume.
        let amount = |text: &str| text.parse::<Quantity>().ok();
        let before = volume.metadata.annotations.as_ref().and_then(|all| all.get(PRE_RESIZE_CAPACITY));
        let before = before.filter(|text| amount(text).is_some());
        let has = spec.capacity.as_ref().and_then(|all| all.get("storage")).map(|amount| &amount.0);
        let shown = status.capacity.as_ref().and_then(|all| all.get("storage")).map(|amount| &amount.0);
        let wanted = before.or(has);
        if wanted.and_then(|text| amount(text)) != shown.and_then(|text| amount(text)) {
            change.insert("capacity".to_owned(), json!({"storage": wanted}));
        }
    }
    if enters
        && phase == "Bound"
        && claim_phase(claim) == "Pending"
        && status.current_volume_attributes_class_name != spec.volume_attributes_class_name
    {
        change.insert("currentVolumeAttributesClassName".to_owned(), json!(spec.volume_attributes_class_name));
    }
    (!change.is_empty()).then(|| change.into())
}
