//! Gives what is in a volume to the Pod's group (upstream: `pkg/volume/volume_linux.go`).

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use k8s_openapi::api::core::v1::Pod;

/// What the group may do with files.
const FILE: u32 = 0o660;
/// What it may do with directories: new files in them are the group's too.
const DIRECTORY: u32 = 0o2770;

/// The group of a Pod's volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) id: u32,
    /// Whether all is left alone if the volume's root is as it should be (`OnRootMismatch`).
    pub(super) looks_at_root: bool,
}

impl Group {
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        let context = pod.spec.as_ref()?.security_context.as_ref()?;
        let looks_at_root = context.fs_group_change_policy.as_deref() == Some("OnRootMismatch");
        Some(Self { id: u32::try_from(context.fs_group?).ok()?, looks_at_root })
    }
}

/// Gives all below `root` to `group`, unless the volume is `shared` with other Pods: then gives the group that has it.
pub(super) fn give(root: &Path, group: Group, shared: bool) -> Option<u32> {
    // The volume may be named by a link.
    let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let found = fs::metadata(&root).ok();
    if shared {
        return found.map(|found| found.gid());
    }
    let fits = |found: &Metadata| found.gid() == group.id && found.mode() & DIRECTORY == DIRECTORY;
    if !(group.looks_at_root && found.is_some_and(|found| fits(&found))) {
        walk(&root, group.id);
    }
    None
}

/// The root comes last, so that it fits only if all below it does. What can't be changed is left alone, as in upstream.
fn walk(path: &Path, group: u32) {
    let Ok(found) = fs::symlink_metadata(path) else { return };
    if found.is_dir()
        && let Ok(entries) = fs::read_dir(path)
    {
        entries.flatten().for_each(|entry| walk(&entry.path(), group));
    }
    if let Err(error) = change(path, &found, group) {
        tracing::warn!(path = %path.display(), error = %error, "failed to give a file to the Pod's group");
    }
}

fn change(path: &Path, found: &Metadata, group: u32) -> io::Result<()> {
    lchown(path, None, Some(group))?;
    if found.is_symlink() {
        // Its own mode means nothing, and what it leads to has one of its own.
        return Ok(());
    }
    let more = if found.is_dir() { DIRECTORY } else { FILE };
    fs::set_permissions(path, Permissions::from_mode((found.mode() | more) & 0o7777))
}
