use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use super::Cache;
use crate::pod_info::PodInfo;

fn node(name: &str, cpu: &str) -> Arc<Node> {
    let value = json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "pods": "9"}}});
    Arc::new(serde_json::from_value(value).expect("a node"))
}

fn pod(uid: &str, cpu: &str) -> Arc<PodInfo> {
    let container = json!({"name": "c", "resources": {"requests": {"cpu": cpu}}});
    let value: Value = json!({"metadata": {"name": uid, "uid": uid}, "spec": {"containers": [container]}});
    Arc::new(PodInfo::new(Arc::new(serde_json::from_value::<Pod>(value).expect("a Pod"))))
}

/// Each node: what it has, what is asked of it, who runs there, who waits.
fn text(cache: &Cache) -> String {
    let snapshot = cache.snapshot();
    let names = |pods: &[Arc<PodInfo>]| pods.iter().map(|pod| pod.name()).collect::<Vec<_>>().join("+");
    let one = |node: &crate::NodeInfo| {
        let waiting = snapshot.nominated.get(node.name()).map(|pods| names(pods)).unwrap_or_default();
        let (has, asked) = (node.allocatable.milli_cpu, node.requested.milli_cpu);
        format!("{} {asked}/{has} [{}] [{waiting}]", node.name(), names(&node.pods))
    };
    snapshot.nodes.iter().map(|node| one(node)).collect::<Vec<_>>().join(", ")
}

#[test]
fn nodes_and_pods_come_in_any_order() {
    let mut cache = Cache::default();
    cache.place("a", pod("p", "1"));
    assert_eq!(text(&cache), "");
    cache.set_node(node("a", "4"));
    cache.place("a", pod("q", "2"));
    assert_eq!(text(&cache), "a 3000/4000 [p+q] []");
    cache.place("a", pod("p", "500m"));
    cache.set_node(node("a", "8"));
    assert_eq!(text(&cache), "a 2500/8000 [p+q] []");
    cache.remove_node("a");
    cache.displace("q");
    cache.set_node(node("a", "4"));
    assert_eq!(text(&cache), "a 500/4000 [p] []");
}

#[test]
fn an_assumed_pod_counts_until_its_binding_fails() {
    let mut cache = Cache::default();
    cache.set_node(node("a", "4"));
    cache.assume("a", pod("p", "1"));
    assert!(cache.is_assumed("p"));
    cache.forget("p");
    assert_eq!(text(&cache), "a 0/4000 [] []");
    cache.assume("a", pod("p", "1"));
    cache.place("a", pod("p", "1"));
    // The reply said that it failed, and the watch that it did not.
    cache.forget("p");
    assert_eq!(text(&cache), "a 1000/4000 [p] []");
}

#[test]
fn who_waits_for_room_does_so_on_one_node_until_it_has_it() {
    let mut cache = Cache::default();
    cache.set_node(node("a", "4"));
    cache.set_node(node("b", "4"));
    cache.nominate(&pod("p", "1"), Some("a"));
    cache.nominate(&pod("p", "1"), Some("b"));
    cache.nominate(&pod("q", "1"), Some("b"));
    assert_eq!(text(&cache), "a 0/4000 [] [], b 0/4000 [] [p+q]");
    cache.assume("b", pod("p", "1"));
    assert!(cache.withdraw("q") && !cache.withdraw("q"));
    assert_eq!(text(&cache), "a 0/4000 [] [], b 1000/4000 [p] []");
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let mut cache = Cache::default();
    cache.set_node(node("a", "4"));
    let before = cache.snapshot();
    cache.place("a", pod("p", "1"));
    assert!(before.nodes[0].pods.is_empty());
}
