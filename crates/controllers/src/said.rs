//! Events that a plan asks for.

use client::{EventRecorder, EventType, ObjectReference};

/// An Event about the object that the plan is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) event_type: EventType,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Said {
    /// Nothing is wrong.
    pub(crate) fn normal(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { event_type: EventType::Normal, reason: reason.into(), message: message.into() }
    }

    /// Somebody should look.
    pub(crate) fn warning(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { event_type: EventType::Warning, reason: reason.into(), message: message.into() }
    }
}

/// Records what was said about `about`.
pub(crate) fn record(recorder: &EventRecorder, about: &ObjectReference, said: impl IntoIterator<Item = Said>) {
    for said in said {
        recorder.event(about.clone(), said.event_type, &said.reason, said.message);
    }
}
