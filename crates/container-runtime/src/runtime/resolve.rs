//! From what the kubelet asks for and what the image says to what the supervisor does. Reads device numbers and seccomp
//! profiles of the node, otherwise pure.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use cri::{
    ContainerConfig, LinuxContainerSecurityContext, Mount, NamespaceMode, RuntimeError, SeccompProfile,
    SupplementalGroupsPolicy,
};
use rustix::fs::{major, minor};

use super::Rootfs;
use super::chain;
use crate::capabilities::{self, CapabilityMask};
use crate::cgroups::DeviceRule;
use crate::container::{ContainerSpec, DeviceNode, ProcessSpec};
use crate::images::io_text;
use crate::seccomp;
use crate::sys::seccomp::Instruction;
use crate::user::UserRequest;

/// Hidden from containers unless their pod says otherwise: Docker's and containerd's list.
const MASKED_PATHS: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// Readable only, unless their pod says otherwise.
const READONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Where a container is made, and for whom.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) id: String,
    pub(super) directory: PathBuf,
    pub(super) cgroup: String,
    pub(super) shm: PathBuf,
    pub(super) hostname: String,
    pub(super) log_directory: PathBuf,
    pub(super) pid: cri::NamespaceMode,
    /// Files that every container of the pod gets unless it mounts its own: (file on the node, path in the container).
    pub(super) files: Vec<(PathBuf, &'static str)>,
}

/// A container to be made, and the devices it may use; none for all. `volumes` are the images that it mounts, in their order.
pub(super) fn resolve(
    place: &Place,
    config: &ContainerConfig,
    rootfs: &Rootfs,
    volumes: &[Rootfs],
) -> Result<(ContainerSpec, Option<Vec<DeviceRule>>), RuntimeError> {
    let invalid = |message: String| RuntimeError::InvalidConfig(message);
    let security = &config.security_context;
    let mask = capabilities::resolve(security.privileged, &security.capabilities)
        .map_err(|error| invalid(error.to_string()))?;
    let (devices, rules) = devices(config)?;
    let paths = |given: &Option<Vec<PathBuf>>, default: &[&str]| match given {
        _ if security.privileged => vec![],
        Some(paths) => paths.clone(),
        None => default.iter().map(PathBuf::from).collect(),
    };
    // Where the pod's containers share their processes there is nothing to join.
    let target = config.target.as_ref().filter(|_| place.pid == NamespaceMode::Container);
    let spec = ContainerSpec {
        id: place.id.clone(),
        directory: place.directory.clone(),
        lowers: rootfs.lowers.clone(),
        process: ProcessSpec {
            argv: argv(config, rootfs)?,
            env: environment(config, rootfs, &place.hostname),
            cwd: cwd(config, rootfs),
            user: user(security, &rootfs.config.user),
            capabilities: mask,
            no_new_privs: security.no_new_privs,
            seccomp: filter(security, mask)?,
            tty: config.tty,
            oom_score_adj: config.resources.oom_score_adj.unwrap_or(0),
        },
        mounts: mounts(place, config)?,
        images: images(config, volumes)?,
        devices,
        masked_paths: paths(&security.masked_paths, &MASKED_PATHS),
        readonly_paths: paths(&security.readonly_paths, &READONLY_PATHS),
        readonly_rootfs: security.readonly_rootfs,
        privileged: security.privileged,
        cgroup: place.cgroup.clone(),
        shm: place.shm.clone(),
        pid: if target.is_some() { NamespaceMode::Pod } else { place.pid },
        target: target.map(ToString::to_string),
        log_path: config.log_path.as_ref().map(|path| place.log_directory.join(path)),
        stdin: config.stdin,
        stdin_once: config.stdin_once,
    };
    Ok((spec, rules))
}

/// `command` replaces the image's entry point and, alone, its arguments too; `args` replaces its arguments.
fn argv(config: &ContainerConfig, rootfs: &Rootfs) -> Result<Vec<String>, RuntimeError> {
    let image = &rootfs.config;
    let (program, arguments) = match (config.command.is_empty(), config.args.is_empty()) {
        (false, _) => (&config.command, &config.args),
        (true, false) => (&image.entrypoint, &config.args),
        (true, true) => (&image.entrypoint, &image.cmd),
    };
    let argv: Vec<String> = program.iter().chain(arguments).cloned().collect();
    if argv.is_empty() {
        return Err(RuntimeError::InvalidConfig("no command specified".into()));
    }
    Ok(argv)
}

fn environment(config: &ContainerConfig, rootfs: &Rootfs, hostname: &str) -> Vec<String> {
    let mut environment = rootfs.config.env.clone();
    let mut set = |key: &str, value: &str| {
        let prefix = format!("{key}=");
        environment.retain(|variable| !variable.starts_with(&prefix));
        environment.push(format!("{prefix}{value}"));
    };
    if !hostname.is_empty() {
        set("HOSTNAME", hostname);
    }
    for variable in &config.envs {
        set(&variable.key, &variable.value);
    }
    environment
}

fn cwd(config: &ContainerConfig, rootfs: &Rootfs) -> String {
    let own = config.working_dir.as_ref().map(|path| path.display().to_string()).filter(|path| !path.is_empty());
    let cwd = own.unwrap_or_else(|| rootfs.config.working_dir.clone());
    if cwd.is_empty() { "/".into() } else { cwd }
}

fn user(security: &LinuxContainerSecurityContext, image_user: &str) -> UserRequest {
    let user = match (security.run_as_user, &security.run_as_username) {
        (Some(uid), _) => uid.to_string(),
        (None, Some(name)) if !name.is_empty() => name.clone(),
        _ => image_user.to_owned(),
    };
    UserRequest {
        user,
        group: security.run_as_group,
        supplemental: security.supplemental_groups.clone(),
        merge_groups: security.supplemental_groups_policy == SupplementalGroupsPolicy::Merge,
    }
}

fn filter(
    security: &LinuxContainerSecurityContext,
    mask: CapabilityMask,
) -> Result<Option<Vec<Instruction>>, RuntimeError> {
    if security.privileged {
        return Ok(None);
    }
    match &security.seccomp {
        SeccompProfile::Unconfined => Ok(None),
        SeccompProfile::RuntimeDefault => Ok(Some(seccomp::compile(&seccomp::runtime_default(mask)))),
        SeccompProfile::Localhost(path) => {
            let name = path.display().to_string();
            let invalid = |message: String| {
                RuntimeError::InvalidConfig(format!("failed to create containerd container: {message}"))
            };
            let json = fs::read(path).map_err(|error| {
                invalid(format!("cannot load seccomp profile {name:?}: open {name}: {}", io_text(&error)))
            })?;
            let profile = seccomp::parse(&json)
                .map_err(|error| invalid(format!("decoding seccomp profile failed {name:?}: {}", chain(&error))))?;
            Ok(Some(seccomp::compile(&profile)))
        }
    }
}

fn mounts(place: &Place, config: &ContainerConfig) -> Result<Vec<Mount>, RuntimeError> {
    for mount in &config.mounts {
        if !mount.container_path.is_absolute() {
            let path = mount.container_path.display();
            return Err(RuntimeError::InvalidConfig(format!("mount path {path} has to be absolute")));
        }
        if mount.recursive_read_only && (!mount.readonly || mount.propagation != cri::MountPropagation::Private) {
            let path = mount.container_path.display();
            let message = format!("recursive read-only mount {path} has to be read-only and private");
            return Err(RuntimeError::InvalidConfig(message));
        }
    }
    let taken = |path: &str| config.mounts.iter().any(|mount| mount.container_path == Path::new(path));
    let files = place.files.iter().filter(|(_, path)| !taken(path)).map(|(file, path)| Mount {
        host_path: file.clone(),
        container_path: path.into(),
        readonly: config.security_context.readonly_rootfs,
        ..Mount::default()
    });
    Ok(files.chain(config.mounts.iter().cloned()).collect())
}

/// The mounts that are of images.
pub(super) fn of_images(config: &ContainerConfig) -> impl Iterator<Item = (&Mount, &String)> {
    config.mounts.iter().filter_map(|mount| Some((mount, mount.image.as_ref()?)))
}

/// The layers of the images that are mounted. What is wanted of them has to be there.
fn images(config: &ContainerConfig, volumes: &[Rootfs]) -> Result<BTreeMap<String, Vec<PathBuf>>, RuntimeError> {
    let mut layers = BTreeMap::new();
    for ((mount, image), volume) in of_images(config).zip(volumes) {
        let failed = |why: String| {
            let path = mount.image_sub_path.display();
            let message = format!("ImageVolumeMountFailed: failed to mount {path:?} of image {image:?}: {why}");
            Err(RuntimeError::ContainerCreate(message))
        };
        match crate::images::has(&volume.lowers, &mount.image_sub_path) {
            Ok(true) => {}
            Ok(false) => return failed("no such file or directory".to_owned()),
            Err(error) => return failed(error.to_string()),
        }
        layers.insert(image.clone(), volume.lowers.clone());
    }
    Ok(layers)
}

/// Nodes to make, and rules; none for a privileged container, which may use all.
fn devices(config: &ContainerConfig) -> Result<(Vec<DeviceNode>, Option<Vec<DeviceRule>>), RuntimeError> {
    let fail = |path: &Path, error: io::Error| {
        RuntimeError::InvalidConfig(format!(
            "error gathering device information of {:?}: {error}",
            path.display().to_string()
        ))
    };
    let mut nodes = vec![];
    let mut rules = DeviceRule::defaults();
    for device in &config.devices {
        for (source, node) in
            expand(&device.host_path, &device.container_path).map_err(|error| fail(&device.host_path, error))?
        {
            let _ = source;
            rules.push(DeviceRule {
                kind: if node.block { 'b' } else { 'c' },
                major: Some(node.major),
                minor: Some(node.minor),
                read: device.permissions.contains('r'),
                write: device.permissions.contains('w'),
                mknod: device.permissions.contains('m'),
            });
            nodes.push(node);
        }
    }
    if !config.security_context.privileged {
        return Ok((nodes, Some(rules)));
    }
    let all = expand(Path::new("/dev"), Path::new("/dev")).map_err(|error| fail(Path::new("/dev"), error))?;
    nodes.extend(all.into_iter().map(|(_, node)| node));
    Ok((nodes, None))
}

/// A device node, or all below a directory. Terminals, shared memory and queues of the node are its own.
fn expand(host: &Path, container: &Path) -> io::Result<Vec<(PathBuf, DeviceNode)>> {
    const OWN: [&str; 6] = ["pts", "shm", "mqueue", "fd", "console", ".udev"];
    let metadata = fs::metadata(host)?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        let mut found = vec![];
        for entry in fs::read_dir(host)?.flatten() {
            let name = entry.file_name();
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if !is_link && !OWN.iter().any(|own| name == *own) {
                // A directory that vanishes meanwhile has no devices.
                found.extend(expand(&entry.path(), &container.join(&name)).unwrap_or_default());
            }
        }
        return Ok(found);
    }
    if !kind.is_block_device() && !kind.is_char_device() {
        return Ok(vec![]);
    }
    let node = DeviceNode {
        path: container.into(),
        block: kind.is_block_device(),
        major: major(metadata.rdev()),
        minor: minor(metadata.rdev()),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
    };
    Ok(vec![(host.into(), node)])
}

#[cfg(test)]
mod tests;
