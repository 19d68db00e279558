//! How the parts of a cluster talk to its API server: the requests, informers that share the server's objects in
//! process, the work queue of controllers, and the recorder of Events; for programs outside, kubeconfigs and HTTPS.
//! Mirrors the job of upstream's `client-go`.

mod client;
mod controller;
mod events;
mod http_client;
mod https;
mod informer;
pub mod kubeconfig;
mod queue;
pub mod rest;
pub mod spdy;
mod transport;

pub use client::{Client, typed_value};
pub use controller::{Outcome, ReconcileError, Reconciler, run_controller};
pub use events::{EventRecorder, EventType, ObjectReference};
pub use http_client::HttpClient;
pub use https::{Secret, ServerUrl, TlsSettings, secure};
pub use informer::{Change, IndexFunction, Informer, Informers, Store};
pub use queue::WorkQueue;
pub use rest::{RestClient, RestConfig, RestError};
pub use transport::{
    DeleteOptions, ListOptions, ObjectList, PatchKind, Preconditions, Propagation, Target, Transport, WatchEvent,
    WatchStream, WriteOptions,
};
