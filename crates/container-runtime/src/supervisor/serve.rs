//! The supervisor's loop.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{WaitOptions, WaitStatus, wait};

use super::container::Container;
use super::protocol::{Command, FromSupervisor, PROTOCOL_VERSION, Push, Reply, Request};
use super::sandbox::Sandbox;
use crate::cgroups::Hierarchies;
use crate::container::Streams;
use crate::sys::process::{exit, kill, pending_signals, signal_descriptor};
use crate::wire::Connection;

/// Connections at a time: the daemon has one, a starting one may overlap with the last.
const CONNECTIONS_MAX: usize = 8;

/// Runs in a process of its own, just forked from node init, with standard streams and `listener` open and nothing else.
pub(crate) fn run(listener: OwnedFd) -> ! {
    match Supervisor::new(listener) {
        Ok(mut supervisor) => loop {
            supervisor.turn();
        },
        Err(_) => exit(1),
    }
}

#[derive(Debug)]
struct Supervisor {
    listener: OwnedFd,
    signals: OwnedFd,
    connections: Vec<Connection>,
    hierarchies: Arc<Hierarchies>,
    sandbox: Option<Sandbox>,
    containers: BTreeMap<String, Container>,
    /// Exec'd processes by process id.
    execs: HashMap<i32, u64>,
}

/// An answer, what comes along, and whether to end afterwards.
type Answer = (Reply, Vec<OwnedFd>);

fn answer(reply: Reply) -> Answer {
    (reply, vec![])
}

impl Supervisor {
    fn new(listener: OwnedFd) -> io::Result<Self> {
        rustix::thread::set_name(c"skiff-pod")?;
        rustix::process::setsid()?;
        // The root of a container has the mode of a directory made here, and its processes start with this mask.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        rustix::io::ioctl_fionbio(&listener, true)?;
        Ok(Self {
            listener,
            signals: signal_descriptor(&[libc::SIGCHLD])?,
            connections: vec![],
            hierarchies: Arc::new(Hierarchies::detect()?),
            sandbox: None,
            containers: BTreeMap::new(),
            execs: HashMap::new(),
        })
    }

    /// Waits for something and handles it.
    fn turn(&mut self) {
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        if self.connections.len() < CONNECTIONS_MAX {
            polled.push(PollFd::new(&self.listener, PollFlags::IN));
        }
        polled.extend(
            self.connections.iter().map(|connection| PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::IN)),
        );
        for output in self.containers.values().flat_map(|container| &container.outputs) {
            if let (Some(source), true) = (&output.source, output.is_wanted()) {
                polled.push(PollFd::new(source, PollFlags::IN));
            }
            let behind = output.sinks.iter().filter(|sink| !sink.pending.is_empty());
            polled.extend(behind.map(|sink| PollFd::new(&sink.pipe, PollFlags::OUT)));
        }
        if rustix::event::poll(&mut polled, None).is_err() {
            return;
        }
        // A pod has few descriptors and all of them are non-blocking, so it is simplest to try them all. Output first, so
        // that what a container said before its end is logged before its end.
        for container in self.containers.values_mut() {
            let Container { outputs, log, .. } = container;
            for output in outputs {
                output.push_sinks();
                if output.is_wanted() {
                    output.read(log);
                }
            }
        }
        if !pending_signals(self.signals.as_fd()).is_empty() {
            self.reap();
        }
        self.accept();
        self.serve();
    }

    fn accept(&mut self) {
        while self.connections.len() < CONNECTIONS_MAX {
            let Ok(socket) = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC) else { return };
            self.connections.extend(Connection::new(socket));
        }
    }

    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let (pid, code) = (pid.as_raw_nonzero().get(), exit_code(status));
            if let Some(exec) = self.execs.remove(&pid) {
                self.push(Push::ExecExited { exec, exit_code: code });
                continue;
            }
            let ended = self.containers.iter_mut().find(|(_, container)| container.pid() == Some(pid));
            if let Some((id, container)) = ended {
                let push = Push::Exited { container: id.clone(), exit: container.ended(code) };
                self.push(push);
            }
        }
    }

    fn push(&mut self, push: Push) {
        let message = FromSupervisor::Push(push);
        self.connections.retain(|connection| connection.send(&message, &[]).is_ok());
    }

    fn serve(&mut self) {
        let mut at = 0;
        while at < self.connections.len() {
            let mut connection = self.connections.swap_remove(at);
            if self.serve_one(&mut connection).is_ok() {
                self.connections.push(connection);
                let last = self.connections.len() - 1;
                self.connections.swap(at, last);
                at += 1;
            }
        }
    }

    fn serve_one(&mut self, connection: &mut Connection) -> io::Result<()> {
        connection.read()?;
        while let Some((request, fds)) = connection.next::<Request>()? {
            let quit = matches!(request.command, Command::Quit);
            let broken = matches!(request.command, Command::Setup(_));
            let (reply, fds) = self.handle(request.command, fds);
            let broken = broken && matches!(reply, Reply::Failed { .. });
            let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            let sent = connection.send(&FromSupervisor::Reply { id: request.id, reply }, &borrowed);
            if quit || broken {
                // The namespaces go with this process, and with them the links.
                exit(0);
            }
            sent?;
        }
        Ok(())
    }

    fn handle(&mut self, command: Command, fds: Vec<OwnedFd>) -> Answer {
        match command {
            Command::Hello { .. } => answer(Reply::Hello {
                version: PROTOCOL_VERSION,
                pid: rustix::process::getpid().as_raw_nonzero().get(),
                is_set_up: self.sandbox.as_ref().is_some_and(|sandbox| !sandbox.is_stopped()),
                containers: self.containers.values().map(Container::report).collect(),
            }),
            Command::Setup(setup) => {
                if self.sandbox.is_some() {
                    return answer(Reply::Done);
                }
                match Sandbox::set_up(*setup) {
                    Ok(sandbox) => {
                        self.sandbox = Some(sandbox);
                        answer(Reply::Done)
                    }
                    Err(message) => answer(Reply::Failed { message }),
                }
            }
            Command::Create(spec) => {
                let container = Container::new((*spec).clone(), self.hierarchies.clone());
                self.containers.entry(spec.id.clone()).or_insert(container);
                answer(Reply::Done)
            }
            Command::Start { container } => self.start(&container),
            Command::Signal { container, signal } => match self.containers.get(&container) {
                None => answer(Reply::NoSuchContainer),
                Some(container) if container.signal(signal) => answer(Reply::Done),
                Some(_) => answer(Reply::NotRunning),
            },
            Command::Exec { container, exec, argv, tty } => self.exec(&container, exec, argv, tty, fds),
            Command::SignalExec { exec, signal } => {
                let pid = self.execs.iter().find(|(_, number)| **number == exec).map(|(pid, _)| *pid);
                // Our child, not reaped yet, so the number is its own.
                match pid.map(|pid| kill(pid, signal)) {
                    Some(Ok(())) => answer(Reply::Done),
                    _ => answer(Reply::NotRunning),
                }
            }
            Command::Attach { container, stdin, stdout, stderr } => self.attach(&container, stdin, stdout, stderr),
            Command::Socket { ipv6 } => {
                let family = if ipv6 { AddressFamily::INET6 } else { AddressFamily::INET };
                match rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None) {
                    Ok(socket) => (Reply::Done, vec![socket]),
                    Err(error) => answer(Reply::Failed { message: error.to_string() }),
                }
            }
            Command::Remove { container } => match self.containers.get(&container) {
                Some(running) if running.pid().is_some() => {
                    answer(Reply::Failed { message: "the container is running".into() })
                }
                _ => {
                    self.containers.remove(&container);
                    answer(Reply::Done)
                }
            },
            Command::Stop => {
                for container in self.containers.values() {
                    container.signal(libc::SIGKILL);
                }
                if let Some(sandbox) = &mut self.sandbox {
                    sandbox.stop();
                }
                answer(Reply::Done)
            }
            Command::Quit => answer(Reply::Done),
        }
    }

    fn start(&mut self, id: &str) -> Answer {
        let Some(sandbox) = &self.sandbox else {
            return answer(Reply::Failed { message: "the pod sandbox is not set up".into() });
        };
        let target = self.containers.get(id).and_then(Container::target);
        let target = match target.map(|target| self.containers.get(target).and_then(Container::process)) {
            None => None,
            Some(Some(process)) => Some(process),
            Some(None) => {
                let message = "the target container is not running".to_owned();
                return answer(Reply::NotStarted { message, exit_code: 128 });
            }
        };
        let Some(container) = self.containers.get_mut(id) else { return answer(Reply::NoSuchContainer) };
        match container.start(sandbox, target) {
            Ok(()) => answer(Reply::Started(container.report())),
            Err(failure) => answer(Reply::NotStarted { message: failure.message, exit_code: failure.exit_code }),
        }
    }

    fn exec(&mut self, id: &str, exec: u64, argv: Vec<String>, tty: bool, mut fds: Vec<OwnedFd>) -> Answer {
        let (Some(sandbox), Some(container)) = (&self.sandbox, self.containers.get(id)) else {
            return answer(Reply::NoSuchContainer);
        };
        let streams = match (tty, fds.pop(), fds.pop(), fds.pop()) {
            (true, ..) => None,
            (false, Some(stderr), Some(stdout), Some(stdin)) => Some(Streams { stdin, stdout, stderr }),
            _ => return answer(Reply::Failed { message: "exec without a terminal takes three descriptors".into() }),
        };
        match container.exec(sandbox, argv, tty, streams) {
            None => answer(Reply::NotRunning),
            Some(Err(failure)) => answer(Reply::NotStarted { message: failure.message, exit_code: failure.exit_code }),
            Some(Ok((pid, outcome))) => {
                self.execs.insert(pid, exec);
                (Reply::Executed { pid }, outcome.terminal.into_iter().collect())
            }
        }
    }

    fn attach(&mut self, id: &str, stdin: bool, stdout: bool, stderr: bool) -> Answer {
        let Some(container) = self.containers.get_mut(id) else { return answer(Reply::NoSuchContainer) };
        let tty = container.is_tty();
        match container.attach(stdin, stdout, stderr) {
            None => answer(Reply::NotRunning),
            Some(Err(error)) => answer(Reply::Failed { message: error.to_string() }),
            Some(Ok(attached)) => {
                let [stdin, stdout, stderr] = [0, 1, 2].map(|number| attached[number].is_some());
                (Reply::Attached { stdin, stdout, stderr, tty }, attached.into_iter().flatten().collect())
            }
        }
    }
}

/// 128 + n for signal n.
fn exit_code(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 255,
    }
}
