//! What daemon and supervisor say to each other.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cni::plan::Veth;
use cri::{ExitReason, NamespaceOptions};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::container::ContainerSpec;
use crate::user::User;

/// Raised when an older peer would misunderstand.
pub(crate) const PROTOCOL_VERSION: u32 = 1;

/// Namespaces and network of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SandboxSetup {
    /// The pod's own directory.
    pub(crate) directory: PathBuf,
    /// None keeps the node's UTS namespace.
    pub(crate) hostname: Option<String>,
    /// None keeps the node's network.
    pub(crate) network: Option<Veth>,
    pub(crate) namespaces: NamespaceOptions,
    pub(crate) sysctls: BTreeMap<String, String>,
    pub(crate) shm_bytes: u64,
}

/// A request; the answer carries the same number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) command: Command,
}

/// What the daemon asks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// First on every connection.
    Hello { version: u32 },
    /// Makes the pod's namespaces and network; once.
    Setup(Box<SandboxSetup>),
    /// Notes a container.
    Create(Box<ContainerSpec>),
    /// Runs it.
    Start { container: String },
    /// Signals its first process; SIGKILL reaches all of them.
    Signal { container: String, signal: i32 },
    /// Runs another program in it; three descriptors come along where it has no terminal.
    Exec { container: String, exec: u64, argv: Vec<String>, tty: bool },
    /// Signals an exec'd process.
    SignalExec { exec: u64, signal: i32 },
    /// Joins its streams.
    Attach { container: String, stdin: bool, stdout: bool, stderr: bool },
    /// An unconnected TCP socket in the pod's network namespace.
    Socket { ipv6: bool },
    /// Forgets a container that does not run.
    Remove { container: String },
    /// Kills all, gives the network back.
    Stop,
    /// Ends the supervisor.
    Quit,
}

/// How a container ended; also the contents of its `exit.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExitRecord {
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Timestamp,
    pub(crate) exit_code: i32,
    pub(crate) reason: ExitReason,
    #[serde(default)]
    pub(crate) message: String,
}

/// Where a container is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    Created,
    Running { pid: i32, started_at: Timestamp },
    Exited(ExitRecord),
}

/// A container, as the supervisor knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerReport {
    pub(crate) id: String,
    pub(crate) phase: Phase,
    pub(crate) user: Option<User>,
}

/// Answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    Hello {
        version: u32,
        pid: i32,
        is_set_up: bool,
        containers: Vec<ContainerReport>,
    },
    Done,
    Started(ContainerReport),
    /// A terminal's descriptor comes along where it has one.
    Executed {
        pid: i32,
    },
    /// Descriptors come along for what is true, in this order; `stdin` of a terminal is the terminal.
    Attached {
        stdin: bool,
        stdout: bool,
        stderr: bool,
        tty: bool,
    },
    /// The program could not be executed.
    NotStarted {
        message: String,
        exit_code: i32,
    },
    /// Anything else that failed.
    Failed {
        message: String,
    },
    NotRunning,
    NoSuchContainer,
}

/// What the supervisor tells on its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Push {
    Exited { container: String, exit: ExitRecord },
    ExecExited { exec: u64, exit_code: i32 },
}

/// Everything that comes from a supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FromSupervisor {
    Reply { id: u64, reply: Reply },
    Push(Push),
}
