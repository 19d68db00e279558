//! Node init: the first process of a node.
//!
//! Tiny and single-threaded, forked before any thread exists. Where the node has namespaces of its own it is their PID 1,
//! so that killing it kills the node; on a machine that is the node itself it is a subreaper. It forks pod supervisors on
//! request without exec, starts the daemon and starts it again when it dies, makes sockets in the host's network namespace
//! and keeps the listening ones, and owns the host's masquerade rules. It never connects, resolves or waits for anything
//! but its descriptors.

mod client;
mod protocol;
mod restart;
mod serve;
mod setup;

pub(crate) use client::connect_tcp;
pub use client::{HostSocket, InitClient, InitError, RunningSupervisor};
pub use protocol::{ListenAddress, SocketKind};
pub use serve::serve_for;
pub(crate) use serve::{Daemon, Init, listen, permit_comment};
pub(crate) use setup::{Isolation, isolate};

/// The descriptor at which a daemon finds its connection to node init.
pub(crate) const INIT_FD: i32 = 3;
/// The environment variable that names it.
pub const INIT_FD_VARIABLE: &str = "SKIFF_INIT_FD";
