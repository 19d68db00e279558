//! What is to be written, and said, of a claim and a volume. Pure.

use serde_json::{Value, json};

use crate::said::Said;

pub(super) mod binding;
pub(super) mod claim;
pub(super) mod volume;

/// One of the two objects that a plan is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Claim,
    Volume,
}

/// A change of one object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Write {
    pub(super) side: Side,
    /// Whether it goes to the object's status.
    pub(super) status: bool,
    /// A merge patch.
    pub(super) change: Value,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Plan {
    /// The volume that a claim gets or has.
    pub(super) volume: Option<String>,
    /// In this order: none is done after one that failed.
    pub(super) writes: Vec<Write>,
    /// Said when all is written.
    pub(super) said: Vec<(Side, Said)>,
    /// Whether the volume's claim is to be looked at next.
    pub(super) then_claim: bool,
}

impl Plan {
    fn of(side: Side, said: Said) -> Self {
        Self { said: vec![(side, said)], ..Self::default() }
    }

    fn write(&mut self, side: Side, change: Option<Value>) {
        self.writes.extend(change.map(|change| Write { side, status: false, change }));
    }

    fn write_status(&mut self, side: Side, status: Option<Value>) {
        self.writes.extend(status.map(|status| Write { side, status: true, change: json!({"status": status}) }));
    }
}

#[cfg(test)]
mod tests;
