//! A whole cluster in a test: the control plane as it is (datastore on a simulated disk, API server, controllers,
//! scheduler) and simulated nodes (the real kubelet over `cri`'s fake runtime), in one thread, in virtual time, from one
//! seed. The same seed gives the same [`EventLog`], byte for byte, also in another process.
//!
//! [`check`] runs a scenario in a test; [`run`] gives the outcome and the log back. Every commit passes the invariants
//! of [`Invariants`]; [`Faults`] make it hard for them.
//!
//! Absent on purpose: sockets, threads, the wall clock, the system's randomness (but for the signing key of service
//! account tokens, which no object shows). The kubelets' volumes are real files in a directory that goes with the run.

mod api_servers;
mod cluster;
mod control_plane;
mod directory;
mod event_log;
mod failure;
mod faults;
mod fixtures;
mod invariants;
mod network;
mod node;
mod options;
mod run;
mod store;
mod transport;
pub mod tutorial;
mod volumes;
mod webhooks;
mod world;

pub use cluster::Cluster;
pub use event_log::{Entry, EventLog, Happening};
pub use failure::Failure;
pub use faults::Faults;
pub use invariants::Invariants;
pub use network::Network;
pub use node::SimulatedNode;
pub use options::Options;
pub use run::{Outcome, check, run};
