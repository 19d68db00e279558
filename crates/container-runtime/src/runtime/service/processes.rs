//! Exec, attach, port forwarding.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use cri::{
    AttachOptions, ByteReader, ContainerState, DuplexStream, EXEC_SYNC_OUTPUT_MAX, ExecOptions, ExecOutput,
    ExecSession, RuntimeError, Timeout,
};
use futures_util::FutureExt;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use super::super::Shared;
use super::super::client::refused;
use super::super::sandbox::{Container, Sandbox};
use super::super::streams::{TerminalStream, reader, writer};
use crate::images::io_text;
use crate::init::connect_tcp;
use crate::supervisor::{Command, Reply};

fn io_error(operation: &'static str) -> impl Fn(std::io::Error) -> RuntimeError {
    move |error| RuntimeError::failed(operation, error)
}

/// Takes a place on /dev/null where a stream is not wanted.
fn null() -> std::io::Result<OwnedFd> {
    Ok(std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?.into())
}

/// Both ends of a stream: ours, if it is wanted, and the process'.
fn stream(wanted: bool, we_write: bool) -> std::io::Result<(Option<OwnedFd>, OwnedFd)> {
    if !wanted {
        return Ok((None, null()?));
    }
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok(if we_write { (Some(write), read) } else { (Some(read), write) })
}

impl Shared {
    /// Runs a program; returns its number too, by which it can be signalled.
    pub(super) async fn exec(
        &self,
        sandbox: &Arc<Sandbox>,
        container: &Container,
        options: ExecOptions,
    ) -> Result<(ExecSession, u64), RuntimeError> {
        const OPERATION: &str = "exec in the container";
        let failed = io_error(OPERATION);
        let client = sandbox.client()?;
        // Random, so that one of a daemon that died is not taken for ours.
        let exec = self.options.random.next_u64();
        let (ended, exit) = oneshot::channel();
        let mut ours = [None, None, None];
        let mut theirs = vec![];
        if !options.tty {
            let wanted = [(options.stdin, true), (options.stdout, false), (options.stderr, false)];
            for (slot, (wanted, we_write)) in ours.iter_mut().zip(wanted) {
                let (our_end, their_end) = stream(wanted, we_write).map_err(&failed)?;
                *slot = our_end;
                theirs.push(their_end);
            }
        }
        sandbox.execs.lock().insert(exec, ended);
        let command =
            Command::Exec { container: container.id.clone(), exec, argv: options.argv.clone(), tty: options.tty };
        let fds: Vec<BorrowedFd<'_>> = theirs.iter().map(AsFd::as_fd).collect();
        let answer = client.ask(OPERATION, command, &fds).await;
        drop(theirs);
        let (reply, mut fds) = answer.inspect_err(|_| drop(sandbox.execs.lock().remove(&exec)))?;
        if !matches!(reply, Reply::Executed { .. }) {
            sandbox.execs.lock().remove(&exec);
        }
        match reply {
            Reply::Executed { .. } => {}
            Reply::NotStarted { message, exit_code } => {
                let message = format!("exec failed: unable to start container process: {message}: unknown");
                return Err(RuntimeError::Exec { message, exit_code });
            }
            Reply::NotRunning => return Err(container.not_running()),
            other => return Err(refused(OPERATION, &other)),
        }
        let lost = RuntimeError::failed(OPERATION, "the pod's supervisor is gone");
        let exit = async move { exit.await.map_err(|_| lost) }.boxed();
        let mut session = ExecSession { stdin: None, stdout: None, stderr: None, terminal: None, exit };
        if let Some(master) = fds.pop() {
            let terminal = TerminalStream::new(master).map_err(&failed)?;
            session.stdin = options.stdin.then(|| Box::new(terminal.clone()) as _);
            session.stdout = options.stdout.then(|| Box::new(terminal.clone()) as _);
            session.terminal = Some(Box::new(terminal));
        }
        let [stdin, stdout, stderr] = ours;
        if let Some(fd) = stdin {
            session.stdin = Some(writer(fd).map_err(&failed)?);
        }
        if let Some(fd) = stdout {
            session.stdout = Some(reader(fd).map_err(&failed)?);
        }
        if let Some(fd) = stderr {
            session.stderr = Some(reader(fd).map_err(&failed)?);
        }
        Ok((session, exec))
    }

    pub(super) async fn exec_sync(
        &self,
        sandbox: &Arc<Sandbox>,
        container: &Container,
        argv: &[String],
        timeout: Timeout,
    ) -> Result<ExecOutput, RuntimeError> {
        let options = ExecOptions { argv: argv.to_vec(), tty: false, stdin: false, stdout: true, stderr: true };
        let (session, exec) = self.exec(sandbox, container, options).await?;
        let ExecSession { stdout, stderr, exit, .. } = session;
        let all = async {
            let (stdout, stderr, exit_code) = tokio::join!(collect(stdout), collect(stderr), exit);
            Ok(ExecOutput { stdout, stderr, exit_code: exit_code? })
        };
        let Some(limit) = timeout else { return all.await };
        match tokio::time::timeout(limit, all).await {
            Ok(output) => output,
            Err(_) => {
                if let Ok(client) = sandbox.client() {
                    // It may have ended just now.
                    let _ = client.ask("kill an exec", Command::SignalExec { exec, signal: libc::SIGKILL }, &[]).await;
                }
                Err(RuntimeError::ExecTimeout { command: argv.join(" "), timeout: limit })
            }
        }
    }

    pub(super) async fn attach(
        &self,
        sandbox: &Arc<Sandbox>,
        container: &Arc<Container>,
        options: &AttachOptions,
    ) -> Result<ExecSession, RuntimeError> {
        const OPERATION: &str = "attach to the container";
        let failed = io_error(OPERATION);
        let AttachOptions { stdin, stdout, stderr } = *options;
        let command = Command::Attach { container: container.id.clone(), stdin, stdout, stderr };
        let (reply, fds) = sandbox.client()?.ask(OPERATION, command, &[]).await?;
        let (has, tty) = match reply {
            Reply::Attached { stdin, stdout, stderr, tty } => ([stdin, stdout, stderr], tty),
            Reply::NotRunning => return Err(container.not_running()),
            other => return Err(refused(OPERATION, &other)),
        };
        let mut fds = fds.into_iter();
        let [input, output, error] = has.map(|has| if has { fds.next() } else { None });
        let ended = container.clone();
        let exit = async move {
            ended.ended().await;
            match ended.current() {
                ContainerState::Exited { exit_code, .. } => Ok(exit_code),
                _ => Err(RuntimeError::failed(OPERATION, "the container is gone")),
            }
        };
        let mut session = ExecSession { stdin: None, stdout: None, stderr: None, terminal: None, exit: exit.boxed() };
        match input {
            Some(master) if tty => {
                let terminal = TerminalStream::new(master).map_err(&failed)?;
                session.stdin = stdin.then(|| Box::new(terminal.clone()) as _);
                session.terminal = Some(Box::new(terminal));
            }
            Some(pipe) => session.stdin = Some(writer(pipe).map_err(&failed)?),
            None => {}
        }
        session.stdout = output.map(reader).transpose().map_err(&failed)?;
        session.stderr = error.map(reader).transpose().map_err(&failed)?;
        Ok(session)
    }

    pub(super) async fn port_forward(
        &self,
        sandbox: &Sandbox,
        port: u16,
    ) -> Result<Box<dyn DuplexStream>, RuntimeError> {
        const OPERATION: &str = "make a socket in the pod";
        let failed = |message: String| RuntimeError::PortForward { id: sandbox.id.clone(), port, message };
        let client = sandbox.client()?;
        let mut tried = Vec::new();
        // As containerd does, in its words: IPv4 first, then IPv6.
        for (ipv6, address, words) in [(false, "127.0.0.1", "IPv4: dial tcp4"), (true, "::1", "IPv6 dial tcp6")] {
            let (reply, fds) = client.ask(OPERATION, Command::Socket { ipv6 }, &[]).await?;
            let Some(socket) = fds.into_iter().next() else { return Err(refused(OPERATION, &reply)) };
            let address = std::net::SocketAddr::new(address.parse().expect("a loopback address"), port);
            match connect_tcp(socket, address).await {
                Ok(stream) => return Ok(Box::new(stream)),
                Err(error) => tried.push(format!("{words} {address}: connect: {}", io_text(&error))),
            }
        }
        Err(failed(tried.join(" ")))
    }
}

/// All that a stream gives, of which the first part is kept.
async fn collect(stream: Option<ByteReader>) -> Vec<u8> {
    let Some(stream) = stream else { return vec![] };
    let mut kept = vec![];
    let mut limited = stream.take(EXEC_SYNC_OUTPUT_MAX as u64);
    // What was read before an error is still worth something.
    if limited.read_to_end(&mut kept).await.is_ok() {
        let _ = tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await;
    }
    kept
}
