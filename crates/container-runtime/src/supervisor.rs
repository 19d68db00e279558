//! The pod supervisor: parent of a pod's processes.
//!
//! Forked by node init without exec, single-threaded, a few dozen KiB. It lives inside the pod's network, UTS and IPC
//! namespaces and in the node's mount and PID namespaces; it creates containers on request, holds their log pipes, terminals
//! and exit codes, and writes logs and exit records to disk. The daemon talks to it over a unix socket and may die and come
//! back at any time: what it missed is in the snapshot that it gets first.
//!
//! State has one owner, [`serve::Supervisor`]; everything happens in its poll loop. Requests are answered in order on each
//! connection; exits are pushed to all connections. A peer that does not read is dropped.

mod container;
mod logs;
mod output;
mod protocol;
mod sandbox;
mod serve;

pub(crate) use protocol::{
    Command, ContainerReport, ExitRecord, FromSupervisor, PROTOCOL_VERSION, Phase, Push, Reply, Request, SandboxSetup,
};
pub(crate) use serve::run;
