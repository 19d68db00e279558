//! The pod's namespaces and network.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cni::rtnetlink::RouteSocket;
use cri::NamespaceMode;
use rustix::mount::{MountAttrFlags, MoveMountFlags, UnmountFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::protocol::SandboxSetup;
use crate::container::StartFailure;
use crate::sys::process::{Cloned, clone, close_from, exit, kill, pending_signals, signal_descriptor, unshare};

/// How long a new link may take to become operational; it takes a millisecond.
const LINK_PATIENCE: Duration = Duration::from_secs(5);

/// A set-up sandbox.
#[derive(Debug)]
pub(super) struct Sandbox {
    setup: SandboxSetup,
    /// The pod's own PID namespace and its first process, where its containers share one.
    shared_pids: Option<(OwnedFd, i32)>,
    /// This process' own PID namespace, to go back to.
    own_pids: OwnedFd,
    is_stopped: bool,
}

fn step<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| StartFailure::of(what, &error).message)
}

/// The chain of causes, as one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {}", StartFailure::of("", &cause).message.trim_start_matches(": "));
        source = cause.source();
    }
    text
}

impl Sandbox {
    /// Makes everything; this process stays inside of the namespaces. On an error the caller has to end it, which undoes
    /// all but the mount.
    pub(super) fn set_up(setup: SandboxSetup) -> Result<Self, String> {
        let own_pids = step("open the PID namespace", fs::File::open("/proc/self/ns/pid"))?.into();
        let mut outer = match &setup.network {
            Some(_) => Some(step("open a netlink socket", RouteSocket::open())?),
            None => None,
        };
        let mut flags = UnshareFlags::empty();
        flags.set(UnshareFlags::NEWNET, setup.network.is_some());
        flags.set(UnshareFlags::NEWUTS, setup.hostname.is_some());
        flags.set(UnshareFlags::NEWIPC, setup.namespaces.ipc != NamespaceMode::Node);
        step("create the pod's namespaces", unshare(flags))?;
        if let (Some(outer), Some(veth)) = (&mut outer, &setup.network) {
            let namespace = step("open the pod's network namespace", fs::File::open("/proc/self/ns/net"))?;
            let mut inner = step("open a netlink socket", RouteSocket::open())?;
            let made = outer.create(&mut inner, namespace.as_fd(), veth);
            made.map_err(|error| format!("failed to set up the pod's network: {}", chain(&error)))?;
            let up = inner.wait_until_operational(&veth.inner.name, LINK_PATIENCE);
            up.map_err(|error| format!("failed to set up the pod's network: {}", chain(&error)))?;
        }
        if let Some(hostname) = &setup.hostname {
            step("set the host name", rustix::system::sethostname(hostname.as_bytes()).map_err(io::Error::from))?;
        }
        for (name, value) in &setup.sysctls {
            step(&format!("set sysctl {name}"), fs::write(sysctl_path(name), value))?;
        }
        if setup.namespaces.ipc != NamespaceMode::Node {
            step("mount the pod's /dev/shm", mount_shm(&setup.directory.join("shm"), setup.shm_bytes))?;
        }
        let shared_pids = match setup.namespaces.pid {
            NamespaceMode::Pod => Some(step("start the pod's init", start_pod_init())?),
            _ => None,
        };
        Ok(Self { setup, shared_pids, own_pids, is_stopped: false })
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Runs `make`, which clones, with children going into the pod's shared PID namespace if it has one.
    pub(super) fn in_shared_pids<T>(&self, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match &self.shared_pids {
            Some((namespace, _)) => self.in_pid_namespace_of(
                || move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::ProcessID)),
                make,
            ),
            None => make(),
        }
    }

    /// Runs `make` with children going where `enter` leads.
    pub(super) fn in_pid_namespace_of<T>(
        &self,
        enter: impl FnOnce() -> rustix::io::Result<()>,
        make: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        enter()?;
        let made = make();
        // In the child too: it does no harm there, for a process never changes its own PID namespace.
        let back = move_into_link_name_space(self.own_pids.as_fd(), Some(LinkNameSpaceType::ProcessID));
        let made = made?;
        back?;
        Ok(made)
    }

    /// Gives the network and the shared memory back. The containers have to be dead.
    pub(super) fn stop(&mut self) {
        if std::mem::replace(&mut self.is_stopped, true) {
            return;
        }
        if let Some((_, pid)) = self.shared_pids.take() {
            // It is our child, so the number is its own until we reap it.
            let _ = kill(pid, libc::SIGKILL);
        }
        if let Some(veth) = &self.setup.network
            && let Ok(mut inner) = RouteSocket::open()
        {
            // If this fails the link goes with the namespace, when the sandbox is removed.
            let _ = inner.delete_link(&veth.inner.name);
        }
        if self.setup.namespaces.ipc != NamespaceMode::Node {
            let _ = rustix::mount::unmount(self.setup.directory.join("shm"), UnmountFlags::DETACH);
        }
    }
}

/// `net.ipv4.ip_forward` as a file; with slashes as separators, dots belong to names.
fn sysctl_path(name: &str) -> PathBuf {
    let path = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    Path::new("/proc/sys").join(path.trim_start_matches('/'))
}

fn mount_shm(path: &Path, bytes: u64) -> io::Result<()> {
    use rustix::mount::{FsMountFlags, FsOpenFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, move_mount};
    fs::create_dir_all(path)?;
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "mode", "1777")?;
    fsconfig_set_string(context.as_fd(), "size", bytes.to_string())?;
    fsconfig_create(context.as_fd())?;
    let attributes =
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mount = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    move_mount(mount.as_fd(), c"", rustix::fs::CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    Ok(())
}

/// PID 1 of a pod whose containers share a PID namespace: it reaps, and that is all.
fn start_pod_init() -> io::Result<(OwnedFd, i32)> {
    match clone(libc::CLONE_NEWPID)? {
        Cloned::Parent { pid, .. } => Ok((fs::File::open(format!("/proc/{pid}/ns/pid"))?.into(), pid)),
        Cloned::Child => {
            let _ = rustix::thread::set_name(c"pause");
            // Nothing of the supervisor's is kept open from here; its own signals come after.
            let _ = close_from(3, false);
            let Ok(signals) = signal_descriptor(&[libc::SIGCHLD]) else { exit(1) };
            loop {
                let mut polled = [rustix::event::PollFd::new(&signals, rustix::event::PollFlags::IN)];
                let _ = rustix::event::poll(&mut polled, None);
                pending_signals(signals.as_fd());
                while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
            }
        }
    }
}
