//! The container's root file system while it is being furnished, before it becomes `/`.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount, open_tree,
};

use super::report::StartFailure;

/// A new, detached mount. Options without a value are flags.
pub(crate) fn new_mount(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        if value.is_empty() {
            fsconfig_set_flag(context.as_fd(), *key)?;
        } else {
            fsconfig_set_string(context.as_fd(), *key, *value)?;
        }
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A detached copy of what is mounted at `path`, with all mounts below.
pub(crate) fn copy_tree(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags)
}

/// Attaches a detached mount at a path of the caller's own choosing.
pub(crate) fn attach_at(mount: BorrowedFd<'_>, path: &Path) -> Result<(), Errno> {
    move_mount(mount, c"", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// The root being furnished. Paths are resolved inside of it: a symbolic link of an image leads nowhere else.
#[derive(Debug)]
pub(crate) struct Root {
    directory: OwnedFd,
}

impl Root {
    /// Mounts the layers with a fresh upper directory at `<directory>/rootfs`.
    pub(crate) fn mount(lowers: &[PathBuf], directory: &Path) -> Result<Self, StartFailure> {
        let point = directory.join("rootfs");
        let failed = |error: Errno| {
            let why = match error {
                Errno::INVAL => "invalid argument (is its directory itself on an overlay file system?)".to_owned(),
                error => super::report::plain(&io::Error::from(error).to_string()),
            };
            StartFailure::new(format!("error mounting the overlay root file system of {}: {why}", directory.display()))
        };
        match overlay(lowers, directory) {
            Ok(detached) => attach_at(detached.as_fd(), &point).map_err(failed)?,
            // Before Linux 6.8 layers can't be given one by one.
            Err(Errno::INVAL) => overlay_by_text(lowers, directory, &point).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&point, flags, Mode::empty()).map_err(failed)?;
        Ok(Self { directory })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Opens a path inside, without leaving it.
    pub(crate) fn open(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.directory, relative(path), flags, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    /// Opens a directory inside, making what is missing.
    pub(crate) fn make_directory(&self, path: &Path) -> Result<OwnedFd, Errno> {
        match self.open(path) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let mut done = PathBuf::new();
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            let parent = self.open(&done)?;
            match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                // A dangling link also "exists"; opening it then says what is wrong.
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            done.push(name);
        }
        self.open(path)
    }

    /// Opens a mount point of the kind of what is to be mounted there, making it if it is missing.
    pub(crate) fn make_point(&self, path: &Path, is_directory: bool) -> Result<OwnedFd, Errno> {
        if is_directory {
            return self.make_directory(path);
        }
        match self.open(path) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL) };
        let parent = self.make_directory(parent)?;
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644))?;
        self.open(path)
    }

    /// Attaches a detached mount inside.
    pub(crate) fn attach(&self, mount: BorrowedFd<'_>, path: &Path, is_directory: bool) -> Result<(), Errno> {
        let point = self.make_point(path, is_directory)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(mount, c"", &point, c"", flags)
    }

    /// Makes a device node inside, replacing a file of that name.
    pub(crate) fn make_node(&self, path: &Path, kind: FileType, mode: u32, device: u64) -> Result<(), Errno> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL) };
        let parent = self.make_directory(parent)?;
        match rustix::fs::mknodat(&parent, name, kind, Mode::from_raw_mode(mode), device) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        // Past the umask.
        rustix::fs::chmodat(&parent, name, Mode::from_raw_mode(mode), rustix::fs::AtFlags::empty())
    }

    /// Makes a symbolic link inside.
    pub(crate) fn make_link(&self, target: &CStr, path: &Path) -> Result<(), Errno> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL) };
        let parent = self.make_directory(parent)?;
        match rustix::fs::symlinkat(target, &parent, name) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

pub(super) fn relative(path: &Path) -> &Path {
    let bare = path.strip_prefix("/").unwrap_or(path);
    if bare.as_os_str().is_empty() { Path::new(".") } else { bare }
}

fn overlay(lowers: &[PathBuf], directory: &Path) -> Result<OwnedFd, Errno> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for lower in lowers {
        fsconfig_set_string(context.as_fd(), "lowerdir+", lower)?;
    }
    fsconfig_set_string(context.as_fd(), "upperdir", directory.join("upper"))?;
    fsconfig_set_string(context.as_fd(), "workdir", directory.join("work"))?;
    // Nothing of the upper directory outlives the container, so nothing of it has to reach the disk.
    fsconfig_set_flag(context.as_fd(), "volatile")?;
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// The old way: all options in one text of at most a page.
fn overlay_by_text(lowers: &[PathBuf], directory: &Path, point: &Path) -> Result<(), Errno> {
    let (upper, work) = (directory.join("upper"), directory.join("work"));
    from_common_parent(lowers, |names| {
        let options =
            format!("lowerdir={},upperdir={},workdir={},volatile", names.join(":"), upper.display(), work.display());
        let options = CString::new(options).map_err(|_| Errno::INVAL)?;
        mount("overlay", point, "overlay", MountFlags::empty(), options.as_c_str())
    })
}

/// Calls `mount` in the layers' common parent with their paths from there, which keeps options short.
pub(super) fn from_common_parent(
    lowers: &[PathBuf],
    mount: impl FnOnce(&[String]) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let parent = lowers.first().and_then(|lower| lower.parent()).unwrap_or(Path::new("/"));
    let before = rustix::process::getcwd(vec![])?;
    rustix::process::chdir(parent)?;
    let names: Vec<String> = lowers
        .iter()
        .map(|lower| lower.strip_prefix(parent).unwrap_or(lower).display().to_string().replace(':', "\\:"))
        .collect();
    let mounted = mount(&names);
    rustix::process::chdir(before.as_c_str())?;
    mounted
}
