//! One decision: which node, or why none. Pure but for the tie-break.

use std::collections::BTreeMap;

use component_base::Random;

use crate::framework::{FilterPlugin, NodeScore, ScorePlugin, Status};
use crate::plugins;
use crate::snapshot::{PodInfo, Snapshot};

/// The plugins of the default profile.
#[derive(Debug)]
pub struct Framework {
    filters: Vec<Box<dyn FilterPlugin>>,
    scores: Vec<Box<dyn ScorePlugin>>,
}

/// Where a Pod goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The node's name.
    pub node: String,
}

/// Why a Pod goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct FitError {
    /// How many nodes there are.
    pub nodes: usize,
    /// Each node's refusal.
    pub statuses: BTreeMap<String, Status>,
}

impl FitError {
    /// `0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable.`
    fn text(&self) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for reason in self.statuses.values().flat_map(|status| &status.reasons) {
            *counts.entry(reason).or_default() += 1;
        }
        let mut parts: Vec<String> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        parts.sort();
        format!("0/{} nodes are available: {}.", self.nodes, parts.join(", "))
    }
}

impl Default for Framework {
    fn default() -> Self {
        Self { filters: plugins::filters(), scores: plugins::scores() }
    }
}

impl Framework {
    /// Chooses a node for `pod`; among equally good ones by chance.
    pub fn schedule(&self, pod: &PodInfo, snapshot: &Snapshot, random: &Random) -> Result<Decision, FitError> {
        let mut statuses = BTreeMap::new();
        let mut feasible = Vec::new();
        for (index, node) in snapshot.nodes.iter().enumerate() {
            match self.filters.iter().find_map(|plugin| plugin.filter(pod, node, snapshot).err()) {
                None => feasible.push(index),
                Some(status) => {
                    statuses.insert(node.name().to_owned(), status);
                }
            }
        }
        let chosen = match feasible.as_slice() {
            [] => return Err(FitError { nodes: snapshot.nodes.len(), statuses }),
            [only] => *only,
            many => self.best(pod, snapshot, many, random),
        };
        Ok(Decision { node: snapshot.nodes[chosen].name().to_owned() })
    }

    fn best(&self, pod: &PodInfo, snapshot: &Snapshot, feasible: &[usize], random: &Random) -> usize {
        let mut totals: Vec<NodeScore> = feasible.iter().map(|index| (*index, 0)).collect();
        for plugin in &self.scores {
            let score = |index: &usize| (*index, plugin.score(pod, &snapshot.nodes[*index], snapshot));
            let mut scores: Vec<NodeScore> = feasible.iter().map(score).collect();
            plugin.normalize(&mut scores);
            for (total, (_, score)) in totals.iter_mut().zip(&scores) {
                total.1 += score * plugin.weight();
            }
        }
        let highest = totals.iter().map(|(_, score)| *score).max().unwrap_or(0);
        let best: Vec<usize> = totals.iter().filter(|(_, score)| *score == highest).map(|(index, _)| *index).collect();
        best[usize::try_from(random.below(best.len() as u64)).unwrap_or(0)]
    }
}
