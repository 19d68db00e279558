//! Volumes of claims: PersistentVolumes of the types `local` and `hostPath` (upstream:
//! `pkg/kubelet/volumemanager/populator`, `pkg/volume/util/operationexecutor`, `pkg/volume/local`).
//!
//! Containers mount the path of the node itself, so nothing of it is ever below the Pod's directory, which is removed with
//! the Pod.
//!
//! Absent: file systems on block devices, mount options other than `ro` and `rw`.

mod check;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use apimachinery::gotext;
use client::EventType;
use cri::Device;
use k8s_openapi::api::core::v1::{Container, Node, PersistentVolume, VolumeDevice};
use parking_lot::Mutex;
use registry::volumes::{annotation, fits_labels, mode};

use super::ownership::{self, Group};
use crate::containers::PodHands;
use crate::names;

pub(crate) use check::refusal;

/// On volumes: the group that may use what is in them.
const GROUP: &str = "pv.beta.kubernetes.io/gid";

/// The volumes of claims by the names of the Pod's volumes, or why there is none.
pub(crate) type Claimed = BTreeMap<String, Result<ClaimedVolume, Unusable>>;

/// Why there is no volume for a claim.
#[derive(Debug, Clone)]
pub(crate) struct Unusable {
    why: String,
    /// The claim that has to change, and its version, if it is there.
    claim: Option<(String, Option<u64>)>,
}

impl From<String> for Unusable {
    fn from(why: String) -> Self {
        Self { why, claim: None }
    }
}

/// The volume of a Pod's claim.
#[derive(Debug, Clone)]
pub(crate) struct ClaimedVolume {
    volume: Arc<PersistentVolume>,
    read_only: bool,
}

/// What a volume is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// A directory that is there.
    Local,
    /// A path that is checked, or made, as this type of hostPath volumes.
    HostPath(String),
    /// A block device.
    Device,
}

/// Where a step failed, as upstream names it, and why.
type Failure = (&'static str, String);

/// Which Pods of the node use which PersistentVolumes. Who writes and reads: the work on the volumes of Pods.
#[derive(Debug, Default)]
pub(crate) struct VolumesInUse(Mutex<BTreeMap<String, BTreeSet<String>>>);

impl VolumesInUse {
    /// Notes that a Pod uses a volume, unless it wants it `alone` and has it not. Says whether others use it.
    fn take(&self, volume: &str, uid: &str, alone: bool) -> bool {
        let mut users = self.0.lock();
        let users = users.entry(volume.to_owned()).or_default();
        let others = users.iter().any(|user| user != uid);
        if !(others && alone) {
            users.insert(uid.to_owned());
        }
        others
    }

    /// A Pod has ended.
    pub(crate) fn release(&self, uid: &str) {
        self.0.lock().retain(|_, users| {
            users.remove(uid);
            !users.is_empty()
        });
    }
}

impl ClaimedVolume {
    fn name(&self) -> &str {
        self.volume.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its place on the node.
    pub(crate) fn path(&self) -> PathBuf {
        let spec = self.volume.spec.as_ref();
        let local = spec.and_then(|spec| spec.local.as_ref()).map(|local| &local.path);
        let host = spec.and_then(|spec| spec.host_path.as_ref()).map(|host| &host.path);
        local.or(host).map(PathBuf::from).unwrap_or_default()
    }

    fn options(&self) -> &[String] {
        self.volume.spec.as_ref().and_then(|spec| spec.mount_options.as_deref()).unwrap_or_default()
    }

    /// Whether nobody may write to it.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only || self.options().iter().any(|option| option == "ro")
    }

    fn is_for_one_pod(&self) -> bool {
        let modes = self.volume.spec.as_ref().and_then(|spec| spec.access_modes.as_deref());
        modes.is_some_and(|modes| modes == ["ReadWriteOncePod"])
    }

    /// What it is, if it can be used on a node with these labels.
    fn kind(&self, labels: Option<&BTreeMap<String, String>>) -> Result<Kind, Failure> {
        if !fits_labels(&self.volume, labels) {
            return Err(("MountVolume.NodeAffinity check", "no matching NodeSelectorTerms".to_owned()));
        }
        let spec = self.volume.spec.as_ref();
        let is_device = mode(spec.and_then(|spec| spec.volume_mode.as_ref())) == "Block";
        let unserved = |what: &str| format!("{what} not served yet; README.md lists what is");
        if let Some(host) = spec.and_then(|spec| spec.host_path.as_ref()) {
            if is_device {
                let why = "hostPath volumes are no block devices".to_owned();
                return Err(("MapVolume.FindMapperPluginBySpec", why));
            }
            if !self.options().is_empty() {
                let why = "mount options are not supported for this volume type".to_owned();
                return Err(("MountVolume.MountOptionSupport check", why));
            }
            return Ok(Kind::HostPath(host.type_.clone().unwrap_or_default()));
        }
        if spec.is_none_or(|spec| spec.local.is_none()) {
            return Err(("MountVolume.FindPluginBySpec", unserved("volumes of this type are")));
        }
        if is_device {
            return Ok(Kind::Device);
        }
        if let Some(other) = self.options().iter().find(|option| !["ro", "rw"].contains(&option.as_str())) {
            return Err(("MountVolume.SetUp", unserved(&format!("the mount option {other:?} is"))));
        }
        Ok(Kind::Local)
    }
}

/// The groups that volumes are for, without those in `known`.
pub(crate) fn groups(claimed: &Claimed, known: &[u32]) -> BTreeSet<u32> {
    let volumes = claimed.values().filter_map(|found| found.as_ref().ok());
    let group = |claimed: &ClaimedVolume| annotation(&claimed.volume.metadata, GROUP)?.parse().ok();
    volumes.filter_map(group).filter(|group| !known.contains(group)).collect()
}

/// The devices that a container gets.
pub(crate) fn devices(container: &Container, claimed: &Claimed) -> Vec<Device> {
    let wanted = container.volume_devices.iter().flatten();
    let device = |wanted: &VolumeDevice| {
        let volume = claimed.get(&wanted.name)?.as_ref().ok()?;
        let permissions = if volume.is_read_only() { "r" } else { "mrw" };
        Some(Device {
            host_path: volume.path(),
            container_path: PathBuf::from(&wanted.device_path),
            permissions: permissions.to_owned(),
        })
    };
    wanted.filter_map(device).collect()
}

/// Makes a volume ready. `group` gets what is in it if `marker`, which stands for that, is not there; gives the group that has
/// it already, if it is not to be changed because others use it.
fn set_up(kind: &Kind, path: &Path, marker: &Path, group: Option<Group>, shared: bool) -> Result<Option<u32>, Failure> {
    use std::os::unix::fs::FileTypeExt;
    if path.components().any(|part| part == std::path::Component::ParentDir) {
        return Err(("MountVolume.SetUp", format!("invalid path: {} must not contain '..'", path.display())));
    }
    let missing = || format!("path {:?} does not exist", path.display().to_string());
    let found = std::fs::metadata(path);
    match kind {
        Kind::HostPath(kind) => {
            super::check_host_path(path, kind).map_err(|error| ("MountVolume.SetUp", error.to_string()))?;
            return Ok(None);
        }
        Kind::Device => {
            let found = found.map_err(|_| ("MapVolume.MapBlockVolume", missing()))?;
            if found.file_type().is_block_device() {
                return Ok(None);
            }
            return Err(("MapVolume.MapBlockVolume", format!("path {} is not a block device", path.display())));
        }
        Kind::Local => {
            const NEW: &str = "MountVolume.NewMounter initialization";
            let found = found.map_err(|_| (NEW, missing()))?;
            if found.file_type().is_block_device() {
                let why = "file systems on block devices are not served yet; take a directory, or volumeMode Block";
                return Err(("MountVolume.MountDevice", why.to_owned()));
            }
            if !found.is_dir() {
                return Err((NEW, "only directory and block device are supported".to_owned()));
            }
        }
    }
    let Some(group) = group.filter(|_| !marker.exists()) else { return Ok(None) };
    let other = ownership::give(path, group, shared);
    let marked = marker.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(marker, b""));
    marked.map_err(|error| ("MountVolume.SetUp", gotext::io_error(&error)))?;
    Ok(other)
}

impl PodHands {
    /// Makes the volume of a claim ready for containers.
    pub(crate) async fn set_up_claimed(&self, volume: &str, claimed: &ClaimedVolume) -> Result<(), String> {
        let failed = |(step, why): Failure| format!("{step} failed for volume {:?} : {why}", claimed.name());
        let node = self.shared.node.store().get(&self.shared.config.node_name);
        let node: Option<Arc<Node>> = node.and_then(|node| node.typed().ok());
        let kind = claimed.kind(node.as_ref().and_then(|node| node.metadata.labels.as_ref())).map_err(failed)?;
        let alone = claimed.is_for_one_pod();
        let shared = self.shared.volumes_in_use.take(claimed.name(), names::uid(&self.pod), alone);
        if shared && alone {
            let why = "volume uses the ReadWriteOncePod access mode and is already in use by another pod";
            return Err(failed(("MountVolume.SetUp", why.to_owned())));
        }
        let group = Group::of(&self.pod).filter(|_| !claimed.is_read_only());
        let (path, marker) = (claimed.path(), self.volume_directory(volume));
        let work = move || set_up(&kind, &path, &marker, group, shared);
        let done = self.shared.supervisor.blocking(work).await;
        let panicked = || Err(("MountVolume.SetUp", "the work panicked".to_owned()));
        let other = done.unwrap_or_else(panicked).map_err(failed)?;
        if let (Some(Group { id: wanted, .. }), Some(other)) = (group, other)
            && wanted != other
        {
            let text = format!(
                "The requested fsGroup is {wanted}, but the volume {} has GID {other}. The volume may not be shareable.",
                claimed.name()
            );
            self.recorder().event(self.about.clone(), EventType::Warning, "AlreadyMountedVolume", text);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
