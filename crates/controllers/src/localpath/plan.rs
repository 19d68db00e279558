//! Which claims get a directory, and which volumes lose theirs. Pure.

use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use registry::volumes::{class_of_claim, requested, selected_node, volume_of};
use serde_json::{Value, json};

/// Its name in StorageClasses.
pub(super) const PROVISIONER: &str = "skiff/local-path";
/// On claims: who is to make a volume.
const ASKED: &str = "volume.kubernetes.io/storage-provisioner";
/// On volumes: who made them.
const MADE_BY: &str = "pv.kubernetes.io/provisioned-by";
/// Keeps a volume until its directory is removed, also if somebody deletes the volume before its claim.
pub(super) const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";
/// The label by which a volume says where it is.
pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";

/// A claim and what there is for it.
pub(super) struct Observed<'a> {
    pub(super) claim: &'a PersistentVolumeClaim,
    pub(super) class: Option<&'a StorageClass>,
    /// The selected node, if it is there.
    pub(super) node: Option<&'a Node>,
    /// Whether the claim's volume is there.
    pub(super) exists: bool,
}

/// Where a volume is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The node's name; of a volume that is there, the node's host name.
    pub(super) node: String,
    /// The node's host name.
    pub(super) hostname: String,
    /// The directory's name, which is the volume's.
    pub(super) directory: String,
}

/// What a claim needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ClaimStep {
    /// Nothing, or nothing of this provisioner.
    None,
    /// It asks for what there can't be.
    Refuse(String),
    /// The selected node is gone: the scheduler has to select another one.
    Reschedule(String),
    /// A volume.
    Provision(Place),
}

/// The name of a claim's volume.
pub(super) fn volume_name(claim_uid: &str) -> String {
    format!("pvc-{claim_uid}")
}

/// A volume's name, if it can be the name of a directory that was made here.
fn directory_of(volume: &str) -> Option<&str> {
    let uid = volume.strip_prefix("pvc-")?;
    let plain = !uid.is_empty() && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    plain.then_some(volume)
}

/// Decides on a claim.
pub(super) fn claim(observed: &Observed<'_>) -> ClaimStep {
    let claim = observed.claim;
    let asked = claim.metadata.annotations.as_ref().and_then(|all| all.get(ASKED));
    let Some(class) = observed.class.filter(|class| class.provisioner == PROVISIONER) else { return ClaimStep::None };
    let has_volume = !volume_of(claim).is_empty() || observed.exists;
    if asked.map(String::as_str) != Some(PROVISIONER) || has_volume || claim.metadata.deletion_timestamp.is_some() {
        return ClaimStep::None;
    }
    if let Some(why) = refusal(claim, class) {
        return ClaimStep::Refuse(why);
    }
    let Some(selected) = selected_node(claim) else { return ClaimStep::None };
    let Some(node) = observed.node else { return ClaimStep::Reschedule(format!("node {selected:?} not found")) };
    let hostname = node.metadata.labels.as_ref().and_then(|labels| labels.get(HOSTNAME));
    let name = volume_name(claim.metadata.uid.as_deref().unwrap_or_default());
    let Some(directory) = directory_of(&name) else {
        return ClaimStep::Refuse(format!("{name:?} can't be the name of a directory"));
    };
    ClaimStep::Provision(Place {
        node: selected.to_owned(),
        hostname: hostname.cloned().unwrap_or_else(|| selected.to_owned()),
        directory: directory.to_owned(),
    })
}

fn refusal(claim: &PersistentVolumeClaim, class: &StorageClass) -> Option<String> {
    let spec = claim.spec.as_ref()?;
    if spec.volume_mode.as_deref() == Some("Block") {
        return Some(format!("{PROVISIONER} does not support block volume provisioning"));
    }
    if spec.selector.is_some() {
        return Some("claim Selector is not supported".to_owned());
    }
    if spec.data_source.is_some() || spec.data_source_ref.is_some() {
        return Some(format!("{PROVISIONER} makes empty volumes, and none from a data source"));
    }
    if let Some(attributes) = spec.volume_attributes_class_name.as_deref().filter(|name| !name.is_empty()) {
        return Some(format!("{PROVISIONER} knows no attributes of volumes, and the claim asks for {attributes:?}"));
    }
    let name = class.metadata.name.as_deref().unwrap_or_default();
    if let Some(options) = class.mount_options.as_ref().filter(|options| !options.is_empty()) {
        let options = options.join(" ");
        return Some(format!(
            "Mount options are not supported by the provisioner but StorageClass {name:?} has mount options [{options}]"
        ));
    }
    if let Some((parameter, _)) = class.parameters.as_ref().and_then(|parameters| parameters.first_key_value()) {
        return Some(format!("{PROVISIONER} has no parameters, and StorageClass {name:?} names {parameter:?}"));
    }
    if class.volume_binding_mode.as_deref() != Some("WaitForFirstConsumer") {
        return Some(format!(
            "{PROVISIONER} has to know the Pod's node: StorageClass {name:?} needs the volumeBindingMode \
             WaitForFirstConsumer"
        ));
    }
    None
}

/// The volume for a claim.
pub(super) fn persistent_volume(
    claim: &PersistentVolumeClaim,
    class: Option<&StorageClass>,
    place: &Place,
    path: &str,
) -> Value {
    let meta = &claim.metadata;
    let spec = claim.spec.as_ref();
    let policy = class.and_then(|class| class.reclaim_policy.as_deref()).unwrap_or("Delete");
    let finalizers = if policy == "Delete" { vec![FINALIZER] } else { Vec::new() };
    let term = json!({"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [place.hostname]}]});
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": place.directory, "annotations": {MADE_BY: PROVISIONER}, "finalizers": finalizers},
        "spec": {
            "accessModes": spec.and_then(|spec| spec.access_modes.as_ref()),
            "capacity": {"storage": requested(claim).to_string()},
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta.namespace, "name": meta.name,
                "uid": meta.uid, "resourceVersion": meta.resource_version,
            },
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": class_of_claim(claim),
            "volumeMode": "Filesystem",
        },
    })
}

/// What a volume needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum VolumeStep {
    /// Nothing, or nothing of this provisioner.
    None,
    /// Other finalizers: the policy is another one.
    Finalizers(Vec<String>),
    /// Its directory is to be removed, and then itself.
    Delete(Place),
}

/// Decides on a volume.
pub(super) fn volume(volume: &PersistentVolume) -> VolumeStep {
    let meta = &volume.metadata;
    let made_by = meta.annotations.as_ref().and_then(|all| all.get(MADE_BY));
    let Some(spec) = volume.spec.as_ref().filter(|_| made_by.map(String::as_str) == Some(PROVISIONER)) else {
        return VolumeStep::None;
    };
    let mut finalizers = meta.finalizers.clone().unwrap_or_default();
    let kept = finalizers.iter().any(|finalizer| finalizer == FINALIZER);
    let deleted = meta.deletion_timestamp.is_some();
    let deletes = spec.persistent_volume_reclaim_policy.as_deref() == Some("Delete");
    let released = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Released");
    if deletes && released && (kept || !deleted) {
        return place(volume).map_or(VolumeStep::None, VolumeStep::Delete);
    }
    if kept && !deletes {
        finalizers.retain(|finalizer| finalizer != FINALIZER);
    } else if !kept && deletes && !deleted {
        finalizers.push(FINALIZER.to_owned());
    } else {
        return VolumeStep::None;
    }
    VolumeStep::Finalizers(finalizers)
}

/// Where a volume is, as its node affinity says.
fn place(volume: &PersistentVolume) -> Option<Place> {
    let directory = directory_of(volume.metadata.name.as_deref()?)?.to_owned();
    let terms = &volume.spec.as_ref()?.node_affinity.as_ref()?.required.as_ref()?.node_selector_terms;
    let mut expressions = terms.iter().flat_map(|term| term.match_expressions.iter().flatten());
    let hostname = expressions.find(|expression| expression.key == HOSTNAME)?.values.as_ref()?.first()?;
    Some(Place { node: hostname.clone(), hostname: hostname.clone(), directory })
}

#[cfg(test)]
mod tests;
