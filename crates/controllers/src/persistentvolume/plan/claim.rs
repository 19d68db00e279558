//! What becomes of a claim.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Object;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use registry::storage_classes::{self, BETA_CLASS};
use registry::volumes::{
    BIND_COMPLETED, BOUND_BY_CONTROLLER, capacity, class_of_claim, class_of_volume, find_match, has_access_modes,
    is_bound_to, mode, requested, selected_node, volume_of,
};
use serde_json::json;

use super::binding::{bind, claim_phase, claim_status, has_annotation, name};
use super::{Plan, Side};
use crate::said::Said;

/// Who is to make a volume; the second for provisioners of old.
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const BETA_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";

/// A claim and what there is for it.
pub(in crate::persistentvolume) struct Observed<'a> {
    pub(in crate::persistentvolume) claim: &'a PersistentVolumeClaim,
    pub(in crate::persistentvolume) volumes: &'a [Arc<PersistentVolume>],
    pub(in crate::persistentvolume) classes: &'a [Arc<Object>],
    /// The names of the Pods that want the claim and have no node yet.
    pub(in crate::persistentvolume) waiting: &'a [String],
}

impl Observed<'_> {
    fn volume(&self, wanted: &str) -> Option<&Arc<PersistentVolume>> {
        self.volumes.iter().find(|volume| name(&volume.metadata) == wanted)
    }

    fn class(&self) -> Option<Arc<StorageClass>> {
        let wanted = class_of_claim(self.claim);
        self.classes.iter().find(|class| class.meta().name == wanted)?.typed().ok()
    }
}

/// Decides.
pub(in crate::persistentvolume) fn plan(observed: &Observed<'_>) -> Plan {
    if has_annotation(&observed.claim.metadata, BIND_COMPLETED) { bound(observed) } else { unbound(observed) }
}

fn unbound(observed: &Observed<'_>) -> Plan {
    let claim = observed.claim;
    let wanted = volume_of(claim);
    if wanted.is_empty() {
        return any_volume(observed);
    }
    let mut plan = Plan::default();
    let Some(volume) = observed.volume(wanted) else { return pending(plan, claim) };
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    if reference.is_none() {
        match mismatch(volume, claim) {
            None => bind(&mut plan, volume, claim),
            Some(why) => {
                let text = format!("Cannot bind to requested volume {wanted:?}: {why}");
                plan = pending(Plan::of(Side::Claim, Said::warning("VolumeMismatch", text)), claim);
            }
        }
    } else if is_bound_to(volume, claim) {
        bind(&mut plan, volume, claim);
    } else {
        let text = format!("volume {wanted:?} already bound to a different claim.");
        plan = Plan::of(Side::Claim, Said::warning("FailedBinding", text));
        // Otherwise somebody took the annotation away that says that all was done.
        if !has_annotation(&claim.metadata, BOUND_BY_CONTROLLER) {
            plan = pending(plan, claim);
        }
    }
    plan
}

fn pending(mut plan: Plan, claim: &PersistentVolumeClaim) -> Plan {
    plan.write_status(Side::Claim, claim_status(claim, "Pending", None));
    plan
}

/// Why a volume is not for a claim that names it.
fn mismatch(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<String> {
    let (has, wants) = (volume.spec.clone().unwrap_or_default(), claim.spec.clone().unwrap_or_default());
    let attributes = |name: Option<String>| name.unwrap_or_default();
    if volume.metadata.deletion_timestamp.is_some() {
        return Some(format!("the volume is marked for deletion {:?}", name(&volume.metadata)));
    }
    let why = if capacity(volume).value() < requested(claim).value() {
        "requested PV is too small"
    } else if class_of_volume(volume) != class_of_claim(claim) {
        "storageClassName does not match"
    } else if attributes(has.volume_attributes_class_name) != attributes(wants.volume_attributes_class_name) {
        "volumeAttributesClassName does not match"
    } else if mode(has.volume_mode.as_ref()) != mode(wants.volume_mode.as_ref()) {
        "incompatible volumeMode"
    } else if !has_access_modes(volume, claim) {
        "incompatible accessMode"
    } else {
        return None;
    };
    Some(why.to_owned())
}

fn any_volume(observed: &Observed<'_>) -> Plan {
    let claim = observed.claim;
    let mut plan = Plan::default();
    let class = observed.class();
    let mode = class.as_ref().and_then(|class| class.volume_binding_mode.as_deref());
    let delayed = mode == Some("WaitForFirstConsumer");
    if let Some(volume) = best(observed, delayed) {
        bind(&mut plan, volume, claim);
        return plan;
    }
    let field = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_ref());
    let names_one = field.is_some() || has_annotation(&claim.metadata, BETA_CLASS);
    if let Some(default) = storage_classes::default(observed.classes).filter(|_| !names_one) {
        plan.write(Side::Claim, Some(json!({"spec": {"storageClassName": default.meta().name}})));
        return plan;
    }
    let said = if delayed && selected_node(claim).is_none() {
        match observed.waiting {
            [] => Said::normal("WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
            [pod] => Said::normal("WaitForPodScheduled", format!("waiting for pod {pod} to be scheduled")),
            pods => Said::normal("WaitForPodScheduled", format!("waiting for pods {} to be scheduled", pods.join(","))),
        }
    } else if !class_of_claim(claim).is_empty() {
        return provision(claim, class.as_deref());
    } else {
        let text = "no persistent volumes available for this claim and no storage class is set";
        Said::normal("FailedBinding", text)
    };
    pending(Plan::of(Side::Claim, said), claim)
}

/// The volume with the fewest ways to be mounted beyond those that are asked for; of these the one that is meant for the
/// claim or the smallest (upstream: `index.go`).
fn best<'o>(observed: &'o Observed<'_>, delayed: bool) -> Option<&'o Arc<PersistentVolume>> {
    let mut by_modes: BTreeMap<(usize, Vec<&str>), Vec<&Arc<PersistentVolume>>> = BTreeMap::new();
    for volume in observed.volumes.iter().filter(|volume| has_access_modes(volume, observed.claim)) {
        let modes = volume.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
        let mut modes: Vec<&str> = modes.iter().map(String::as_str).collect();
        modes.sort_unstable();
        modes.dedup();
        by_modes.entry((modes.len(), modes)).or_default().push(volume);
    }
    let excluded = std::collections::BTreeSet::new();
    by_modes.into_values().find_map(|volumes| find_match(observed.claim, volumes, None, &excluded, delayed))
}

/// Has a volume made: others do that, as soon as the claim says who.
fn provision(claim: &PersistentVolumeClaim, class: Option<&StorageClass>) -> Plan {
    let failed = |why: String| Plan::of(Side::Claim, Said::warning("ProvisioningFailed", why));
    let Some(class) = class else {
        return failed(format!("storageclass.storage.k8s.io {:?} not found", class_of_claim(claim)));
    };
    let provisioner = &class.provisioner;
    if provisioner.starts_with("kubernetes.io/") {
        return failed(format!("no volume plugin matched name: {provisioner}"));
    }
    let said = Said::normal(
        "ExternalProvisioning",
        format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the \
             system administrator. If volume creation is delayed, please verify that the provisioner is running and \
             correctly registered."
        ),
    );
    let mut plan = Plan::of(Side::Claim, said);
    if claim.metadata.annotations.as_ref().and_then(|all| all.get(PROVISIONER)) != Some(provisioner) {
        let annotations = json!({PROVISIONER: provisioner, BETA_PROVISIONER: provisioner});
        plan.write(Side::Claim, Some(json!({"metadata": {"annotations": annotations}})));
    }
    plan
}

/// A claim that was bound once.
fn bound(observed: &Observed<'_>) -> Plan {
    let claim = observed.claim;
    let lost = |reason: &str, text: &str| {
        if claim_phase(claim) == "Lost" {
            return Plan::default();
        }
        let mut plan = Plan::of(Side::Claim, Said::warning(reason, text));
        plan.write_status(Side::Claim, claim_status(claim, "Lost", None));
        plan
    };
    if volume_of(claim).is_empty() {
        return lost("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!");
    }
    let Some(volume) = observed.volume(volume_of(claim)) else {
        return lost("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
    };
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    if reference.is_some_and(|reference| reference.uid != claim.metadata.uid) {
        let text = "Two claims are bound to the same volume, this one is bound incorrectly";
        return lost("ClaimMisbound", text);
    }
    let mut plan = Plan::default();
    bind(&mut plan, volume, claim);
    plan
}
