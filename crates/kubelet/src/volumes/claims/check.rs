//! Whether a Pod can use its claims (upstream: `pkg/kubelet/volumemanager/populator`). Pure.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use registry::volumes::{is_for_pod, mode, volume_of};

use super::Claimed;

/// Keeps a claim that is being deleted for as long as a Pod uses it.
const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// Whether a claim can be used by a Pod.
pub(super) fn check_claim(pod: &Pod, claim: &PersistentVolumeClaim, is_ephemeral: bool) -> Result<(), String> {
    let meta = &claim.metadata;
    let failed = |why: &str| {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Err(format!("error processing PVC {}/{}: {why}", text(&meta.namespace), text(&meta.name)))
    };
    let protected = meta.finalizers.iter().flatten().any(|finalizer| finalizer == PROTECTION);
    if meta.deletion_timestamp.is_some() && !protected {
        return failed("PVC is being deleted");
    }
    if claim.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Bound") {
        return failed("PVC is not bound");
    }
    if volume_of(claim).is_empty() {
        return failed("PVC has empty pvc.Spec.VolumeName");
    }
    if is_ephemeral { is_for_pod(pod, claim) } else { Ok(()) }
}

/// Whether a volume is that of a claim.
pub(super) fn check_volume(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Result<(), String> {
    let name = volume.metadata.name.as_deref().unwrap_or_default();
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let Some(reference) = reference else {
        return Err(format!(
            "found PV object {name} but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim"
        ));
    };
    if reference.uid != claim.metadata.uid {
        let (of, uid) = (reference.uid.as_deref().unwrap_or_default(), claim.metadata.uid.as_deref());
        return Err(format!(
            "found PV object {name} but its pv.Spec.ClaimRef.UID {of} does not point to claim.UID {}",
            uid.unwrap_or_default()
        ));
    }
    Ok(())
}

/// Whether containers use a volume as what it is.
pub(super) fn check_use(name: &str, volume: &PersistentVolume, used: Used) -> Result<(), String> {
    let mode = mode(volume.spec.as_ref().and_then(|spec| spec.volume_mode.as_ref()));
    let wrong = |list: &str| Err(format!("volume {name} has volumeMode {mode}, but is specified in {list}"));
    match (used.mounted && mode != "Filesystem", used.as_device && mode != "Block") {
        (true, _) => wrong("volumeMounts"),
        (_, true) => wrong("volumeDevices"),
        _ => Ok(()),
    }
}

/// How containers use a volume.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    pub(super) mounted: bool,
    pub(super) as_device: bool,
}

impl Used {
    pub(super) fn of(pod: &Pod, volume: &str) -> Self {
        let containers =
            pod.spec.iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
        let mut used = Self { mounted: false, as_device: false };
        for container in containers {
            used.mounted |= container.volume_mounts.iter().flatten().any(|mount| mount.name == volume);
            used.as_device |= container.volume_devices.iter().flatten().any(|device| device.name == volume);
        }
        used
    }
}

/// What the Event says if some claims can't be used.
pub(crate) fn refusal(claimed: &Claimed) -> Option<String> {
    let (mut volumes, mut reasons) = (Vec::new(), Vec::new());
    for (volume, why) in claimed.iter().filter_map(|(volume, found)| Some((volume, found.as_ref().err()?))) {
        volumes.push(volume.as_str());
        reasons.push(why.why.as_str());
    }
    let (volumes, reasons) = (volumes.join(" "), reasons.join("; "));
    (!reasons.is_empty()).then(|| {
        format!(
            "Unable to attach or mount volumes: unmounted volumes=[{volumes}], unattached volumes=[], failed to process \
             volumes=[{volumes}]: {reasons}"
        )
    })
}
