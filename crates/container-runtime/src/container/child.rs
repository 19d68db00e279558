//! A container's first process.

use std::io;
use std::os::fd::AsFd;

use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount};
use rustix::thread::UnshareFlags;

use super::mounts::{Volumes, furnish};
use super::process::{become_program, take_streams, take_terminal};
use super::report::{Reporter, StartFailure};
use super::root::Root;
use super::spec::{ContainerSpec, Streams};
use crate::cgroups::Entrances;
use crate::sys::mount::{ATTR_RDONLY, MountChange, change_mount};
use crate::sys::process::{exit, reset_signals, unshare};

/// Runs in the child, in new mount and (usually) PID namespaces; ends as the container's program or not at all.
pub(crate) fn run(spec: &ContainerSpec, entrances: &Entrances, streams: Option<Streams>, reporter: &Reporter) -> ! {
    let failure = match prepare(spec, entrances, streams, reporter) {
        Ok(()) => become_program(&spec.process, reporter),
        Err(failure) => failure,
    };
    reporter.failed(failure);
    exit(1)
}

fn step<T>(what: &str, result: rustix::io::Result<T>) -> Result<T, StartFailure> {
    result.map_err(|error| StartFailure::of(what, &io::Error::from(error)))
}

/// Enters the cgroups that it was not born in.
pub(super) fn enter_cgroups(entrances: &Entrances) -> Result<(), StartFailure> {
    entrances.enter().map_err(|error| StartFailure::of("failed to enter the container's cgroup", &error))
}

fn prepare(
    spec: &ContainerSpec,
    entrances: &Entrances,
    streams: Option<Streams>,
    reporter: &Reporter,
) -> Result<(), StartFailure> {
    reset_signals();
    enter_cgroups(entrances)?;
    step("setsid", rustix::process::setsid().map(drop))?;
    if !spec.privileged {
        unshare(UnshareFlags::NEWCGROUP).map_err(|error| StartFailure::of("unshare cgroup namespace", &error))?;
    }
    let volumes = Volumes::copy(spec)?;
    // From here on nothing mounted or unmounted in this namespace shows up in the node.
    step("make mounts private", mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC))?;
    let root = Root::mount(&spec.lowers, &spec.directory)?;
    furnish(&root, spec, &volumes)?;
    let working = &spec.process.cwd;
    if spec.readonly_rootfs {
        // Made while that is possible.
        let made = root.make_directory(working.as_ref());
        made.map_err(|error| StartFailure::of(format!("mkdir {working}"), &io::Error::from(error)))?;
        change_mount(root.fd(), c"", MountChange { set: ATTR_RDONLY, ..MountChange::default() })
            .map_err(|error| StartFailure::of("make the root file system read-only", &error))?;
    }
    step("enter the root file system", rustix::process::fchdir(root.fd().as_fd()))?;
    step("pivot_root", rustix::process::pivot_root(".", "."))?;
    step("detach the node's root", unmount(".", UnmountFlags::DETACH))?;
    step("chdir to /", rustix::process::chdir("/"))?;
    match streams {
        Some(streams) => take_streams(streams),
        None => {
            take_terminal(reporter)?;
            console()
        }
    }
}

/// A container with a terminal has it as `/dev/console` too.
fn console() -> Result<(), StartFailure> {
    let name = step("name of the terminal", rustix::termios::ttyname(rustix::stdio::stdin(), vec![]))?;
    std::fs::write("/dev/console", "").map_err(|error| StartFailure::of("failed to make /dev/console", &error))?;
    step("failed to mount /dev/console", mount_bind(name.as_c_str(), "/dev/console"))
}
