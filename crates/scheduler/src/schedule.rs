//! One decision: which node, or why none. Pure but for the tie-break.

use std::collections::BTreeMap;

use component_base::Random;

use crate::framework::{Filter, FilterPlugin, NodeScore, ScorePlugin, Status};
use crate::plugins;
use crate::pod_info::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};

/// Up to this many nodes are always looked at.
const FEASIBLE_MIN: usize = 100;

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
    /// How many nodes were looked at; the next decision begins with the one after them.
    pub looked_at: usize,
}

/// Why a Pod goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct FitError {
    /// How many nodes there are.
    pub nodes: usize,
    /// Each node's refusal.
    pub statuses: BTreeMap<String, Status>,
    /// Why no node can help, if it is nothing about the nodes.
    pub refusal: Option<String>,
    /// What came of the attempt to make room.
    pub preemption: Option<String>,
}

impl FitError {
    /// `0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. preemption: …`
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
        let reasons = self.refusal.clone().unwrap_or_else(|| parts.join(", "));
        let mut text = format!("0/{} nodes are available: {reasons}.", self.nodes);
        if let Some(preemption) = &self.preemption {
            text.push_str(" preemption: ");
            text.push_str(preemption);
        }
        text
    }
}

impl Default for Framework {
    fn default() -> Self {
        Self { filters: plugins::filters(), scores: plugins::scores() }
    }
}

/// The filters for one Pod. The first that refuses a node counts.
pub(crate) struct Filters<'a> {
    framework: &'a Framework,
    pod: &'a PodInfo,
    snapshot: &'a Snapshot,
    filters: Vec<Filter<'a>>,
}

impl<'a> Filters<'a> {
    fn alone(&self, node: &NodeInfo) -> Result<(), Status> {
        self.filters.iter().try_for_each(|filter| filter(node))
    }

    /// Whether the Pod may run on the node at `index`. Where others are to run that are as important, it must fit beside
    /// them, and without them too, for they may come to run elsewhere.
    pub(crate) fn check(&self, index: usize) -> Result<(), Status> {
        let node = &self.snapshot.nodes[index];
        let nominated = self.snapshot.nominated.get(node.name()).into_iter().flatten();
        let mut others = nominated.filter(|o| o.priority >= self.pod.priority && o.uid() != self.pod.uid()).peekable();
        if others.peek().is_some() {
            let mut with = self.snapshot.clone();
            others.for_each(|other| with.change(index).add(other.clone()));
            self.framework.filters(self.pod, &with).alone(&with.nodes[index])?;
        }
        self.alone(node)
    }
}

/// How many feasible nodes are enough, of so many: in a large cluster the first that are found must do.
fn enough(nodes: usize) -> usize {
    if nodes < FEASIBLE_MIN {
        return nodes;
    }
    let percentage = 50usize.saturating_sub(nodes / 125).max(5);
    (nodes * percentage / 100).max(FEASIBLE_MIN)
}

impl Framework {
    pub(crate) fn filters<'a>(&'a self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Filters<'a> {
        let filters = self.filters.iter().filter_map(|plugin| plugin.filter(pod, snapshot)).collect();
        Filters { framework: self, pod, snapshot, filters }
    }

    /// Chooses a node for `pod`, looking from the node at `start` on; among equally good ones by chance.
    pub fn schedule(
        &self,
        pod: &PodInfo,
        snapshot: &Snapshot,
        start: usize,
        random: &Random,
    ) -> Result<Decision, FitError> {
        let nodes = snapshot.nodes.len();
        if let Some(refusal) = self.filters.iter().find_map(|plugin| plugin.refuses(pod, snapshot)) {
            let status = Status::unresolvable(refusal.clone());
            let statuses = snapshot.nodes.iter().map(|node| (node.name().to_owned(), status.clone())).collect();
            return Err(FitError { nodes, statuses, refusal: Some(refusal), preemption: None });
        }
        let filters = self.filters(pod, snapshot);
        // What was chosen before is the likeliest to fit.
        if let Some(index) = pod.nominated_node().and_then(|name| snapshot.find(name))
            && filters.check(index).is_ok()
        {
            return Ok(Decision { node: snapshot.nodes[index].name().to_owned(), looked_at: 0 });
        }
        let named = plugins::named_nodes(pod);
        let mut statuses = BTreeMap::new();
        let mut feasible = Vec::new();
        let mut looked_at = 0;
        for index in (0..nodes).map(|offset| (start + offset) % nodes) {
            if feasible.len() == enough(nodes) {
                break;
            }
            looked_at += 1;
            let name = snapshot.nodes[index].name();
            let found = match &named {
                Some(named) if !named.contains(name) => {
                    Err(Status::unresolvable("node(s) didn't satisfy plugin(s) [NodeAffinity]"))
                }
                _ => filters.check(index),
            };
            match found {
                Ok(()) => feasible.push(index),
                Err(status) => {
                    statuses.insert(name.to_owned(), status);
                }
            }
        }
        let chosen = match feasible.as_slice() {
            [] => return Err(FitError { nodes, statuses, refusal: None, preemption: None }),
            [only] => *only,
            many => self.best(pod, snapshot, many, random),
        };
        Ok(Decision { node: snapshot.nodes[chosen].name().to_owned(), looked_at })
    }

    fn best(&self, pod: &PodInfo, snapshot: &Snapshot, feasible: &[usize], random: &Random) -> usize {
        let mut totals: Vec<NodeScore> = feasible.iter().map(|index| (*index, 0)).collect();
        for plugin in &self.scores {
            let Some(score) = plugin.score(pod, snapshot) else { continue };
            let mut scores: Vec<NodeScore> =
                feasible.iter().map(|index| (*index, score(&snapshot.nodes[*index]))).collect();
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
