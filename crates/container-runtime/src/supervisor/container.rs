//! One container of a pod, from the supervisor's side.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use component_base::{Clock, SystemClock};
use cri::{ExitReason, NamespaceMode};
use jiff::Timestamp;
use rustix::pipe::{PipeFlags, pipe_with};

use super::logs::Log;
use super::output::{Output, Sink};
use super::protocol::{ContainerReport, ExitRecord, Phase};
use super::sandbox::Sandbox;
use crate::cgroups::{Cgroup, Entrances, Hierarchies};
use crate::container::{
    ContainerSpec, Outcome, ProcessSpec, StartFailure, Streams, collect, pair, run_container, run_exec,
};
use crate::sys::process::{Cloned, clone_into};
use crate::user::User;

/// What a container is.
#[derive(Debug)]
enum State {
    Created,
    Running { pid: i32, pidfd: OwnedFd, started_at: Timestamp },
    Exited(ExitRecord),
}

/// One container.
#[derive(Debug)]
pub(super) struct Container {
    spec: ContainerSpec,
    cgroup: Cgroup,
    state: State,
    user: Option<User>,
    /// Kept open for attach.
    stdin: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
    pub(super) outputs: Vec<Output>,
    pub(super) log: Option<Log>,
}

/// Descriptors for somebody who attaches: in, out, error.
pub(super) type Attached = [Option<OwnedFd>; 3];

fn io_failure(what: &str) -> impl FnOnce(io::Error) -> StartFailure {
    move |error| StartFailure::of(what, &error)
}

impl Container {
    pub(super) fn new(spec: ContainerSpec, hierarchies: Arc<Hierarchies>) -> Self {
        let cgroup = Cgroup::new(hierarchies, &spec.cgroup);
        Self {
            spec,
            cgroup,
            state: State::Created,
            user: None,
            stdin: None,
            terminal: None,
            outputs: vec![],
            log: None,
        }
    }

    pub(super) fn report(&self) -> ContainerReport {
        let phase = match &self.state {
            State::Created => Phase::Created,
            State::Running { pid, started_at, .. } => Phase::Running { pid: *pid, started_at: *started_at },
            State::Exited(exit) => Phase::Exited(exit.clone()),
        };
        ContainerReport { id: self.spec.id.clone(), phase, user: self.user.clone() }
    }

    pub(super) fn pid(&self) -> Option<i32> {
        match self.state {
            State::Running { pid, .. } => Some(pid),
            _ => None,
        }
    }

    /// The container whose PID namespace it joins.
    pub(super) fn target(&self) -> Option<&String> {
        self.spec.target.as_ref()
    }

    /// Its first process, if it runs.
    pub(super) fn process(&self) -> Option<OwnedFd> {
        match &self.state {
            State::Running { pidfd, .. } => pidfd.try_clone().ok(),
            _ => None,
        }
    }

    pub(super) fn is_tty(&self) -> bool {
        self.spec.process.tty
    }

    // === starting

    /// Runs it, among the processes of `target` if there is one. On an error it has exited with code 128.
    pub(super) fn start(&mut self, sandbox: &Sandbox, target: Option<OwnedFd>) -> Result<(), StartFailure> {
        if !matches!(self.state, State::Created) {
            return Err(StartFailure::new("the container was started before"));
        }
        self.try_start(sandbox, target).inspect_err(|failure| {
            let now = SystemClock.now();
            self.finish(ExitRecord {
                started_at: None,
                finished_at: now,
                exit_code: 128,
                reason: ExitReason::StartError,
                message: failure.message.clone(),
            });
        })
    }

    fn try_start(&mut self, sandbox: &Sandbox, target: Option<OwnedFd>) -> Result<(), StartFailure> {
        if sandbox.is_stopped() {
            return Err(StartFailure::new("the pod sandbox is stopped"));
        }
        for name in ["upper", "work", "rootfs"] {
            let path = self.spec.directory.join(name);
            fs::create_dir_all(&path).map_err(io_failure("failed to create the container's directories"))?;
        }
        if let Some(path) = &self.spec.log_path {
            let opened = Log::open(path);
            self.log =
                Some(opened.map_err(io_failure(&format!("failed to open log file {:?}", path.display().to_string())))?);
        }
        let entrances = self.entrances()?;
        let (streams, mut ends) = if self.is_tty() { (None, Ends::default()) } else { self.pipes()? };
        let (parent, reporter) = pair().map_err(io_failure("failed to create a socket"))?;
        let own_pids = if self.spec.pid == NamespaceMode::Container { libc::CLONE_NEWPID } else { 0 };
        let mut streams = Some(streams);
        let make = || match clone_into(libc::CLONE_NEWNS | own_pids, entrances.unified())? {
            Cloned::Child => run_container(&self.spec, &entrances, streams.take().flatten(), &reporter),
            Cloned::Parent { pid, pidfd } => Ok((pid, pidfd)),
        };
        let cloned = match &target {
            Some(target) => sandbox.in_pid_namespace_of(|| enter_pids_of(target.as_fd()), make),
            None => sandbox.in_shared_pids(make),
        };
        let cloned = cloned.map_err(io_failure("failed to create a process"))?;
        drop((streams, reporter));
        let (pid, pidfd) = cloned;
        let outcome = collect(&parent).inspect_err(|_| reap(pid))?;
        self.user = outcome.user;
        let nonblocking = |source, stream| {
            Output::new(source, stream).map_err(|error| io_failure("failed to prepare a stream")(error.into()))
        };
        if let Some(master) = outcome.terminal {
            let copy = master.try_clone().map_err(io_failure("failed to copy the terminal"))?;
            self.outputs.push(nonblocking(copy, "stdout")?);
            self.terminal = Some(master);
        }
        for (source, stream) in [(ends.stdout.take(), "stdout"), (ends.stderr.take(), "stderr")] {
            if let Some(source) = source {
                self.outputs.push(nonblocking(source, stream)?);
            }
        }
        self.stdin = ends.stdin;
        self.state = State::Running { pid, pidfd, started_at: SystemClock.now() };
        Ok(())
    }

    fn entrances(&self) -> Result<Entrances, StartFailure> {
        self.cgroup.entrances().map_err(|error| StartFailure::of("failed to enter the container's cgroup", &error))
    }

    fn pipes(&self) -> Result<(Option<Streams>, Ends), StartFailure> {
        let make = || -> io::Result<(Streams, Ends)> {
            let (stdin, stdin_end) = if self.spec.stdin {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
                (read, Some(write))
            } else {
                (File::open("/dev/null")?.into(), None)
            };
            let (stdout_end, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
            let (stderr_end, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
            let ends = Ends { stdin: stdin_end, stdout: Some(stdout_end), stderr: Some(stderr_end) };
            Ok((Streams { stdin, stdout, stderr }, ends))
        };
        make().map(|(streams, ends)| (Some(streams), ends)).map_err(io_failure("failed to create pipes"))
    }

    // === running

    /// Runs another program in it. `None` if it does not run.
    pub(super) fn exec(
        &self,
        sandbox: &Sandbox,
        argv: Vec<String>,
        tty: bool,
        streams: Option<Streams>,
    ) -> Option<Result<(i32, Outcome), StartFailure>> {
        let State::Running { pidfd, .. } = &self.state else { return None };
        // The container's own score was set for its first process; what is exec'd has the same.
        let spec = ProcessSpec { argv, tty, ..self.spec.process.clone() };
        let run = || {
            let entrances = self.entrances()?;
            let (parent, reporter) = pair().map_err(io_failure("failed to create a socket"))?;
            let mut streams = Some(streams);
            let made = sandbox.in_pid_namespace_of(
                || enter_pids_of(pidfd.as_fd()),
                || match clone_into(0, entrances.unified())? {
                    Cloned::Child => run_exec(&spec, pidfd.as_fd(), &entrances, streams.take().flatten(), &reporter),
                    Cloned::Parent { pid, .. } => Ok(pid),
                },
            );
            let pid = made.map_err(io_failure("failed to create a process in the container"))?;
            drop((streams, reporter));
            let outcome = collect(&parent).inspect_err(|_| reap(pid))?;
            Ok((pid, outcome))
        };
        Some(run())
    }

    /// Signals its first process; SIGKILL reaches all of its processes. False if it does not run.
    pub(super) fn signal(&self, signal: i32) -> bool {
        let State::Running { pidfd, .. } = &self.state else { return false };
        // It may be a zombie that is not reaped yet: then its end is about to be told.
        let _ = crate::sys::process::pidfd_kill(pidfd.as_fd(), signal);
        if signal == libc::SIGKILL {
            let _ = self.cgroup.kill();
        }
        true
    }

    /// Descriptors of its streams. `None` if it does not run.
    pub(super) fn attach(&mut self, stdin: bool, stdout: bool, stderr: bool) -> Option<io::Result<Attached>> {
        if !matches!(self.state, State::Running { .. }) {
            return None;
        }
        Some(self.try_attach(stdin, stdout, stderr))
    }

    fn try_attach(&mut self, stdin: bool, stdout: bool, stderr: bool) -> io::Result<Attached> {
        let mut attached: Attached = [None, None, None];
        if let Some(terminal) = &self.terminal {
            // For writing and for its size.
            attached[0] = Some(terminal.try_clone()?);
        } else if stdin {
            // With stdinOnce the one who attaches is the only holder, so that his end is the container's end of input.
            attached[0] = match self.spec.stdin_once {
                true => self.stdin.take(),
                false => self.stdin.as_ref().map(OwnedFd::try_clone).transpose()?,
            };
        }
        for (wanted, number) in [(stdout, 0), (stderr, 1)] {
            if let (true, Some(output)) = (wanted, self.outputs.get_mut(number)) {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
                rustix::io::ioctl_fionbio(&write, true)?;
                output.sinks.push(Sink { pipe: write, pending: vec![] });
                attached[number + 1] = Some(read);
            }
        }
        Ok(attached)
    }

    // === ending

    /// Its first process ended. Everything it wrote is logged before this returns.
    pub(super) fn ended(&mut self, code: i32) -> ExitRecord {
        let started_at = match self.state {
            State::Running { started_at, .. } => Some(started_at),
            _ => None,
        };
        if self.spec.pid != NamespaceMode::Container {
            // Its other processes are not killed by the kernel, as they are with a PID namespace of their own.
            let _ = self.cgroup.kill();
        }
        for output in &mut self.outputs {
            while output.read(&mut self.log) {}
            output.close(&mut self.log);
        }
        let reason = match code {
            _ if self.cgroup.oom_kills() > 0 => ExitReason::OomKilled,
            0 => ExitReason::Completed,
            _ => ExitReason::Error,
        };
        let record =
            ExitRecord { started_at, finished_at: SystemClock.now(), exit_code: code, reason, message: String::new() };
        self.finish(record.clone());
        record
    }

    fn finish(&mut self, record: ExitRecord) {
        // The daemon learns it from us too; the file is for when we are gone.
        let _ = write_record(&self.spec.directory, &record);
        self.state = State::Exited(record);
        self.outputs.clear();
        self.stdin = None;
        self.terminal = None;
        self.log = None;
    }
}

/// The supervisor's ends of a container's pipes.
#[derive(Debug, Default)]
struct Ends {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

/// Children go into the PID namespace of the process from now on.
fn enter_pids_of(process: BorrowedFd<'_>) -> rustix::io::Result<()> {
    use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};
    move_into_thread_name_spaces(process, ThreadNameSpaceType::PROCESS_ID)
}

/// Waits for a child that has said that it is about to exit.
fn reap(pid: i32) {
    let _ = rustix::process::waitpid(rustix::process::Pid::from_raw(pid), rustix::process::WaitOptions::empty());
}

fn write_record(directory: &Path, record: &ExitRecord) -> io::Result<()> {
    let aside = directory.join("exit.json.new");
    fs::write(&aside, serde_json::to_vec(record)?)?;
    fs::rename(aside, directory.join("exit.json"))
}
