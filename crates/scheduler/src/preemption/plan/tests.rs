use std::collections::BTreeMap;
use std::sync::Arc;

use component_base::Random;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};

use super::{Candidate, Nomination, Observed, candidates, plan};
use crate::pod_info::PodInfo;
use crate::schedule::Framework;
use crate::snapshot::Snapshot;

/// A node with two CPUs, room for ten Pods.
fn node(name: &str) -> Arc<Node> {
    let value = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": "2", "pods": "10"}},
    });
    Arc::new(serde_json::from_value(value).expect("a node"))
}

/// A Pod that wants thousandths of a CPU, and started so many seconds after midnight.
fn pod(name: &str, priority: i32, cpu: u32, started: u32, more: &Value) -> PodInfo {
    let mut value = json!({
        "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": name}},
        "spec": {"priority": priority, "schedulerName": "default-scheduler",
            "containers": [{"name": "c", "resources": {"requests": {"cpu": format!("{cpu}m")}}}]},
        "status": {"startTime": format!("2026-01-01T00:00:{started:02}Z")},
    });
    for (key, fields) in more.as_object().into_iter().flatten() {
        for (field, v) in fields.as_object().into_iter().flatten() {
            value[key][field] = v.clone();
        }
    }
    PodInfo::new(Arc::new(serde_json::from_value::<Pod>(value).expect("a Pod")))
}

fn simple(name: &str, priority: i32, cpu: u32, started: u32) -> PodInfo {
    pod(name, priority, cpu, started, &json!({}))
}

/// A budget for the Pods with these values of the label `app`.
fn budget(allowed: i32, apps: &[&str]) -> Arc<PodDisruptionBudget> {
    let value = json!({
        "metadata": {"name": "b", "namespace": "default"},
        "spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": apps}]}},
        "status": {"disruptionsAllowed": allowed, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
    });
    Arc::new(serde_json::from_value(value).expect("a budget"))
}

struct Case<'a> {
    wants: PodInfo,
    nodes: &'a [&'a str],
    placed: Vec<(&'a str, PodInfo)>,
    nominated: Vec<(&'a str, PodInfo)>,
    budgets: Vec<Arc<PodDisruptionBudget>>,
}

impl<'a> Case<'a> {
    fn new(wants: PodInfo, nodes: &'a [&'a str], placed: Vec<(&'a str, PodInfo)>) -> Self {
        Self { wants, nodes, placed, nominated: Vec::new(), budgets: Vec::new() }
    }

    /// The node and its victims, or what is said instead.
    fn decide(self) -> String {
        let placed = self.placed.into_iter().map(|(node, pod)| (node.to_owned(), pod));
        let mut snapshot = Snapshot::new(self.nodes.iter().map(|name| node(name)).collect(), placed);
        let mut nominated: BTreeMap<String, Vec<Arc<PodInfo>>> = BTreeMap::new();
        for (node, pod) in self.nominated {
            nominated.entry(node.to_owned()).or_default().push(Arc::new(pod));
        }
        snapshot.nominated = Arc::new(nominated);
        let framework = Framework::default();
        let error = match framework.schedule(&self.wants, &snapshot, 0, &Random::from_seed(1)) {
            Ok(decision) => return format!("fits {}", decision.node),
            Err(error) => error,
        };
        let decided = plan(&Observed {
            framework: &framework,
            pod: &self.wants,
            snapshot: &snapshot,
            statuses: &error.statuses,
            budgets: &self.budgets,
            now: "2026-01-01T00:01:00Z".parse().expect("a time"),
            offset: 0,
        });
        match decided.nomination {
            Nomination::Keep => format!("keep: {}", decided.message),
            Nomination::Clear => format!("clear: {}", decided.message),
            Nomination::Node(candidate) => {
                let victims: Vec<&str> = candidate.victims.iter().map(|victim| victim.name()).collect();
                format!("{}: {}", candidate.node, victims.join(" "))
            }
        }
    }
}

#[test]
fn as_few_go_as_possible_the_least_important_and_the_youngest_first() {
    let placed = || {
        vec![
            ("a", simple("old", 1, 500, 1)),
            ("a", simple("young", 1, 500, 2)),
            ("a", simple("better", 5, 500, 9)),
            ("a", simple("best", 50, 500, 9)),
        ]
    };
    for (priority, cpu, expected) in [
        (10, 500, "a: young"),
        (10, 600, "a: old young"),
        (10, 1500, "a: better old young"),
        (5, 1000, "a: old young"),
        (5, 1500, "clear: 0/1 nodes are available: 1 Insufficient cpu."),
        (1, 500, "clear: 0/1 nodes are available: 1 No preemption victims found for incoming pod."),
        (100, 2500, "clear: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."),
    ] {
        let decided = Case::new(simple("p", priority, cpu, 0), &["a"], placed()).decide();
        assert_eq!(decided, expected, "priority {priority}, {cpu}m");
    }
}

#[test]
fn a_pod_that_may_not_make_others_go_does_not() {
    let never = pod("p", 10, 2000, 0, &json!({"spec": {"preemptionPolicy": "Never"}}));
    let decided = Case::new(never, &["a"], vec![("a", simple("v", 0, 500, 1))]).decide();
    assert_eq!(decided, "keep: not eligible due to preemptionPolicy=Never.");
}

#[test]
fn the_cheapest_node_is_chosen() {
    let full = |name: &'static str, pods: &[(&str, i32, u32, u32)]| -> Vec<(&'static str, PodInfo)> {
        pods.iter().map(|(pod, priority, cpu, started)| (name, simple(pod, *priority, *cpu, *started))).collect()
    };
    let case = |a: &[(&str, i32, u32, u32)], b: &[(&str, i32, u32, u32)], kept: &[&str]| {
        let placed = full("a", a).into_iter().chain(full("b", b)).collect();
        let mut case = Case::new(simple("p", 100, 2000, 0), &["a", "b"], placed);
        case.budgets = vec![budget(0, kept)];
        case.decide()
    };
    // A budget that would break, then the highest priority, the sum, the number, and the latest start.
    assert_eq!(case(&[("v", 1, 2000, 1)], &[("w", 9, 2000, 1)], &["v"]), "b: w");
    assert_eq!(case(&[("v", 9, 2000, 1)], &[("w", 1, 1000, 1), ("x", 1, 1000, 1)], &[]), "b: w x");
    assert_eq!(case(&[("v", 9, 1000, 1), ("u", 8, 1000, 1)], &[("w", 9, 1000, 1), ("x", 1, 1000, 1)], &[]), "b: w x");
    assert_eq!(case(&[("v", 9, 1000, 1), ("u", -9, 1000, 1)], &[("w", 9, 2000, 1)], &[]), "b: w");
    assert_eq!(case(&[("v", 9, 2000, 1)], &[("w", 9, 2000, 2)], &[]), "b: w");
}

#[test]
fn whom_a_budget_protects_stays_rather_than_a_more_important_one() {
    let placed = vec![("a", simple("kept", 1, 1000, 1)), ("a", simple("other", 5, 1000, 1))];
    let mut case = Case::new(simple("p", 10, 1000, 0), &["a"], placed);
    case.budgets = vec![budget(0, &["kept"])];
    assert_eq!(case.decide(), "a: other");
    // One may go; which that is is found in the order of importance.
    let placed = vec![("a", simple("one", 1, 1000, 1)), ("a", simple("two", 1, 1000, 2))];
    let mut case = Case::new(simple("p", 10, 1000, 0), &["a"], placed);
    case.budgets = vec![budget(1, &["one", "two"])];
    assert_eq!(case.decide(), "a: one");
}

#[test]
fn room_that_others_wait_for_is_theirs() {
    let case = |priority| {
        let mut case = Case::new(simple("p", 10, 1500, 0), &["a"], vec![("a", simple("v", 1, 500, 1))]);
        case.nominated = vec![("a", simple("waits", priority, 1000, 0))];
        case.decide()
    };
    assert_eq!(case(10), "clear: 0/1 nodes are available: 1 Insufficient cpu.");
    assert_eq!(case(9), "fits a");
}

#[test]
fn nobody_else_goes_while_victims_are_on_their_way() {
    let waits = || pod("p", 10, 2000, 0, &json!({"status": {"nominatedNodeName": "a"}}));
    let going = |reason: &str| {
        let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": reason});
        let more =
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:30Z"}, "status": {"conditions": [condition]}});
        pod("v", 1, 2000, 1, &more)
    };
    let placed = |reason: &str| vec![("a", going(reason)), ("b", simple("w", 0, 2000, 1))];
    assert_eq!(
        Case::new(waits(), &["a", "b"], placed("PreemptionByScheduler")).decide(),
        "keep: not eligible due to a terminating pod on the nominated node."
    );
    assert_eq!(Case::new(waits(), &["a", "b"], placed("EvictionByEvictionAPI")).decide(), "b: w");
}

#[test]
fn a_pod_that_others_keep_away_makes_them_go() {
    let term = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "p"}}});
    let apart = json!({"spec": {"affinity": {"podAntiAffinity":
        {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}});
    let placed = vec![("a", pod("v", 1, 100, 1, &apart)), ("a", simple("w", 1, 100, 1))];
    assert_eq!(Case::new(simple("p", 10, 100, 0), &["a"], placed).decide(), "a: v");
}

/// Clusters made by chance, with what upstream decides (`xtask/golden/scheduler`).
#[test]
fn upstream_would_decide_the_same() {
    for (number, line) in include_str!("../../../golden/preemption.jsonl").lines().enumerate() {
        let case: Value = serde_json::from_str(line).expect("a case");
        let of = |value: &Value| PodInfo::new(Arc::new(serde_json::from_value::<Pod>(value.clone()).expect("a Pod")));
        let all = |key: &str| case[key].as_array().into_iter().flatten();
        let nodes = all("nodes").map(|node| Arc::new(serde_json::from_value::<Node>(node.clone()).expect("a node")));
        let placed = all("pods").map(|pod| (pod["spec"]["nodeName"].as_str().unwrap_or("").to_owned(), of(pod)));
        let mut snapshot = Snapshot::new(nodes.collect(), placed);
        if let Some(node) = case["nominated"]["waits"].as_str() {
            snapshot.nominated = Arc::new([(node.to_owned(), vec![Arc::new(of(&case["waits"]))])].into());
        }
        let (framework, wants) = (Framework::default(), of(&case["pod"]));
        let error = framework.schedule(&wants, &snapshot, 0, &Random::from_seed(1)).expect_err("it does not fit");
        let refusals: BTreeMap<&str, &[String]> =
            error.statuses.iter().map(|(node, status)| (node.as_str(), status.reasons.as_slice())).collect();
        assert_eq!(json!(refusals), case["refusals"], "case {number}");
        let budgets: Vec<_> =
            all("budgets").map(|b| Arc::new(serde_json::from_value(b.clone()).expect("a budget"))).collect();
        let observed = Observed {
            framework: &framework,
            pod: &wants,
            snapshot: &snapshot,
            statuses: &error.statuses,
            budgets: &budgets,
            now: "2026-01-02T00:00:00Z".parse().expect("a time"),
            offset: 0,
        };
        let resolvable = |index: &usize| !error.statuses[snapshot.nodes[*index].name()].unresolvable;
        let nodes: Vec<usize> = (0..snapshot.nodes.len()).filter(resolvable).collect();
        let (candidates, _) = candidates(&observed, &nodes);
        let victims = |candidate: &Candidate| candidate.victims.iter().map(|victim| victim.name().to_owned()).collect();
        let candidates: BTreeMap<String, Vec<String>> =
            candidates.iter().map(|candidate| (candidate.node.clone(), victims(candidate))).collect();
        assert_eq!(json!(candidates), case["candidates"], "case {number}");
        let decided = plan(&observed);
        if let Nomination::Node(candidate) = &decided.nomination {
            assert!(all("chosen").any(|node| *node == candidate.node), "case {number}: {}", candidate.node);
        }
        if case["message"] != "" {
            assert_eq!(format!("preemption: {}", decided.message), case["message"], "case {number}");
        }
    }
}
