//! What becomes of a volume.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use registry::volumes::{mode, volume_of};
use serde_json::json;

use super::binding::{has_annotation, name, phase, phase_of, unbind};
use super::{Plan, Side};
use crate::said::Said;

/// On volumes: who made them.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// A volume and the claim that it names, if that is there: one of this name and uid.
pub(in crate::persistentvolume) struct Observed<'a> {
    pub(in crate::persistentvolume) volume: &'a PersistentVolume,
    pub(in crate::persistentvolume) claim: Option<&'a PersistentVolumeClaim>,
}

/// Decides.
pub(in crate::persistentvolume) fn plan(observed: &Observed<'_>) -> Plan {
    let volume = observed.volume;
    let mut plan = Plan::default();
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let bound_to = reference.and_then(|reference| reference.uid.as_deref()).unwrap_or_default();
    if bound_to.is_empty() {
        plan.write_status(Side::Volume, phase(volume, "Available", ""));
        return plan;
    }
    let Some(claim) = observed.claim else {
        release(&mut plan, volume);
        return plan;
    };
    let of_claim = volume_of(claim);
    if of_claim.is_empty() {
        return complete(volume, claim);
    }
    if of_claim == name(&volume.metadata) {
        plan.write_status(Side::Volume, phase(volume, "Bound", ""));
    } else if has_annotation(&volume.metadata, PROVISIONED_BY) && policy(volume) == "Delete" {
        // It was made for this claim, which has another one now.
        release(&mut plan, volume);
    } else {
        unbind(&mut plan, volume);
    }
    plan
}

/// The claim does not know of the volume yet.
fn complete(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Plan {
    let is = volume.spec.as_ref().and_then(|spec| spec.volume_mode.as_ref());
    let wanted = claim.spec.as_ref().and_then(|spec| spec.volume_mode.as_ref());
    if mode(is) == mode(wanted) {
        return Plan { then_claim: true, ..Plan::default() };
    }
    let [claim, volume] = [&claim.metadata, &volume.metadata].map(name);
    let of_volume = format!(
        "Cannot bind PersistentVolume to requested PersistentVolumeClaim {claim:?} due to incompatible volumeMode."
    );
    let of_claim = format!(
        "Cannot bind PersistentVolume {volume:?} to requested PersistentVolumeClaim due to incompatible volumeMode."
    );
    let said = [(Side::Volume, of_volume), (Side::Claim, of_claim)];
    let said = said.into_iter().map(|(side, text)| (side, Said::warning("VolumeMismatch", text))).collect();
    Plan { said, ..Plan::default() }
}

fn policy(volume: &PersistentVolume) -> &str {
    volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref()).unwrap_or("Retain")
}

/// The claim is gone: what is done with the volume is its policy's matter. A failure stays to be seen.
fn release(plan: &mut Plan, volume: &PersistentVolume) {
    if matches!(phase_of(volume.status.as_ref()), "Released" | "Failed") {
        reclaim(plan, volume);
        return;
    }
    plan.write_status(Side::Volume, phase(volume, "Released", ""));
    reclaim(plan, volume);
}

fn reclaim(plan: &mut Plan, volume: &PersistentVolume) {
    let (reason, message) = match policy(volume) {
        "Recycle" => ("VolumeFailedRecycle", "No recycler plugin found for the volume!".to_owned()),
        "Delete" if !deleted_by_others(volume) => {
            let name = name(&volume.metadata);
            let why = "no deletable volume plugin matched";
            ("VolumeFailedDelete", format!("error getting deleter volume plugin for volume {name:?}: {why}"))
        }
        _ => return,
    };
    if phase_of(volume.status.as_ref()) != "Failed" {
        plan.write_status(Side::Volume, Some(json!({"phase": "Failed", "message": message})));
        plan.said.push((Side::Volume, Said::warning(reason, message)));
    }
}

/// Whether the one who made the volume deletes it, too.
fn deleted_by_others(volume: &PersistentVolume) -> bool {
    let maker = volume.metadata.annotations.as_ref().and_then(|all| all.get(PROVISIONED_BY));
    match maker.map(String::as_str).unwrap_or_default() {
        "" => volume.spec.as_ref().is_some_and(|spec| spec.csi.is_some()),
        maker => !maker.starts_with("kubernetes.io/"),
    }
}
