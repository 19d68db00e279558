//! How a scenario fails.

use std::time::Duration;

use apimachinery::ApiError;

/// Why a scenario did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something did not come true in time.
    #[error("{what}: not within {patience:?} of virtual time: {why}")]
    Impatient {
        /// What was waited for.
        what: String,
        /// How long.
        patience: Duration,
        /// What was the case instead, when last looked at.
        why: String,
    },
    /// A request failed that should not have.
    #[error("a request of the scenario failed")]
    Request(#[from] ApiError),
    /// A commit broke an invariant.
    #[error("revision {revision} breaks an invariant: {what}")]
    Invariant {
        /// The commit's revision.
        revision: u64,
        /// Which, and how.
        what: String,
    },
    /// YAML that is no object which is served.
    #[error("a fixture can't be applied: {0}")]
    Fixture(String),
    /// The cluster can't be made, or not be opened again.
    #[error("the cluster did not start: {0}")]
    Start(String),
    /// What the scenario says is wrong.
    #[error("{0}")]
    Wrong(String),
}

impl Failure {
    /// The failure and its causes, in one line.
    pub fn text(&self) -> String {
        match self {
            Self::Request(source) => format!("{self}: {source}"),
            other => other.to_string(),
        }
    }
}
