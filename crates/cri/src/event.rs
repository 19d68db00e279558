//! What happens in a runtime, told as it happens.

use jiff::Timestamp;

use crate::{ContainerId, ExitReason, PodSandboxId};

/// Events that a slow receiver may be behind before it loses some and has to list again: a node holds at most about 250
/// pods, and each of their containers gives four events.
pub const EVENT_QUEUE_MAX: usize = 1024;

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Exit code; 128 + n for signal n.
    pub code: i32,
    /// Why.
    pub reason: ExitReason,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A container was made.
    Created(ContainerId),
    /// Its first process runs.
    Started(ContainerId),
    /// Its first process ended.
    Stopped(ContainerId, Exit),
    /// It was removed.
    Deleted(ContainerId),
    /// The sandbox was made.
    SandboxStarted,
    /// The sandbox is not ready any more: it was stopped, or its supervisor died.
    SandboxStopped,
    /// The sandbox was removed.
    SandboxDeleted,
}

/// One event, with the pod it concerns, so that it goes to the pod's worker without a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerEvent {
    /// The pod's UID.
    pub pod_uid: String,
    /// The sandbox.
    pub sandbox_id: PodSandboxId,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub at: Timestamp,
}
