use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::super::failed::FailedPods;
use super::super::pod;
use super::{Observed, Plan, next_available, plan, status};

const NOW: &str = "2026-01-01T01:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A set whose newest template has the hash `new`.
fn set(strategy: Value) -> DaemonSet {
    let template = json!({"metadata": {"labels": {"app": "agent"}}, "spec": {"containers": []}});
    serde_json::from_value(json!({
        "metadata": {"name": "agent", "uid": "u", "generation": 4},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": template, "updateStrategy": strategy},
    }))
    .unwrap()
}

fn rolling(unavailable: Value, surge: Value) -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}})
}

fn node(name: &str, taints: Value) -> Arc<Node> {
    let node = json!({"metadata": {"name": name, "labels": {"name": name}}, "spec": {"taints": taints}});
    Arc::new(serde_json::from_value(node).unwrap())
}

fn nodes(count: usize) -> Vec<Arc<Node>> {
    (0..count).map(|at| node(&format!("n{at}"), json!([]))).collect()
}

/// A Pod from `hash phase [readiness [leaving]]` words, as `new Running ready`.
fn pod(node: &str, words: &str) -> Arc<Pod> {
    let word = |at: usize| words.split(' ').nth(at).unwrap_or_default();
    let ready = if word(2) == "ready" { "True" } else { "False" };
    let mut pod = json!({
        "metadata": {"namespace": "default", "name": format!("{node}-{}", words.replace(' ', "-")),
                     "labels": {"controller-revision-hash": word(0)}, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": node, "containers": []},
        "status": {"phase": word(1), "conditions": [
            {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:59:50Z"}]},
    });
    if word(3) == "leaving" {
        pod["metadata"]["deletionTimestamp"] = json!(NOW);
    }
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn look<R>(set: &DaemonSet, nodes: &[Arc<Node>], pods: &[Arc<Pod>], ask: impl Fn(&Observed<'_>) -> R) -> R {
    ask(&Observed::new(set, "new", nodes, pods, (&FailedPods::default(), now())))
}

/// What is made and deleted, as text.
fn shown(plan: &Plan) -> String {
    let deleted = plan.delete.iter().map(|pod| format!("-{}", pod.metadata.name.as_deref().unwrap()));
    let made = plan.create.iter().map(|node| format!("+{node}"));
    made.chain(deleted).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_node_gets_what_it_should_have() {
    let set = set(rolling(json!(1), json!(0)));
    let tainted = |effect: &str| vec![node("n0", json!([{"key": "job", "effect": effect}]))];
    let trouble = vec![node("n0", json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]))];
    for (what, nodes, pods, wanted) in [
        ("an empty node", nodes(1), vec![], "+n0"),
        ("a node with its Pod", nodes(1), vec![pod("n0", "new Running ready")], ""),
        ("its Pod leaves", nodes(1), vec![pod("n0", "new Running ready leaving")], ""),
        ("one that has ended leaves", nodes(1), vec![pod("n0", "new Failed no leaving")], "+n0"),
        ("a failed one", nodes(1), vec![pod("n0", "new Failed")], "-n0-new-Failed"),
        ("two", nodes(1), vec![pod("n0", "new Running a"), pod("n0", "new Running b")], "-n0-new-Running-b"),
        ("a taint keeps new ones off", tainted("NoSchedule"), vec![], ""),
        ("but not the old ones", tainted("NoSchedule"), vec![pod("n0", "new Running ready")], ""),
        ("a harder one does", tainted("NoExecute"), vec![pod("n0", "new Running")], "-n0-new-Running"),
        ("troubles of a node are borne", trouble, vec![], "+n0"),
        ("a node that is gone", nodes(1), vec![pod("n0", "new Running"), pod("n9", "new Running")], ""),
    ] {
        assert_eq!(shown(&look(&set, &nodes, &pods, plan)), wanted, "{what}");
    }
}

#[test]
fn a_pod_that_never_got_to_its_node_goes_with_it() {
    let mut homeless = (*pod("n9", "new Pending")).clone();
    let spec = homeless.spec.as_mut().unwrap();
    spec.node_name = None;
    let asks = pod::for_node(&set(json!({})), json!({}), "new", "n9");
    spec.affinity = serde_json::from_value(asks["spec"]["affinity"].clone()).unwrap();
    let plan = look(&set(json!({})), &[], &[Arc::new(homeless)], plan);
    assert_eq!(shown(&plan), "-n9-new-Pending");
}

#[test]
fn an_update_without_surge_keeps_to_the_number_of_unavailable_pods() {
    let ready = |node: &str, hash: &str| pod(node, &format!("{hash} Running ready"));
    let all = |hashes: [&str; 4]| {
        hashes.iter().enumerate().map(|(at, hash)| ready(&format!("n{at}"), hash)).collect::<Vec<_>>()
    };
    let mut one_new_is_not_ready = all(["new", "old", "old", "old"]);
    one_new_is_not_ready[0] = pod("n0", "new Running");
    let mut one_old_is_broken = all(["old", "old", "old", "old"]);
    one_old_is_broken[3] = pod("n3", "old Running");
    let one_leaves = vec![pod("n0", "old Running ready leaving"), ready("n1", "old"), ready("n2", "old")];
    for (what, unavailable, count, pods, wanted) in [
        ("all are old", json!(1), 4, all(["old"; 4]), "-n0-old-Running-ready"),
        ("half of them", json!("50%"), 4, all(["old"; 4]), "-n0-old-Running-ready -n1-old-Running-ready"),
        ("a new one is not ready yet", json!(1), 4, one_new_is_not_ready, ""),
        ("a broken one first", json!(1), 4, one_old_is_broken, "-n3-old-Running"),
        ("one is on its way", json!(1), 3, one_leaves, ""),
        ("nothing may be missing", json!(0), 4, all(["old"; 4]), "-n0-old-Running-ready"),
        ("all are new", json!(1), 4, all(["new"; 4]), ""),
    ] {
        let set = set(rolling(unavailable, json!(0)));
        assert_eq!(shown(&look(&set, &nodes(count), &pods, plan)), wanted, "{what}");
    }
}

#[test]
fn an_update_with_surge_makes_the_new_pod_first() {
    let set = set(rolling(json!(0), json!(1)));
    let old = |at: usize| pod(&format!("n{at}"), "old Running ready");
    let moves = vec![node("n0", json!([{"key": "job", "effect": "NoSchedule"}])), node("n1", json!([]))];
    for (what, nodes, pods, wanted) in [
        ("all are old", nodes(2), vec![old(0), old(1)], "+n0"),
        ("one surges", nodes(2), vec![old(0), old(1), pod("n0", "new Running")], ""),
        ("it is available", nodes(2), vec![old(0), old(1), pod("n0", "new Running ready")], "-n0-old-Running-ready"),
        ("the old one breaks", nodes(1), vec![pod("n0", "old Running"), pod("n0", "new Running")], "-n0-old-Running"),
        ("a broken one does not count", nodes(2), vec![pod("n0", "old Running"), old(1)], "+n0 +n1"),
        ("the only one leaves", nodes(1), vec![pod("n0", "old Running ready leaving")], "+n0"),
        ("the set moves", moves.clone(), vec![old(0), pod("n1", "new Running")], ""),
        ("it has moved", moves, vec![old(0), pod("n1", "new Running ready")], "-n0-old-Running-ready"),
    ] {
        assert_eq!(shown(&look(&set, &nodes, &pods, plan)), wanted, "{what}");
    }
}

#[test]
fn on_delete_changes_nothing() {
    let set = set(json!({"type": "OnDelete"}));
    assert_eq!(shown(&look(&set, &nodes(1), &[pod("n0", "old Running ready")], plan)), "");
}

#[test]
fn failures_are_told_and_wait_for_their_pause() {
    let (set, pods) = (set(rolling(json!(1), json!(0))), [pod("n0", "new Failed")]);
    let mut failed = FailedPods::default();
    let first = plan(&Observed::new(&set, "new", &nodes(1), &pods, (&failed, now())));
    assert_eq!(first.events[0].reason, "FailedDaemonPod");
    assert_eq!(
        first.events[0].message,
        "Found failed daemon pod default/n0-new-Failed on node n0, will try to kill it"
    );
    failed.count(first.failed[0].clone(), now());
    let second = plan(&Observed::new(&set, "new", &nodes(1), &pods, (&failed, now())));
    assert_eq!((shown(&second).as_str(), second.again), ("", Some(Duration::from_secs(1))));
    failed.count(first.failed[0].clone(), now());
    assert_eq!(failed.pause(&first.failed[0], now()), Some(Duration::from_secs(2)));
}

#[test]
fn the_status_counts_nodes() {
    let mut set = set(rolling(json!(1), json!(0)));
    set.spec.min_ready_seconds = Some(15);
    let mut nodes = nodes(4);
    nodes.push(node("closed", json!([{"key": "job", "effect": "NoSchedule"}])));
    let pods = [
        pod("n0", "new Running ready"),
        pod("n1", "old Running"),
        pod("n2", "new Pending"),
        pod("closed", "old Running ready"),
    ];
    let (status, next) = look(&set, &nodes, &pods, |observed| (status(observed), next_available(observed)));
    assert_eq!(
        serde_json::to_value(status).unwrap(),
        json!({"desiredNumberScheduled": 4, "currentNumberScheduled": 3, "numberMisscheduled": 1, "numberReady": 1,
               "updatedNumberScheduled": 2, "numberUnavailable": 4, "observedGeneration": 4})
    );
    assert_eq!(next, Some(Duration::from_secs(5)), "ready for 10 of 15 s");
}

#[test]
fn a_pod_asks_for_its_node_and_bears_its_troubles() {
    let mut set = set(json!({}));
    let annotations = [("deprecated.daemonset.template.generation".to_owned(), "7".to_owned())];
    set.metadata.annotations = Some(annotations.into());
    let given = json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                        "tolerationSeconds": 5}]);
    set.spec.template.spec.as_mut().unwrap().tolerations = serde_json::from_value(given).unwrap();
    let template = json!({"metadata": {"labels": {"app": "agent"}}, "spec": {}});
    let pod = pod::for_node(&set, template, "new", "n1");
    assert_eq!(
        pod["metadata"]["labels"],
        json!({"app": "agent", "controller-revision-hash": "new", "pod-template-generation": "7"})
    );
    let tolerations = pod["spec"]["tolerations"].as_array().unwrap();
    assert_eq!(tolerations.len(), 6);
    assert!(tolerations.iter().all(|t| t["tolerationSeconds"].is_null()), "for good");
    let pod: Pod = serde_json::from_value(pod).unwrap();
    assert_eq!(pod::target(&pod), Some("n1"));
    assert!(pod::is_updated(&set, &pod, "another"), "the generation is the same");
}
