//! The container runtime: node init, pod supervisors, containers, images.
//!
//! Process tree, from the outside in (`PROCESSES.md` has the details):
//! - a launcher makes a node ([`Node::launch`]) and ends;
//! - node init is the node's first process: tiny, single-threaded, it keeps the daemon running and forks pod supervisors;
//! - the daemon runs everything else; [`InitClient`] is its connection to node init, [`ContainerRuntime`] its runtime;
//! - a pod supervisor is the parent of a pod's processes and outlives the daemon.
//!
//! The only `unsafe` code of the project is in `sys`.
//! Absent: user namespaces, image volumes as mounts of their own (their paths are in the writable layer), AppArmor and
//! SELinux, checkpoints, 32-bit programs under `RuntimeDefault`.

mod capabilities;
mod cgroups;
mod container;
mod images;
mod init;
mod node;
mod runtime;
mod seccomp;
mod supervisor;
mod sys;
mod user;
mod wire;

pub use images::{
    Connection, Dial, DialError, FileContent, FileEntry, ImageStore, ImageStoreConfig, LoadedImage, LocalSockets,
    Registries, RegistriesError, Sockets, TcpDial,
};
pub use init::{
    HostSocket, INIT_FD_VARIABLE, InitClient, InitError, ListenAddress, RunningSupervisor, SocketKind, serve_for,
};
pub use node::{HostNodeConfig, Node, NodeConfig, NodeError, NodeListener, run_on_host};
pub use runtime::{ContainerRuntime, Rootfs, RootfsProvider, RuntimeOptions};
