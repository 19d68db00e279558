use std::sync::Arc;

use component_base::Random;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use crate::pod_info::PodInfo;
use crate::schedule::Framework;
use crate::snapshot::Snapshot;

fn node(name: &str, extra: Value) -> Arc<Node> {
    let mut value = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "3"}},
    });
    for (key, field) in extra.as_object().unwrap() {
        for (inner, v) in field.as_object().unwrap() {
            value[key][inner] = v.clone();
        }
    }
    Arc::new(serde_json::from_value(value).unwrap())
}

fn pod(name: &str, spec: Value) -> PodInfo {
    let mut spec = spec;
    if spec["containers"].is_null() {
        spec["containers"] = json!([{"name": "c"}]);
    }
    let value = json!({"metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": "web"}}, "spec": spec});
    PodInfo::new(Arc::new(serde_json::from_value::<Pod>(value).unwrap()))
}

fn schedule(pod: &PodInfo, nodes: Vec<Arc<Node>>, placed: Vec<(&str, PodInfo)>) -> String {
    let snapshot = Snapshot::new(nodes, placed.into_iter().map(|(n, p)| (n.to_owned(), p)));
    match Framework::default().schedule(pod, &snapshot, 0, &Random::from_seed(1)) {
        Ok(decision) => decision.node,
        Err(error) => error.to_string(),
    }
}

#[test]
fn refusals_read_as_upstreams() {
    let hungry = json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "3"}}}]});
    assert_eq!(
        schedule(&pod("p", hungry), vec![node("a", json!({}))], vec![]),
        "0/1 nodes are available: 1 Insufficient cpu."
    );
    assert_eq!(schedule(&pod("p", json!({})), vec![], vec![]), "no nodes available to schedule pods");
    let tainted = json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}});
    assert_eq!(
        schedule(
            &pod("p", json!({})),
            vec![node("a", tainted), node("b", json!({"spec": {"unschedulable": true}}))],
            vec![]
        ),
        "0/2 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable."
    );
    assert_eq!(
        schedule(&pod("p", json!({"nodeSelector": {"disk": "ssd"}})), vec![node("a", json!({}))], vec![]),
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    );
}

#[test]
fn a_pod_of_a_daemon_set_looks_at_its_node_alone() {
    let named = |name: &str| {
        let field = json!({"key": "metadata.name", "operator": "In", "values": [name]});
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchFields": [field]}]}}}})
    };
    let nodes = || vec![node("a", json!({})), node("b", json!({"spec": {"unschedulable": true}}))];
    assert_eq!(schedule(&pod("p", named("a")), nodes(), vec![]), "a");
    assert_eq!(
        schedule(&pod("p", named("b")), nodes(), vec![]),
        "0/2 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity], 1 node(s) were unschedulable."
    );
}

#[test]
fn the_first_pod_of_a_group_goes_anywhere_and_the_others_follow() {
    let near = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}]}}});
    let nodes = || vec![node("a", json!({})), node("b", json!({}))];
    assert_eq!(schedule(&pod("p", near.clone()), vec![node("a", json!({}))], vec![]), "a");
    assert_eq!(schedule(&pod("p", near.clone()), nodes(), vec![("b", pod("x", json!({})))]), "b");
    let mut other = near;
    other["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]["labelSelector"] =
        json!({"matchLabels": {"app": "db"}});
    assert_eq!(
        schedule(&pod("p", other), nodes(), vec![]),
        "0/2 nodes are available: 2 node(s) didn't match pod affinity rules."
    );
}

#[test]
fn a_full_node_takes_no_more_pods() {
    let placed = (0..3).map(|i| ("a", pod(&format!("p{i}"), json!({})))).collect();
    assert_eq!(
        schedule(&pod("p", json!({})), vec![node("a", json!({}))], placed),
        "0/1 nodes are available: 1 Too many pods."
    );
}

#[test]
fn the_emptier_node_is_preferred() {
    let busy = json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "1", "memory": "2Gi"}}}]});
    let nodes = vec![node("a", json!({})), node("b", json!({}))];
    assert_eq!(schedule(&pod("p", json!({})), nodes, vec![("a", pod("x", busy))]), "b");
}

#[test]
fn host_ports_clash_once_per_node() {
    let port = json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]});
    let nodes = vec![node("a", json!({})), node("b", json!({}))];
    assert_eq!(schedule(&pod("p", port.clone()), nodes, vec![("a", pod("x", port))]), "b");
}

#[test]
fn anti_affinity_keeps_pods_apart_both_ways() {
    let apart = json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}]}}});
    let nodes = || vec![node("a", json!({}))];
    assert_eq!(
        schedule(&pod("p", apart.clone()), nodes(), vec![("a", pod("x", json!({})))]),
        "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."
    );
    assert_eq!(
        schedule(&pod("p", json!({})), nodes(), vec![("a", pod("x", apart))]),
        "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules."
    );
}

#[test]
fn hard_spread_constraints_bound_the_skew() {
    let spread = json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}]});
    let nodes = vec![node("a", json!({})), node("b", json!({}))];
    assert_eq!(schedule(&pod("p", spread), nodes, vec![("a", pod("x", json!({})))]), "b");
}
