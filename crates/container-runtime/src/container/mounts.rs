//! Everything mounted in a container.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use cri::{Mount, MountPropagation};
use rustix::fs::{AtFlags, FileType, makedev};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::image::mount_image;
use super::report::{StartFailure, plain};
use super::root::{Root, copy_tree, new_mount};
use super::spec::ContainerSpec;
use crate::cgroups::Hierarchies;
use crate::sys::mount::{ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, MountChange, change_mount};

/// Devices that every container has: name, major, minor.
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
/// Links that every container has in `/dev`.
const LINKS: [(&str, &CStr); 6] = [
    ("fd", c"/proc/self/fd"),
    ("stdin", c"/proc/self/fd/0"),
    ("stdout", c"/proc/self/fd/1"),
    ("stderr", c"/proc/self/fd/2"),
    ("ptmx", c"pts/ptmx"),
    ("core", c"/proc/kcore"),
];

fn failed(what: &str, path: &Path, error: Errno) -> StartFailure {
    let why = plain(&io::Error::from(error).to_string());
    StartFailure::new(format!("error mounting {what:?} to rootfs at {:?}: {why}", path.display().to_string()))
}

/// Volumes in the order in which they are mounted: those of the node copied out of its mounts before those are cut off.
#[derive(Debug)]
pub(super) struct Volumes<'a> {
    spec: &'a ContainerSpec,
    mounts: Vec<(&'a Mount, Source)>,
    shm: OwnedFd,
}

#[derive(Debug)]
enum Source {
    /// A detached copy, and whether it is a directory.
    Node(OwnedFd, bool),
    Image,
}

impl<'a> Volumes<'a> {
    /// Call it in the new mount namespace, while its mounts are still peers of the node's: so a copy that is to share later
    /// mounts with the node does.
    pub(super) fn copy(spec: &'a ContainerSpec) -> Result<Self, StartFailure> {
        let mut order: Vec<&Mount> = spec.mounts.iter().collect();
        // Parents before children, as containerd does.
        order.sort_by_key(|mount| mount.container_path.components().count());
        let copy = |mount: &'a Mount| {
            if mount.image.is_some() {
                return Ok((mount, Source::Image));
            }
            let fail = |error| failed(&source(mount), &mount.container_path, error);
            let tree = copy_tree(&mount.host_path).map_err(fail)?;
            let stat = rustix::fs::statat(&tree, c"", AtFlags::EMPTY_PATH).map_err(fail)?;
            let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            Ok((mount, Source::Node(tree, is_directory)))
        };
        let shm = copy_tree(&spec.shm).map_err(|error| failed("shm", Path::new("/dev/shm"), error))?;
        Ok(Self { spec, mounts: order.into_iter().map(copy).collect::<Result<_, _>>()?, shm })
    }

    fn attach(&self, root: &Root) -> Result<(), StartFailure> {
        for (mount, from) in &self.mounts {
            let fail = |error| failed(&source(mount), &mount.container_path, error);
            match from {
                Source::Node(tree, is_directory) => {
                    settle(tree, mount)?;
                    root.attach(tree.as_fd(), &mount.container_path, *is_directory).map_err(fail)?;
                }
                Source::Image => {
                    let lowers = mount.image.as_ref().and_then(|image| self.spec.images.get(image));
                    let lowers = lowers.ok_or(Errno::NOENT).map_err(fail)?;
                    let made = mount_image(lowers, &mount.image_sub_path, &self.spec.directory);
                    let (tree, is_directory) = made.map_err(fail)?;
                    root.attach(tree.as_fd(), &mount.container_path, is_directory).map_err(fail)?;
                }
            }
        }
        Ok(())
    }
}

/// What is mounted, for messages.
fn source(mount: &Mount) -> String {
    match &mount.image {
        Some(image) => Path::new(image).join(&mount.image_sub_path).display().to_string(),
        None => mount.host_path.display().to_string(),
    }
}

/// Makes a copy of the node's mounts what the container is to have.
fn settle(tree: &OwnedFd, mount: &Mount) -> Result<(), StartFailure> {
    let change = |change: MountChange| {
        change_mount(tree.as_fd(), c"", change)
            .map_err(|error| StartFailure::of(format!("error mounting {:?}", source(mount)), &error))
    };
    let propagation = match mount.propagation {
        MountPropagation::Private => libc::MS_PRIVATE,
        MountPropagation::HostToContainer => libc::MS_SLAVE,
        MountPropagation::Bidirectional => libc::MS_SHARED,
    };
    change(MountChange { propagation, recursive: true, ..MountChange::default() })?;
    if mount.readonly || mount.recursive_read_only {
        let recursive = mount.recursive_read_only;
        change(MountChange { set: ATTR_RDONLY, recursive, ..MountChange::default() })?;
    }
    Ok(())
}

const PLAIN: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV).union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

fn add(
    root: &Root,
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
    path: &str,
) -> Result<(), StartFailure> {
    let path = Path::new(path);
    let mount = new_mount(kind, options, attributes).map_err(|error| failed(kind, path, error))?;
    root.attach(mount.as_fd(), path, true).map_err(|error| failed(kind, path, error))
}

/// Furnishes the root: kernel file systems, devices, volumes, then what is masked.
pub(super) fn furnish(root: &Root, spec: &ContainerSpec, volumes: &Volumes<'_>) -> Result<(), StartFailure> {
    let read_only = if spec.privileged { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_RDONLY };
    add(root, "proc", &[], PLAIN, "/proc")?;
    add(root, "sysfs", &[], PLAIN | read_only, "/sys")?;
    cgroups(root, PLAIN | read_only)?;
    add(root, "tmpfs", &[("mode", "755"), ("size", "65536k")], MountAttrFlags::MOUNT_ATTR_NOSUID, "/dev")?;
    let pts = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    add(root, "devpts", &[("mode", "620"), ("gid", "5"), ("ptmxmode", "666")], pts, "/dev/pts")?;
    add(root, "mqueue", &[], PLAIN, "/dev/mqueue")?;
    let shm = Path::new("/dev/shm");
    root.attach(volumes.shm.as_fd(), shm, true).map_err(|error| failed("shm", shm, error))?;
    devices(root, spec)?;
    volumes.attach(root)?;
    for path in &spec.readonly_paths {
        make_read_only(root, path)?;
    }
    for path in &spec.masked_paths {
        mask(root, path)?;
    }
    Ok(())
}

fn devices(root: &Root, spec: &ContainerSpec) -> Result<(), StartFailure> {
    for (name, major, minor) in DEVICES {
        let path = Path::new("/dev").join(name);
        root.make_node(&path, FileType::CharacterDevice, 0o666, makedev(major, minor))
            .map_err(|error| failed(name, &path, error))?;
    }
    for (name, target) in LINKS {
        let path = Path::new("/dev").join(name);
        root.make_link(target, &path).map_err(|error| failed(name, &path, error))?;
    }
    for device in &spec.devices {
        let fail = |error| failed("device", &device.path, error);
        let kind = if device.block { FileType::BlockDevice } else { FileType::CharacterDevice };
        root.make_node(&device.path, kind, device.mode, makedev(device.major, device.minor)).map_err(fail)?;
        let node = root.open(&device.path).map_err(fail)?;
        let (uid, gid) = (rustix::fs::Uid::from_raw(device.uid), rustix::fs::Gid::from_raw(device.gid));
        rustix::fs::chownat(&node, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH).map_err(fail)?;
    }
    Ok(())
}

/// The container's own view of its cgroups, in the shape that the node has. What can't be mounted here (the kernel hides
/// hierarchies that are not visible in full) is left out: it is for reading limits only.
fn cgroups(root: &Root, attributes: MountAttrFlags) -> Result<(), StartFailure> {
    let top = Path::new("/sys/fs/cgroup");
    if root.open(top).is_err() {
        return Ok(());
    }
    let found =
        Hierarchies::detect().map_err(|error| StartFailure::of("failed to read the cgroup hierarchies", &error))?;
    if found.v1.is_empty() {
        return match new_mount("cgroup2", &[], attributes) {
            Ok(mount) => root.attach(mount.as_fd(), top, true).map_err(|error| failed("cgroup", top, error)),
            Err(_) => Ok(()),
        };
    }
    add(root, "tmpfs", &[("mode", "755")], PLAIN, "/sys/fs/cgroup")?;
    let name = |mount: &Path| top.join(mount.file_name().unwrap_or_default());
    let mut mounts: BTreeMap<PathBuf, OwnedFd> = BTreeMap::new();
    for v1 in &found.v1 {
        let options: Vec<(&str, &str)> = v1
            .controllers
            .iter()
            .flat_map(|controller| match controller.split_once('=') {
                Some((key, value)) => vec![("none", ""), (key, value)],
                None => vec![(controller.as_str(), "")],
            })
            .collect();
        if let Ok(mount) = new_mount("cgroup", &options, attributes) {
            mounts.insert(name(&v1.mount), mount);
        }
    }
    // Without limits in it there is nothing to read: runc leaves it out, and programs take it for a sign of v2.
    let limits = ["cpu", "memory", "pids"].iter().any(|controller| found.is_unified(controller));
    if let Some(unified) = found.unified().filter(|_| limits)
        && let Ok(mount) = new_mount("cgroup2", &[], attributes)
    {
        mounts.insert(name(unified), mount);
    }
    for (path, mount) in &mounts {
        root.attach(mount.as_fd(), path, true).map_err(|error| failed("cgroup", path, error))?;
    }
    Ok(())
}

fn make_read_only(root: &Root, path: &Path) -> Result<(), StartFailure> {
    let fail = |error| failed("readonly path", path, error);
    let Ok(target) = root.open(path) else { return Ok(()) };
    let flags = rustix::mount::OpenTreeFlags::OPEN_TREE_CLONE
        | rustix::mount::OpenTreeFlags::OPEN_TREE_CLOEXEC
        | rustix::mount::OpenTreeFlags::AT_EMPTY_PATH
        | rustix::mount::OpenTreeFlags::AT_RECURSIVE;
    let tree = rustix::mount::open_tree(&target, c"", flags).map_err(fail)?;
    let set = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC;
    change_mount(tree.as_fd(), c"", MountChange { set, recursive: true, ..MountChange::default() })
        .map_err(|error| StartFailure::of(format!("readonly path {}", path.display()), &error))?;
    let stat = rustix::fs::statat(&target, c"", AtFlags::EMPTY_PATH).map_err(fail)?;
    root.attach(tree.as_fd(), path, FileType::from_raw_mode(stat.st_mode) == FileType::Directory).map_err(fail)
}

/// Covers a file with /dev/null, a directory with an empty, read-only one.
fn mask(root: &Root, path: &Path) -> Result<(), StartFailure> {
    let fail = |error| failed("masked path", path, error);
    let Ok(target) = root.open(path) else { return Ok(()) };
    let stat = rustix::fs::statat(&target, c"", AtFlags::EMPTY_PATH).map_err(fail)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let empty =
            new_mount("tmpfs", &[("size", "0k"), ("nr_inodes", "1")], PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY)
                .map_err(fail)?;
        root.attach(empty.as_fd(), path, true).map_err(fail)
    } else {
        let null = copy_tree(Path::new("/dev/null")).map_err(fail)?;
        root.attach(null.as_fd(), path, false).map_err(fail)
    }
}
