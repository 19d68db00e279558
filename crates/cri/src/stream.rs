//! Byte streams into containers.

use std::fmt;
use std::io;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::RuntimeError;

/// Bytes of each of standard output and standard error that [`crate::RuntimeService::exec_sync`] keeps: 16 MiB, as CRI's;
/// what is beyond is read and dropped.
pub const EXEC_SYNC_OUTPUT_MAX: usize = 16 << 20;

/// Something to read from.
pub type ByteReader = Box<dyn AsyncRead + Send + Unpin>;
/// Something to write to.
pub type ByteWriter = Box<dyn AsyncWrite + Send + Unpin>;

/// Both ways: a forwarded port.
pub trait DuplexStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> DuplexStream for T {}

/// Size of a terminal in character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// The terminal of a process. Given only where it has one.
pub trait Terminal: Send + Sync + fmt::Debug {
    /// Sets its size; the process gets SIGWINCH.
    ///
    /// # Errors
    /// The terminal is closed.
    fn resize(&self, size: TerminalSize) -> io::Result<()>;
}

/// Resolves to the exit code of an exec'd process, or of the container for attach.
pub type ExitFuture = BoxFuture<'static, Result<i32, RuntimeError>>;

/// What to execute, and which streams.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecOptions {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// With a terminal; standard error is then part of standard output.
    pub tty: bool,
    /// Whether standard input is open.
    pub stdin: bool,
    /// Whether standard output is wanted.
    pub stdout: bool,
    /// Whether standard error is wanted.
    pub stderr: bool,
}

/// Which streams of a running container to join.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttachOptions {
    /// Standard input; needs a container with `stdin`.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error; none where the container has a terminal.
    pub stderr: bool,
}

/// An exec'd process or an attached container. Dropping it closes the streams; an exec'd process then gets SIGHUP or
/// SIGPIPE as under any other runtime, and is not killed.
pub struct ExecSession {
    /// Standard input; shut it down to send end of file.
    pub stdin: Option<ByteWriter>,
    /// Standard output, or the terminal.
    pub stdout: Option<ByteReader>,
    /// Standard error.
    pub stderr: Option<ByteReader>,
    /// The terminal.
    pub terminal: Option<Box<dyn Terminal>>,
    /// Exit code. Output may still be in the streams when it resolves: read them to the end.
    pub exit: ExitFuture,
}

impl fmt::Debug for ExecSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecSession")
            .field("stdin", &self.stdin.is_some())
            .field("stdout", &self.stdout.is_some())
            .field("stderr", &self.stderr.is_some())
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

/// Result of [`crate::RuntimeService::exec_sync`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecOutput {
    /// Standard output, at most [`EXEC_SYNC_OUTPUT_MAX`].
    pub stdout: Vec<u8>,
    /// Standard error, at most [`EXEC_SYNC_OUTPUT_MAX`].
    pub stderr: Vec<u8>,
    /// Exit code.
    pub exit_code: i32,
}

/// Time that [`crate::RuntimeService::exec_sync`] gives; none means no limit.
pub type Timeout = Option<Duration>;
