//! Disks and claims that only one Pod may use at a time
//! (upstream: `pkg/scheduler/framework/plugins/volumerestrictions`).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Volume;

use super::volume_binding::not_found;
use crate::framework::{Filter, FilterPlugin, Status};
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

#[derive(Debug)]
pub(super) struct VolumeRestrictions;

/// The claims of a Pod that no other may use beside it.
fn exclusive<'a>(pod: &'a PodInfo, snapshot: &Snapshot) -> BTreeSet<&'a str> {
    let shared = pod.claims.iter().filter(|(_, ephemeral)| !ephemeral).map(|(name, _)| name.as_str());
    let is_exclusive = |name: &&str| {
        let claim = snapshot.volumes.claim(pod.namespace(), name);
        let modes = claim.and_then(|claim| claim.spec.as_ref()?.access_modes.as_deref()).unwrap_or_default();
        modes.iter().any(|mode| mode == "ReadWriteOncePod")
    };
    shared.filter(is_exclusive).collect()
}

/// Whether both volumes are the same disk, and one of them is written to.
fn clash(one: &Volume, other: &Volume) -> bool {
    let written = |one: Option<bool>, other: Option<bool>| !(one == Some(true) && other == Some(true));
    if let (Some(one), Some(other)) = (&one.gce_persistent_disk, &other.gce_persistent_disk)
        && one.pd_name == other.pd_name
        && written(one.read_only, other.read_only)
    {
        return true;
    }
    if let (Some(one), Some(other)) = (&one.aws_elastic_block_store, &other.aws_elastic_block_store)
        && one.volume_id == other.volume_id
    {
        return true;
    }
    if let (Some(one), Some(other)) = (&one.iscsi, &other.iscsi)
        && one.iqn == other.iqn
        && written(one.read_only, other.read_only)
    {
        return true;
    }
    let (Some(one), Some(other)) = (&one.rbd, &other.rbd) else { return false };
    one.monitors.iter().any(|monitor| other.monitors.contains(monitor))
        && one.pool == other.pool
        && one.image == other.image
        && written(one.read_only, other.read_only)
}

fn volumes(pod: &PodInfo) -> impl Iterator<Item = &Volume> {
    pod.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten())
}

fn is_disk(volume: &Volume) -> bool {
    volume.gce_persistent_disk.is_some()
        || volume.aws_elastic_block_store.is_some()
        || volume.iscsi.is_some()
        || volume.rbd.is_some()
}

impl FilterPlugin for VolumeRestrictions {
    fn name(&self) -> &'static str {
        "VolumeRestrictions"
    }

    fn refuses(&self, pod: &PodInfo, snapshot: &Snapshot) -> Option<String> {
        let mut shared = pod.claims.iter().filter(|(_, ephemeral)| !ephemeral);
        let missing = shared.find(|(name, _)| snapshot.volumes.claim(pod.namespace(), name).is_none())?;
        Some(not_found(&missing.0))
    }

    fn filter<'a>(&self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Filter<'a>> {
        let disks: Vec<&Volume> = volumes(pod).filter(|volume| is_disk(volume)).collect();
        let exclusive = exclusive(pod, snapshot);
        // Wherever it is in use: no node can have it.
        let in_use = !exclusive.is_empty()
            && snapshot.nodes.iter().flat_map(|node| &node.pods).any(|other| {
                other.namespace() == pod.namespace()
                    && other.claims.iter().any(|(name, _)| exclusive.contains(name.as_str()))
            });
        if disks.is_empty() && !in_use {
            return None;
        }
        Some(Box::new(move |node| {
            let mut taken = node.pods.iter().flat_map(|other| volumes(other));
            if taken.any(|taken| disks.iter().any(|disk| clash(disk, taken))) {
                return Err(Status::unschedulable("node(s) had no available disk"));
            }
            match in_use {
                true => Err(Status::unschedulable(
                    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by \
                     another pod",
                )),
                false => Ok(()),
            }
        }))
    }
}
