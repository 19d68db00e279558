//! How the parts of a cluster talk to its API server: the requests, informers that share the server's objects in
//! process, the work queue of controllers, and the recorder of Events. Mirrors the job of upstream's `client-go`.

mod client;
mod controller;
mod events;
mod informer;
mod queue;
mod transport;

pub use client::{Client, typed_value};
pub use controller::{Outcome, ReconcileError, Reconciler, run_controller};
pub use events::{EventRecorder, EventType, ObjectReference};
pub use informer::{Change, IndexFunction, Informer, Informers, Store};
pub use queue::WorkQueue;
pub use transport::{
    DeleteOptions, ListOptions, ObjectList, PatchKind, Preconditions, Propagation, Target, Transport, WatchEvent,
    WatchStream, WriteOptions,
};
