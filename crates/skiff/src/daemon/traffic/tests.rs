use std::sync::Arc;

use apimachinery::Object;
use client::Change;
use serde_json::json;

use super::{Reachable, apply};

/// A slice with endpoints of these Pods: uid, ready.
fn slice(endpoints: &[(&str, Option<bool>)]) -> Arc<Object> {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|(uid, ready)| {
            json!({"addresses": ["10.244.0.2"], "conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "uid": uid}})
        })
        .collect();
    let value = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "web", "namespace": "default", "resourceVersion": "1"}, "endpoints": endpoints,
    });
    Arc::new(Object::from_value(&value).expect("a slice"))
}

#[test]
fn a_pod_is_reachable_while_any_slice_says_so() {
    let mut reachable = Reachable::new();
    let [both, one, none] = [
        slice(&[("a", Some(true)), ("b", None)]),
        slice(&[("a", Some(false)), ("b", Some(true))]),
        slice(&[("a", Some(false))]),
    ];
    let mut after = |change: Change| {
        apply(&mut reachable, &change);
        reachable.keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(after(Change::Added(both.clone())), "a b");
    // A second Service selects the same Pods.
    assert_eq!(after(Change::Added(both.clone())), "a b");
    assert_eq!(after(Change::Updated(both.clone(), one.clone())), "a b");
    assert_eq!(after(Change::Updated(both, one.clone())), "b");
    assert_eq!(after(Change::Updated(one.clone(), none)), "b");
    assert_eq!(after(Change::Deleted(one)), "");
}
