//! A container's first process, and processes exec'd into it: what runs between clone and exec.
//!
//! All of this happens in a child that the single-threaded pod supervisor has just cloned. It tells its parent over a socket
//! whom it runs as, its terminal, and why it failed; the socket closes when the program is executed.

mod child;
mod exec;
mod image;
mod mounts;
mod process;
mod report;
mod root;
mod spec;

pub(crate) use child::run as run_container;
pub(crate) use exec::run as run_exec;
pub(crate) use report::{Outcome, StartFailure, collect, pair};
pub(crate) use spec::{ContainerSpec, DeviceNode, ProcessSpec, Streams};
