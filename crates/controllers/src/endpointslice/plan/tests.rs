use serde_json::{Value, json};

use super::*;

fn service() -> Service {
    let value =
        json!({"metadata": {"name": "web", "namespace": "default", "uid": "s"}, "spec": {"selector": {"app": "web"}}});
    serde_json::from_value(value).expect("a Service")
}

/// A Pod whose port has this number.
fn backend(pod: &str, number: i32) -> Backend {
    Backend {
        address: format!("address of {pod}"),
        node: Some("node".to_owned()),
        hostname: None,
        pod_name: pod.to_owned(),
        pod_namespace: "default".to_owned(),
        pod_uid: pod.to_owned(),
        ready: true,
        serving: true,
        terminating: false,
        ports: vec![Port { name: "http".to_owned(), protocol: "TCP".to_owned(), number, app_protocol: None }],
    }
}

/// The slices that a server would have after a plan for no slices, called a, b, c ….
fn made(backends: &[Backend]) -> Vec<Arc<EndpointSlice>> {
    let created = plan(&service(), backends, &[]).create;
    let named = created.into_iter().zip('a'..).map(|(mut slice, name)| {
        slice.metadata.name = Some(name.to_string());
        Arc::new(slice)
    });
    named.collect()
}

fn pods(slice: &EndpointSlice) -> Vec<Value> {
    slice
        .endpoints
        .iter()
        .flatten()
        .map(|endpoint| json!(endpoint.target_ref.as_ref().and_then(|r| r.name.clone())))
        .collect()
}

/// What is created, updated and deleted, by the names of slices and Pods.
fn shown(plan: &Plan) -> Value {
    let updated = plan.update.iter().map(|slice| json!([slice.metadata.name, pods(slice)])).collect::<Vec<_>>();
    json!({"create": plan.create.iter().map(pods).collect::<Vec<_>>(), "update": updated, "delete": plan.delete})
}

#[test]
fn pods_with_other_ports_have_slices_of_their_own() {
    let backends = [backend("p", 3000), backend("q", 3001), backend("r", 3000)];
    let slices = made(&backends);
    assert_eq!(
        slices.iter().map(|slice| pods(slice)).collect::<Vec<_>>(),
        [vec![json!("p"), json!("r")], vec![json!("q")]]
    );
    assert_eq!(plan(&service(), &backends, &slices), Plan::default(), "nothing is to be done");
}

#[test]
fn a_slice_that_is_lost_is_made_again_and_the_others_stay() {
    let backends = [backend("p", 3000), backend("q", 3001)];
    let slices = made(&backends);
    for (left, lost) in [(1, "p"), (0, "q")] {
        let plan = plan(&service(), &backends, &slices[left..=left]);
        assert_eq!(shown(&plan), json!({"create": [[lost]], "update": [], "delete": []}));
    }
}

#[test]
fn a_slice_whose_ports_nobody_offers_is_used_again() {
    let slices = made(&[backend("p", 3000), backend("q", 3001)]);
    let plan_of = |backends: &[Backend]| shown(&plan(&service(), backends, &slices));
    let other = [backend("p", 3000), backend("r", 3002)];
    assert_eq!(plan_of(&other), json!({"create": [], "update": [["b", ["r"]]], "delete": []}));
    assert_eq!(plan_of(&[backend("p", 3000)]), json!({"create": [], "update": [], "delete": ["b"]}));
}

#[test]
fn a_hundred_and_one_endpoints_need_two_slices() {
    let backends: Vec<Backend> = (0..101).map(|n| backend(&format!("p{n:03}"), 80)).collect();
    let slices = made(&backends);
    assert_eq!(slices.iter().map(|slice| pods(slice).len()).collect::<Vec<_>>(), [100, 1]);
    let fewer = plan(&service(), &backends[1..], &slices);
    assert_eq!(shown(&fewer)["create"], json!([]), "the others stay where they are");
    assert_eq!(fewer.update.len(), 1);
    let none = plan(&service(), &[], &slices);
    assert_eq!((none.create.len(), none.update.len(), none.delete.len()), (0, 1, 1), "an empty one is kept");
}
