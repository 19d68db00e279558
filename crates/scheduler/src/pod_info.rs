//! A Pod with what plugins ask of it, worked out once.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::labels::Selector;
use k8s_openapi::api::core::v1::{Pod, PodAffinityTerm, WeightedPodAffinityTerm};
use registry::scheduling;
use registry::volumes::claim_names;
use serde_json::Value;

use crate::resources::Resources;

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

/// A Pod with what plugins ask of it.
#[derive(Debug, Clone)]
pub struct PodInfo {
    /// The Pod.
    pub pod: Arc<Pod>,
    /// Its priority.
    pub priority: i32,
    /// What it needs.
    pub requests: Resources,
    /// The same, with something assumed for containers that say nothing.
    pub scoring_requests: Resources,
    /// The host ports that it takes: protocol, address, port.
    pub host_ports: Vec<(String, String, i32)>,
    /// Pods near which it must be.
    pub near: Vec<Term>,
    /// Pods from which it must be apart.
    pub apart: Vec<Term>,
    /// Pods near which it would rather be, with weights; from those with a negative weight it would rather be apart.
    pub preferred: Vec<(Term, i64)>,
    /// The names of its claims, each with whether it is made for this Pod alone.
    pub claims: Vec<(String, bool)>,
}

/// A term of Pod affinity.
#[derive(Debug, Clone)]
pub struct Term {
    /// The label of nodes whose value says what one place is.
    pub topology_key: String,
    /// The namespaces of the Pods that it means; `None` for all.
    namespaces: Option<Vec<String>>,
    selector: Selector,
}

impl Term {
    /// Without namespaces a term means Pods of the owner's namespace; an empty namespace selector means all.
    fn new(term: &PodAffinityTerm, owner: &Pod) -> Self {
        let listed = term.namespaces.clone().unwrap_or_default();
        let namespaces = match &term.namespace_selector {
            Some(selector) if selector.match_labels.is_none() && selector.match_expressions.is_none() => None,
            None if listed.is_empty() => Some(vec![owner.metadata.namespace.clone().unwrap_or_default()]),
            _ => Some(listed),
        };
        let selector = serde_json::to_value(&term.label_selector).unwrap_or_default();
        let selector = Selector::from_label_selector(&selector).unwrap_or_else(|_| Selector::nothing());
        Self { topology_key: term.topology_key.clone(), namespaces, selector }
    }

    /// Whether it means this Pod.
    pub fn means(&self, pod: &PodInfo) -> bool {
        let here = |namespaces: &Vec<String>| namespaces.iter().any(|namespace| namespace == pod.namespace());
        self.namespaces.as_ref().is_none_or(here) && self.selector.matches(pod.labels())
    }
}

impl PodInfo {
    /// Works out what `pod` asks for.
    pub fn new(pod: Arc<Pod>) -> Self {
        let value = serde_json::to_value(&*pod).unwrap_or(Value::Null);
        let (requests, scoring_requests) = Resources::of_pod(&value);
        let spec = pod.spec.as_ref();
        let affinity = spec.and_then(|spec| spec.affinity.as_ref());
        let near = affinity.and_then(|affinity| affinity.pod_affinity.as_ref());
        let apart = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref());
        let terms = |list: Option<&Vec<PodAffinityTerm>>| -> Vec<Term> {
            list.into_iter().flatten().map(|term| Term::new(term, &pod)).collect()
        };
        let weighted = |list: Option<&Vec<WeightedPodAffinityTerm>>, sign: i64| -> Vec<(Term, i64)> {
            let term =
                |t: &WeightedPodAffinityTerm| (Term::new(&t.pod_affinity_term, &pod), sign * i64::from(t.weight));
            list.into_iter().flatten().map(term).collect()
        };
        let mut preferred =
            weighted(near.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref()), 1);
        preferred
            .extend(weighted(apart.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref()), -1));
        Self {
            priority: spec.and_then(|spec| spec.priority).unwrap_or(0),
            requests,
            scoring_requests,
            host_ports: spec.map(scheduling::host_ports).unwrap_or_default(),
            near: terms(near.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref())),
            apart: terms(apart.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref())),
            preferred,
            claims: claim_names(&pod).collect(),
            pod,
        }
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    /// The uid.
    pub fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The labels.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        self.pod.metadata.labels.as_ref().unwrap_or(&NO_LABELS)
    }

    /// The node that was chosen for it before it has room there.
    pub fn nominated_node(&self) -> Option<&str> {
        nominated_node(&self.pod)
    }

    /// Whether it says anything of other Pods.
    pub(crate) fn minds_others(&self) -> bool {
        !(self.near.is_empty() && self.apart.is_empty() && self.preferred.is_empty())
    }
}

/// The node that was chosen for a Pod before it has room there.
pub(crate) fn nominated_node(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.nominated_node_name.as_deref().filter(|name| !name.is_empty())
}
