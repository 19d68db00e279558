//! The extension points that plugins fill (upstream: `k8s.io/kube-scheduler/framework`).

use crate::pod_info::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};

/// The highest score a plugin gives a node.
pub(crate) const MAX_NODE_SCORE: i64 = 100;

/// Why a node does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The reasons, as they are counted in the Pod's condition and Event.
    pub reasons: Vec<String>,
    /// Whether nothing that happens to other Pods can change it.
    pub unresolvable: bool,
}

impl Status {
    /// Other Pods' end may change it.
    pub fn unschedulable(reason: impl Into<String>) -> Self {
        Self { reasons: vec![reason.into()], unresolvable: false }
    }

    /// Only a change of the node or of the Pod helps.
    pub fn unresolvable(reason: impl Into<String>) -> Self {
        Self { reasons: vec![reason.into()], unresolvable: true }
    }
}

/// Says of each node why a Pod may not run there, if so.
pub type Filter<'a> = Box<dyn Fn(&NodeInfo) -> Result<(), Status> + 'a>;

/// Says whether a Pod may run on a node.
pub trait FilterPlugin: Send + Sync + std::fmt::Debug {
    /// Upstream's name.
    fn name(&self) -> &'static str;
    /// Why `pod` can run nowhere, whatever the nodes are like (upstream's PreFilter).
    fn refuses(&self, _pod: &PodInfo, _snapshot: &Snapshot) -> Option<String> {
        None
    }
    /// The filter for `pod`: what holds for all nodes is worked out here, once for a decision. `None` lets all nodes pass.
    fn filter<'a>(&self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Filter<'a>>;
}

/// A node's index in the snapshot and its score.
pub type NodeScore = (usize, i64);

/// Gives each node a raw score.
pub type Score<'a> = Box<dyn Fn(&NodeInfo) -> i64 + 'a>;

/// Says how well a Pod would run on a node.
pub trait ScorePlugin: Send + Sync + std::fmt::Debug {
    /// Upstream's name.
    fn name(&self) -> &'static str;
    /// How much this plugin's score counts.
    fn weight(&self) -> i64;
    /// The raw scores for `pod`: what holds for all nodes is worked out here, once for a decision. `None` if the plugin has
    /// nothing to say.
    fn score<'a>(&self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Score<'a>>;
    /// Brings raw scores to 0..=[`MAX_NODE_SCORE`].
    fn normalize(&self, _scores: &mut [NodeScore]) {}
}

/// Scales scores so that the highest becomes [`MAX_NODE_SCORE`]; `reverse` makes the lowest raw score the best.
pub(crate) fn default_normalize(scores: &mut [NodeScore], reverse: bool) {
    let max = scores.iter().map(|(_, score)| *score).max().unwrap_or(0);
    for (_, score) in scores.iter_mut() {
        let scaled = if max == 0 { 0 } else { MAX_NODE_SCORE * *score / max };
        *score = if reverse { MAX_NODE_SCORE - scaled } else { scaled };
    }
}
