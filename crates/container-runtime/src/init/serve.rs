//! Node init's loop.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use cni::Cidr;
use cni::nftables::NftSocket;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::{WaitOptions, wait};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::time::Instant;

use super::protocol::{ListenAddress, PROTOCOL_VERSION, Reply, Request, SocketKind};
use super::restart::Deaths;
use super::{INIT_FD, INIT_FD_VARIABLE};
use crate::sys::inherit;
use crate::sys::process::{
    Cloned, clone, close_from, execve, exit, kill, pending_signals, reset_signals, signal_descriptor,
};
use crate::wire::Connection;

/// Connections that may wait on a kept listener.
const BACKLOG: i32 = 4096;

/// A program that is kept running.
#[derive(Debug)]
pub(crate) struct Daemon {
    /// Path and arguments.
    pub(crate) argv: Vec<CString>,
    /// `KEY=value`.
    pub(crate) env: Vec<CString>,
    /// How long it may take to end when asked to.
    pub(crate) drain: Duration,
}

/// Node init's state; it has one owner, the loop.
#[derive(Debug)]
pub(crate) struct Init {
    pub(crate) node: String,
    /// The host's network namespace and this process' own; none where they are the same.
    pub(crate) namespaces: Option<(OwnedFd, OwnedFd)>,
    pub(crate) listeners: BTreeMap<String, OwnedFd>,
    /// Owns the host's masquerade table.
    pub(crate) host_nft: Option<NftSocket>,
    /// Owns the node's masquerade table for pods.
    pub(crate) node_nft: Option<NftSocket>,
    /// The node's own addresses, permitted where the host forbids forwarding.
    pub(crate) ranges: Vec<Cidr>,
    supervisors: BTreeMap<String, i32>,
}

/// What became of the daemon.
#[derive(Debug)]
enum Life {
    Running {
        pid: i32,
        since: Instant,
        connection: Option<Connection>,
    },
    /// To be started then.
    Dead {
        until: Instant,
    },
}

impl Init {
    pub(crate) fn new(node: String) -> Self {
        Self {
            node,
            namespaces: None,
            listeners: BTreeMap::new(),
            host_nft: None,
            node_nft: None,
            ranges: vec![],
            supervisors: BTreeMap::new(),
        }
    }

    /// Runs `make` in the host's network namespace.
    fn on_host<T>(&self, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let Some((host, own)) = &self.namespaces else { return make() };
        move_into_link_name_space(host.as_fd(), Some(LinkNameSpaceType::Network))?;
        let made = make();
        move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))?;
        made
    }

    /// Keeps the daemon running, for ever; ends when asked to by SIGTERM, or when something impossible happens.
    pub(crate) fn run(mut self, daemon: &Daemon) -> ! {
        let Ok(signals) = signal_descriptor(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT]) else { exit(1) };
        let mut deaths = Deaths::default();
        let mut life = self.start(daemon);
        let mut deadline: Option<Instant> = None;
        loop {
            let timeout = match (&life, deadline) {
                (_, Some(deadline)) => Some(deadline),
                (Life::Dead { until }, None) => Some(*until),
                _ => None,
            };
            self.wait(&signals, &life, timeout);
            let now = Instant::now();
            let signals = pending_signals(signals.as_fd());
            if signals.iter().any(|signal| *signal != libc::SIGCHLD) && deadline.is_none() {
                deadline = Some(now + daemon.drain);
                if let Life::Running { pid, .. } = life {
                    let _ = kill(pid, libc::SIGTERM);
                }
            }
            for pid in self.reap() {
                if let Life::Running { pid: own, since, .. } = &life
                    && *own == pid
                {
                    let restart = deaths.died(now - *since);
                    say(&format!("the daemon (process {pid}) ended; starting it again in {:?}", restart.pause));
                    if restart.close_listeners && !self.listeners.is_empty() {
                        say("the daemon keeps ending: its listening sockets are closed until it stays");
                        self.listeners.clear();
                    }
                    life = Life::Dead { until: now + restart.pause };
                }
            }
            match (&life, deadline) {
                (Life::Dead { .. }, Some(_)) => exit(0),
                (Life::Running { .. }, Some(deadline)) if now >= deadline => exit(0),
                (Life::Dead { until }, None) if now >= *until => life = self.start(daemon),
                _ => {}
            }
            if let Life::Running { connection: slot, .. } = &mut life
                && let Some(mut connection) = slot.take()
                && self.serve(&mut connection).is_ok()
            {
                *slot = Some(connection);
            }
        }
    }

    /// Serves a peer that is not its child, until that is gone.
    fn run_for(mut self, connection: Connection) -> ! {
        let Ok(signals) = signal_descriptor(&[libc::SIGCHLD, libc::SIGTERM]) else { exit(1) };
        let mut life = Life::Running { pid: 0, since: Instant::now(), connection: Some(connection) };
        loop {
            self.wait(&signals, &life, None);
            if pending_signals(signals.as_fd()).contains(&libc::SIGTERM) {
                exit(0);
            }
            self.reap();
            let Life::Running { connection: Some(connection), .. } = &mut life else { exit(0) };
            if self.serve(connection).is_err() {
                exit(0);
            }
        }
    }

    fn wait(&self, signals: &OwnedFd, life: &Life, until: Option<Instant>) {
        let mut polled = vec![PollFd::new(signals, PollFlags::IN)];
        if let Life::Running { connection: Some(connection), .. } = life {
            polled.push(PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::IN));
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        // Interrupted or not, everything is looked at.
        let _ = rustix::event::poll(&mut polled, timeout.as_ref());
    }

    /// Reaps whatever ended, also orphans; returns the ids.
    fn reap(&mut self) -> Vec<i32> {
        let mut ended = vec![];
        while let Ok(Some((pid, _))) = wait(WaitOptions::NOHANG) {
            ended.push(pid.as_raw_nonzero().get());
        }
        self.supervisors.retain(|_, pid| !ended.contains(pid));
        ended
    }

    fn start(&mut self, daemon: &Daemon) -> Life {
        let now = Instant::now();
        let dead = Life::Dead { until: now + Duration::from_secs(1) };
        let Ok((ours, theirs)) = UnixStream::pair() else { return dead };
        match clone(0) {
            Err(error) => {
                say(&format!("failed to fork the daemon: {error}"));
                dead
            }
            Ok(Cloned::Parent { pid, .. }) => {
                Life::Running { pid, since: now, connection: Connection::new(ours.into()).ok() }
            }
            Ok(Cloned::Child) => {
                reset_signals();
                let _ = rustix::process::setsid();
                let theirs = OwnedFd::from(theirs);
                let mut env = daemon.env.clone();
                env.extend(CString::new(format!("{INIT_FD_VARIABLE}={INIT_FD}")));
                if inherit::leave(&theirs, INIT_FD).is_ok() && close_from(INIT_FD + 1, true).is_ok() {
                    let error = execve(&daemon.argv[0], &daemon.argv, &env);
                    say(&format!("failed to execute {}: {error}", daemon.argv[0].to_string_lossy()));
                }
                exit(127)
            }
        }
    }

    fn serve(&mut self, connection: &mut Connection) -> io::Result<()> {
        connection.read()?;
        while let Some((request, fds)) = connection.next::<Request>()? {
            let (reply, fd) = match self.handle(request, fds) {
                Ok(answer) => answer,
                Err(message) => (Reply::Failed(message), None),
            };
            let fds: Vec<BorrowedFd<'_>> = fd.iter().map(AsFd::as_fd).collect();
            connection.send(&reply, &fds)?;
        }
        Ok(())
    }

    fn handle(&mut self, request: Request, fds: Vec<OwnedFd>) -> Result<(Reply, Option<OwnedFd>), String> {
        let text = |error: io::Error| error.to_string();
        match request {
            Request::Hello { .. } => Ok((Reply::Hello { version: PROTOCOL_VERSION, node: self.node.clone() }, None)),
            Request::Listener { name, address } => {
                if !self.listeners.contains_key(&name) {
                    let address = address.ok_or_else(|| format!("no listener called {name:?} is kept"))?;
                    let made = self
                        .on_host(|| listen(address))
                        .map_err(|error| format!("failed to listen on {}: {error}", address.address))?;
                    self.listeners.insert(name.clone(), made);
                }
                let copy = self.listeners[&name].try_clone().map_err(text)?;
                Ok((Reply::Socket, Some(copy)))
            }
            Request::CloseListener { name } => {
                self.listeners.remove(&name);
                Ok((Reply::Done, None))
            }
            Request::Socket { kind } => {
                let socket = self.on_host(|| open_socket(kind)).map_err(text)?;
                Ok((Reply::Socket, Some(socket)))
            }
            Request::Spawn { id } => {
                let listener = fds.into_iter().next().ok_or("a supervisor needs its listening socket")?;
                let pid = spawn(&listener).map_err(text)?;
                self.supervisors.insert(id, pid);
                Ok((Reply::Spawned { pid }, None))
            }
            Request::Supervisors => {
                Ok((Reply::Supervisors(self.supervisors.iter().map(|(id, pid)| (id.clone(), *pid)).collect()), None))
            }
            Request::PermitForwarding => {
                let comment = permit_comment(&self.node);
                let Some(nft) = &mut self.host_nft else { return Ok((Reply::Permitted(vec![]), None)) };
                let chains = cni::egress::permit(nft, &comment, &self.ranges).map_err(|error| error.to_string())?;
                let names = chains.into_iter().map(|chain| format!("{} {}", chain.table, chain.name)).collect();
                Ok((Reply::Permitted(names), None))
            }
        }
    }
}

/// By which the rules in foreign chains are recognised.
pub(crate) fn permit_comment(node: &str) -> String {
    format!("skiff node {node}")
}

/// Standard error is the node's log.
fn say(message: &str) {
    let _ = rustix::io::write(rustix::stdio::stderr(), format!("node init: {message}\n").as_bytes());
}

/// Forks a supervisor that has nothing of ours but its listening socket.
fn spawn(listener: &OwnedFd) -> io::Result<i32> {
    match clone(0)? {
        Cloned::Parent { pid, .. } => Ok(pid),
        Cloned::Child => {
            reset_signals();
            // Rust's own default, which a supervisor relies on when somebody attached goes away.
            crate::sys::process::ignore_broken_pipes();
            if inherit::leave(listener, INIT_FD).is_err() || close_from(INIT_FD + 1, false).is_err() {
                exit(1);
            }
            match inherit::take(INIT_FD) {
                Ok(listener) => crate::supervisor::run(listener),
                Err(_) => exit(1),
            }
        }
    }
}

/// An unconnected socket in the current network namespace.
pub(crate) fn open_socket(kind: SocketKind) -> io::Result<OwnedFd> {
    let (family, kind) = match kind {
        SocketKind::Tcp4 => (AddressFamily::INET, SocketType::STREAM),
        SocketKind::Tcp6 => (AddressFamily::INET6, SocketType::STREAM),
        SocketKind::Udp4 => (AddressFamily::INET, SocketType::DGRAM),
        SocketKind::Udp6 => (AddressFamily::INET6, SocketType::DGRAM),
    };
    Ok(rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?)
}

/// A bound (and for TCP listening) socket in the current network namespace.
pub(crate) fn listen(to: ListenAddress) -> io::Result<OwnedFd> {
    let socket = open_socket(to.kind())?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if to.address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &to.address)?;
    if !to.udp {
        rustix::net::listen(&socket, BACKLOG)?;
    }
    Ok(socket)
}

/// Serves one peer that is not a child, over a connected unix socket, until it is gone: for a part that runs alone (a
/// kubelet against somebody else's cluster) and for tests. Pods live on. Call it in a single-threaded process.
pub fn serve_for(peer: UnixStream, node: &str) -> ! {
    let _ = rustix::thread::set_name(c"node-init");
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    match Connection::new(peer.into()) {
        Ok(connection) => Init::new(node.into()).run_for(connection),
        Err(_) => exit(1),
    }
}
