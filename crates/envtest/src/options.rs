//! What a run is made from.

use std::time::Duration;

use crate::faults::Faults;

/// What a run is made from. Two runs with equal options (and the same scenario) are equal.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Determines names, uids, tie-breaks, jitter and faults.
    pub seed: u64,
    /// How many nodes there are: `node-0`, `node-1` …, each with 4 cores, 8 GiB and room for 110 Pods.
    pub nodes: usize,
    /// How long [`crate::Cluster::eventually`] waits, in virtual time.
    pub patience: Duration,
    /// What goes wrong.
    pub faults: Faults,
    /// Whether enough Pods have to be available all along during rollouts. Not in scenarios that delete Pods by hand or
    /// lose nodes.
    pub guard_availability: bool,
}

impl Options {
    /// Three nodes, no faults, two minutes of patience.
    pub fn new(seed: u64) -> Self {
        Self { seed, nodes: 3, patience: Duration::from_secs(120), faults: Faults::default(), guard_availability: true }
    }

    /// With so many nodes.
    #[must_use]
    pub fn nodes(self, nodes: usize) -> Self {
        Self { nodes, ..self }
    }

    /// With these faults.
    #[must_use]
    pub fn faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// With so much patience.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Without the demand that Pods stay available.
    #[must_use]
    pub fn outages(self) -> Self {
        Self { guard_availability: false, ..self }
    }
}
