//! An image's files as a volume: a read-only overlay of its layers, which only the container's own namespace ever sees.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, mount, open_tree, unmount,
};

use super::root::{attach_at, copy_tree, from_common_parent, relative};
use crate::sys::mount::{ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, MountChange, change_mount};

/// A detached mount of `sub_path` of the image with these layers, and whether it is a directory. A part of a detached mount
/// can't be copied, so the whole is mounted in `directory` for a moment; call it when mounts no longer reach the node.
pub(super) fn mount_image(lowers: &[PathBuf], sub_path: &Path, directory: &Path) -> Result<(OwnedFd, bool), Errno> {
    let point = directory.join("image");
    match rustix::fs::mkdir(&point, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    match whole(lowers) {
        Ok(detached) => attach_at(detached.as_fd(), &point)?,
        // Before Linux 6.8 layers can't be given one by one.
        Err(Errno::INVAL) => whole_by_text(lowers, &point)?,
        Err(error) => return Err(error),
    }
    let part = part(&point, sub_path);
    unmount(&point, UnmountFlags::DETACH)?;
    let (tree, is_directory) = part?;
    let set = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC;
    let changed = change_mount(tree.as_fd(), c"", MountChange { set, ..MountChange::default() });
    changed.map_err(|error| error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))?;
    Ok((tree, is_directory))
}

fn whole(lowers: &[PathBuf]) -> Result<OwnedFd, Errno> {
    // An overlay takes two layers at least.
    if let [only] = lowers {
        return copy_tree(only);
    }
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for lower in lowers {
        fsconfig_set_string(context.as_fd(), "lowerdir+", lower)?;
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)
}

fn whole_by_text(lowers: &[PathBuf], point: &Path) -> Result<(), Errno> {
    from_common_parent(lowers, |names| {
        let options = CString::new(format!("lowerdir={}", names.join(":"))).map_err(|_| Errno::INVAL)?;
        mount("overlay", point, "overlay", MountFlags::RDONLY, options.as_c_str())
    })
}

/// A copy of what is at `sub_path` below `point`. The image's links lead nowhere else.
fn part(point: &Path, sub_path: &Path) -> Result<(OwnedFd, bool), Errno> {
    let path = OFlags::PATH | OFlags::CLOEXEC;
    let top = rustix::fs::openat(CWD, point, path | OFlags::DIRECTORY, Mode::empty())?;
    let found = rustix::fs::openat2(&top, relative(sub_path), path, Mode::empty(), ResolveFlags::IN_ROOT)?;
    let stat = rustix::fs::statat(&found, c"", AtFlags::EMPTY_PATH)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(&found, c"", flags)?;
    Ok((tree, FileType::from_raw_mode(stat.st_mode) == FileType::Directory))
}
