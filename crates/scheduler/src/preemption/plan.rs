//! Which Pods must go for a more important one, and on which node (upstream:
//! `pkg/scheduler/framework/plugins/defaultpreemption`, `pkg/scheduler/framework/preemption`). Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::labels::Selector;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::jiff::Timestamp;

use crate::framework::Status;
use crate::pod_info::PodInfo;
use crate::schedule::{FitError, Framework};
use crate::snapshot::{NodeInfo, Snapshot};

/// Of so many nodes at least this share is tried…
const CANDIDATES_PERCENTAGE: usize = 10;
/// …and at least this many.
const CANDIDATES_MIN: usize = 100;

/// What is known when a Pod fits nowhere.
#[derive(Debug)]
pub(crate) struct Observed<'a> {
    pub(crate) framework: &'a Framework,
    pub(crate) pod: &'a PodInfo,
    pub(crate) snapshot: &'a Snapshot,
    /// Why each node refused it.
    pub(crate) statuses: &'a BTreeMap<String, Status>,
    pub(crate) budgets: &'a [Arc<PodDisruptionBudget>],
    pub(crate) now: Timestamp,
    /// Where to begin among the nodes that could help, so that it is not always the same ones.
    pub(crate) offset: u64,
}

/// What comes of it.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What the Pod's condition and Event say of it.
    pub(crate) message: String,
    pub(crate) nomination: Nomination,
}

/// The node on which the Pod waits for room.
#[derive(Debug)]
pub(crate) enum Nomination {
    /// What it was: the room is on its way, or nobody may be told to go.
    Keep,
    /// None.
    Clear,
    /// This one, when these have gone.
    Node(Candidate),
}

/// A node, and whom it would cost.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) node: String,
    /// The most important ones first.
    pub(crate) victims: Vec<Arc<PodInfo>>,
    /// How many of them their budgets would rather keep.
    pub(crate) violations: usize,
}

/// Decides.
pub(crate) fn plan(observed: &Observed<'_>) -> Plan {
    let Observed { pod, snapshot, statuses, .. } = observed;
    let unless = |message: &str| Plan { message: message.to_owned(), nomination: Nomination::Keep };
    if pod.pod.spec.as_ref().and_then(|spec| spec.preemption_policy.as_deref()) == Some("Never") {
        return unless("not eligible due to preemptionPolicy=Never.");
    }
    if waits_for_victims(observed) {
        return unless("not eligible due to a terminating pod on the nominated node.");
    }
    let resolvable = |node: &NodeInfo| statuses.get(node.name()).is_some_and(|status| !status.unresolvable);
    let nodes: Vec<usize> = (0..snapshot.nodes.len()).filter(|index| resolvable(&snapshot.nodes[*index])).collect();
    let (candidates, mut refusals) = candidates(observed, &nodes);
    let Some(best) = candidates.into_iter().min_by_key(|candidate| cost(candidate, observed.now)) else {
        let unhelpful = Status::unresolvable("Preemption is not helpful for scheduling");
        for node in &snapshot.nodes {
            refusals.entry(node.name().to_owned()).or_insert_with(|| unhelpful.clone());
        }
        let nodes = snapshot.nodes.len();
        let error = FitError { nodes, statuses: refusals, refusal: None, preemption: None };
        return Plan { message: error.to_string(), nomination: Nomination::Clear };
    };
    let message =
        format!("found a potential placement for pod on node {}, preempting {} victims", best.node, best.victims.len());
    Plan { message, nomination: Nomination::Node(best) }
}

/// Whether the Pod made others go that have not gone yet.
fn waits_for_victims(observed: &Observed<'_>) -> bool {
    let Observed { pod, snapshot, statuses, .. } = observed;
    let Some(name) = pod.nominated_node() else { return false };
    if statuses.get(name).is_some_and(|status| status.unresolvable) {
        return false;
    }
    let node = snapshot.find(name).map(|index| &snapshot.nodes[index]);
    node.is_some_and(|node| node.pods.iter().any(|other| other.priority < pod.priority && goes_by_preemption(other)))
}

fn goes_by_preemption(pod: &PodInfo) -> bool {
    let conditions = pod.pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let target = conditions.into_iter().flatten().find(|condition| condition.type_ == "DisruptionTarget");
    pod.pod.metadata.deletion_timestamp.is_some()
        && target.is_some_and(|c| c.status == "True" && c.reason.as_deref() == Some("PreemptionByScheduler"))
}

/// The nodes on which the Pod would fit if some others went, those that cost no budget first; and why the others are none.
fn candidates(observed: &Observed<'_>, nodes: &[usize]) -> (Vec<Candidate>, BTreeMap<String, Status>) {
    let enough = (nodes.len() * CANDIDATES_PERCENTAGE / 100).max(CANDIDATES_MIN);
    let (mut keeping, mut violating, mut refusals) = (Vec::new(), Vec::new(), BTreeMap::new());
    let begin = usize::try_from(observed.offset % (nodes.len() as u64).max(1)).unwrap_or(0);
    for index in nodes.iter().cycle().skip(begin).take(nodes.len()) {
        match on_node(observed, *index) {
            Ok(candidate) if candidate.violations == 0 => keeping.push(candidate),
            Ok(candidate) => violating.push(candidate),
            Err(status) => {
                refusals.insert(observed.snapshot.nodes[*index].name().to_owned(), status);
            }
        }
        if !keeping.is_empty() && keeping.len() + violating.len() >= enough {
            break;
        }
    }
    keeping.append(&mut violating);
    (keeping, refusals)
}

/// Whom it would cost on one node: all that are less important are thought away, then as many as possible are put back,
/// those first that a budget protects, and among them the most important ones.
fn on_node(observed: &Observed<'_>, index: usize) -> Result<Candidate, Status> {
    let Observed { framework, pod, now, .. } = *observed;
    let mut snapshot = observed.snapshot.clone();
    let node = snapshot.change(index);
    let mut lesser: Vec<Arc<PodInfo>> =
        node.pods.iter().filter(|other| other.priority < pod.priority).cloned().collect();
    if lesser.is_empty() {
        return Err(Status::unresolvable("No preemption victims found for incoming pod"));
    }
    lesser.iter().for_each(|victim| node.remove(victim.uid()));
    framework.filters(pod, &snapshot).check(index)?;
    lesser.sort_by_key(|victim| (Reverse(victim.priority), started(victim, now)));
    let (protected, others) = by_budgets(&lesser, observed.budgets);
    let (mut victims, mut violations) = (Vec::new(), 0);
    for (victim, is_protected) in
        protected.into_iter().map(|victim| (victim, true)).chain(others.into_iter().map(|victim| (victim, false)))
    {
        snapshot.change(index).add(victim.clone());
        if framework.filters(pod, &snapshot).check(index).is_err() {
            snapshot.change(index).remove(victim.uid());
            violations += usize::from(is_protected);
            victims.push(victim);
        }
    }
    if victims.is_empty() {
        let name = observed.snapshot.nodes[index].name();
        return Err(Status::unschedulable(format!("expected at least one victim pod on node {name:?}")));
    }
    victims.sort_by_key(|victim| (Reverse(victim.priority), started(victim, now)));
    Ok(Candidate { node: observed.snapshot.nodes[index].name().to_owned(), victims, violations })
}

/// When a Pod started; one that has not does so now.
fn started(pod: &PodInfo, now: Timestamp) -> Timestamp {
    pod.pod.status.as_ref().and_then(|status| status.start_time.as_ref()).map_or(now, |time| time.0)
}

/// Parts Pods into those whose end would break a budget, and the others, in the order in which they come.
fn by_budgets(pods: &[Arc<PodInfo>], budgets: &[Arc<PodDisruptionBudget>]) -> (Vec<Arc<PodInfo>>, Vec<Arc<PodInfo>>) {
    let mut budgets: Vec<Budget<'_>> = budgets.iter().map(|budget| Budget::new(budget)).collect();
    pods.iter().cloned().partition(|pod| budgets.iter_mut().any(|budget| budget.is_broken_by(pod)))
}

/// What is left of a budget.
struct Budget<'a> {
    budget: &'a PodDisruptionBudget,
    selector: Selector,
    allowed: i32,
}

impl<'a> Budget<'a> {
    fn new(budget: &'a PodDisruptionBudget) -> Self {
        let selector = budget.spec.as_ref().map(|spec| serde_json::to_value(&spec.selector).unwrap_or_default());
        let selector = Selector::from_label_selector(&selector.unwrap_or_default());
        // An empty selector protects nobody here, as in upstream.
        let selector = selector.ok().filter(|selector| !selector.is_everything()).unwrap_or_else(Selector::nothing);
        let allowed = budget.status.as_ref().and_then(|status| status.disruptions_allowed).unwrap_or(0);
        Self { budget, selector, allowed }
    }

    /// Takes the Pod's end from what is allowed; whether that was too much.
    fn is_broken_by(&mut self, pod: &PodInfo) -> bool {
        let evicted = self.budget.status.as_ref().and_then(|status| status.disrupted_pods.as_ref());
        if self.budget.metadata.namespace.as_deref().unwrap_or_default() != pod.namespace()
            || pod.labels().is_empty()
            || !self.selector.matches(pod.labels())
            || evicted.is_some_and(|evicted| evicted.contains_key(pod.name()))
        {
            return false;
        }
        self.allowed -= 1;
        self.allowed < 0
    }
}

/// By what candidates are compared, the cheapest first: broken budgets, the highest priority among the victims, the sum of
/// their priorities, their number, and how long the most important ones have been running.
fn cost(candidate: &Candidate, now: Timestamp) -> (usize, i32, i64, usize, Reverse<Timestamp>) {
    let victims = &candidate.victims;
    let highest = victims.iter().map(|victim| victim.priority).max().unwrap_or(i32::MIN);
    // Priorities are moved above zero, lest many victims below zero were cheaper than few.
    let sum = victims.iter().map(|victim| i64::from(victim.priority) + i64::from(i32::MAX) + 1).sum();
    let important = victims.iter().filter(|victim| victim.priority == highest);
    let earliest = important.map(|victim| started(victim, now)).min().unwrap_or(now);
    (candidate.violations, highest, sum, victims.len(), Reverse(earliest))
}

#[cfg(test)]
mod tests;
