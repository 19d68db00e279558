//! Making a node.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use cni::nftables::NftSocket;
use cni::plan::Address;
use cni::rtnetlink::RouteSocket;
use rustix::pipe::{PipeFlags, pipe_with};

use super::{KILL_PATIENCE, Node, NodeConfig, NodeError, Record, started_ticks, sweep, wait_for_end};
use crate::cgroups::{Cgroup, Hierarchies};
use crate::init::{Daemon, Init, Isolation, isolate, listen};
use crate::sys::process::{Cloned, clone_into, exit, is_single_threaded, pidfd_kill};

const NAMESPACES: i32 =
    libc::CLONE_NEWNET | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;
/// Out-of-memory score of node init and what comes from it, containers excepted: upstream's for the kubelet.
const OOM_SCORE_ADJ: &str = "-999";

impl Node {
    /// Launches a node; returns when its namespaces, link, rules and listeners are there and its daemon has been started.
    /// Call it before the process has a second thread. What a dead node of the same name left is swept away first.
    ///
    /// # Errors
    /// See [`NodeError`]; nothing is left behind.
    pub fn launch(config: &NodeConfig) -> Result<Self, NodeError> {
        config.check()?;
        if !is_single_threaded() {
            return Err(NodeError::Threads);
        }
        let failed = |what: &str, error: &dyn std::fmt::Display| NodeError::Start {
            name: config.name.clone(),
            message: format!("{what}: {error}"),
        };
        fs::create_dir_all(&config.state_dir).map_err(|error| failed("create its state directory", &error))?;
        let found = Self::find(&config.state_dir).map_err(|error| failed("read its state", &error))?;
        if let Some(pid) = found.as_ref().filter(|node| node.is_running()).and_then(Self::pid) {
            return Err(NodeError::AlreadyRunning { name: config.name.clone(), pid });
        }
        let mut record = Record {
            name: config.name.clone(),
            pid: 0,
            started_ticks: 0,
            host_link: config.link.host_name.clone(),
            cgroup: config.cgroup(),
        };
        // What the last one left, under its own names and under ours.
        if let Some(old) = found {
            sweep(&old.record).map_err(|(operation, message)| failed(operation, &message))?;
        }
        sweep(&record).map_err(|(operation, message)| failed(operation, &message))?;
        let remember = |record: &Record| -> io::Result<()> {
            let aside = config.state_dir.join("node.json.new");
            fs::write(&aside, serde_json::to_vec(record)?)?;
            fs::rename(aside, config.state_dir.join("node.json"))
        };
        // Remembered before it is made, so that a launcher that dies here leaves nothing that can't be found.
        remember(&record).map_err(|error| failed("write its state", &error))?;
        let result = make(config, &failed).and_then(|(pid, pidfd)| {
            record.pid = pid;
            record.started_ticks = started_ticks(pid).unwrap_or(0);
            remember(&record).map_err(|error| failed("write its state", &error))?;
            Ok(pidfd)
        });
        match result {
            Ok(pidfd) => Ok(Self { record, state_dir: config.state_dir.clone(), pidfd: Some(pidfd) }),
            Err(error) => {
                // The first error is the one to tell.
                let _ = sweep(&record);
                let _ = fs::remove_file(config.state_dir.join("node.json"));
                Err(error)
            }
        }
    }
}

type Failed<'a> = &'a dyn Fn(&str, &dyn std::fmt::Display) -> NodeError;

fn make(config: &NodeConfig, failed: Failed<'_>) -> Result<(i32, OwnedFd), NodeError> {
    let mut init = Init::new(config.name.clone());
    for listener in &config.listeners {
        let made = listen(listener.listen).map_err(|source| NodeError::Listen {
            name: config.name.clone(),
            listener: listener.name.clone(),
            address: listener.listen.address,
            source,
        })?;
        init.listeners.insert(listener.name.clone(), made);
    }
    let daemon = daemon(config).map_err(|error| failed("prepare its daemon", &error))?;
    let hierarchies = Hierarchies::detect().map_err(|error| failed("find the cgroups", &error))?;
    let cgroup = Cgroup::new(Arc::new(hierarchies.clone()), &config.cgroup());
    cgroup.create().map_err(|error| failed("create its cgroups", &error))?;
    let mut host_route = RouteSocket::open().map_err(|error| failed("open a netlink socket", &error))?;
    prepare_host(config, &mut host_route).map_err(|error| failed("prepare the host's network", &error))?;
    let isolation = Isolation {
        host_nft: NftSocket::open().map_err(|error| failed("open a netlink socket", &error))?,
        host_namespace: File::open("/proc/self/ns/net")
            .map_err(|error| failed("open the host's network", &error))?
            .into(),
        entrances: cgroup.entrances().map_err(|error| failed("enter its cgroup", &error))?,
        host_route,
        hierarchies,
        link: config.link.clone(),
        pod_cidrs: config.pod_cidrs.clone(),
    };
    let (ready, tell) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed("create a pipe", &error))?;
    match clone_into(NAMESPACES, isolation.entrances.unified())
        .map_err(|error| failed("create its namespaces (this needs root)", &error))?
    {
        Cloned::Child => {
            drop(ready);
            become_init(config, init, isolation, &daemon, tell)
        }
        Cloned::Parent { pid, pidfd } => {
            drop(tell);
            let mut message = String::new();
            let read = File::from(ready).read_to_string(&mut message);
            if read.is_ok() && message == "ready" {
                return Ok((pid, pidfd));
            }
            let _ = pidfd_kill(pidfd.as_fd(), libc::SIGKILL);
            wait_for_end(&pidfd, KILL_PATIENCE);
            let _ =
                rustix::process::waitpid(rustix::process::Pid::from_raw(pid), rustix::process::WaitOptions::empty());
            let message = if message.is_empty() { "its init ended without a word".to_owned() } else { message };
            Err(NodeError::Start { name: config.name.clone(), message })
        }
    }
}

fn daemon(config: &NodeConfig) -> io::Result<Daemon> {
    let strings =
        |texts: &[String]| texts.iter().map(|text| CString::new(text.as_str())).collect::<Result<Vec<_>, _>>();
    Ok(Daemon { argv: strings(&config.daemon)?, env: strings(&config.environment)?, drain: config.drain })
}

/// Lets the host's uplinks forward (the link's own switch is set when it is there), and makes the bridge, where there is to
/// be one.
fn prepare_host(config: &NodeConfig, route: &mut RouteSocket) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let uplinks = route.uplinks().map_err(|error| text(&error))?;
    let links = route.links().map_err(|error| text(&error))?;
    for link in links.iter().filter(|link| uplinks.contains(&link.index)) {
        // Hosts without IPv4 have no such file.
        let _ = fs::write(format!("/proc/sys/net/ipv4/conf/{}/forwarding", link.name), "1");
    }
    if let Some(bridge) = &config.link.bridge {
        match route.create_bridge(bridge) {
            Err(error) if !error.already_exists() => return Err(text(&error)),
            _ => {}
        }
        let index = route.link(bridge).map_err(|error| text(&error))?.index;
        for Address { ip, prefix } in &config.link.host_addresses {
            route.add_address(index, &Address { ip: *ip, prefix: *prefix }).map_err(|error| text(&error))?;
        }
    }
    Ok(())
}

/// In the child: PID 1 of the node.
fn become_init(config: &NodeConfig, mut init: Init, isolation: Isolation, daemon: &Daemon, tell: OwnedFd) -> ! {
    let mut tell = File::from(tell);
    let prepared = streams(&config.log_path)
        .map_err(|error| format!("open {}: {error}", config.log_path.display()))
        .and_then(|()| isolate(&mut init, isolation));
    match prepared {
        Ok(()) => {
            let _ = tell.write_all(b"ready");
            drop(tell);
            init.run(daemon)
        }
        Err(message) => {
            let _ = tell.write_all(message.as_bytes());
            exit(1)
        }
    }
}

/// Nothing of the launcher's: no terminal, no pipes; messages go to the node's log.
fn streams(log_path: &Path) -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::thread::set_name(c"node-init")?;
    // A host that does not let its root do this has to do without.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ);
    if let Some(directory) = log_path.parent() {
        fs::create_dir_all(directory)?;
    }
    let null = OpenOptions::new().read(true).open("/dev/null")?;
    let log = OpenOptions::new().append(true).create(true).open(log_path)?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&log)?;
    rustix::stdio::dup2_stderr(&log)?;
    Ok(())
}
