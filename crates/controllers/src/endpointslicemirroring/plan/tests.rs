use std::sync::Arc;

use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::{ADDRESSES_MAX, Plan, is_mirrored, plan};

fn endpoints(subsets: Value) -> Endpoints {
    let value = json!({
        "metadata": {"name": "db", "namespace": "dev", "uid": "1", "labels": {"tier": "data"}, "annotations": {
            "note": "by hand", "endpoints.kubernetes.io/last-change-trigger-time": "now",
        }},
        "subsets": subsets,
    });
    serde_json::from_value(value).expect("Endpoints")
}

fn subset(ready: &[&str], not_ready: &[&str], port: i32) -> Value {
    let addresses = |ips: &[&str]| ips.iter().map(|ip| json!({"ip": ip})).collect::<Value>();
    json!({"addresses": addresses(ready), "notReadyAddresses": addresses(not_ready), "ports": [{"port": port}]})
}

/// The slices as the server has them after the plan's creations.
fn stored(plan: Plan) -> Vec<Arc<EndpointSlice>> {
    let named = |(at, mut slice): (usize, EndpointSlice)| {
        slice.metadata.name = Some(format!("db-{at}"));
        Arc::new(slice)
    };
    plan.create.into_iter().enumerate().map(named).collect()
}

fn shown(slices: &[EndpointSlice]) -> Vec<String> {
    let show = |slice: &EndpointSlice| {
        let endpoint = |e: &k8s_openapi::api::discovery::v1::Endpoint| {
            let ready = e.conditions.as_ref().and_then(|c| c.ready) == Some(true);
            format!("{}{}", e.addresses[0], if ready { "" } else { "!" })
        };
        let ports: Vec<String> = slice.ports.iter().flatten().map(|p| p.port.unwrap_or_default().to_string()).collect();
        let endpoints: Vec<String> = slice.endpoints.iter().flatten().map(endpoint).collect();
        format!("{} {} {}", slice.address_type, ports.join(","), endpoints.join(","))
    };
    slices.iter().map(show).collect()
}

#[test]
fn each_set_of_ports_and_family_has_a_slice() {
    let wanted =
        endpoints(json!([subset(&["10.0.0.1", "fd00::1"], &["10.0.0.2"], 80), subset(&["10.0.0.3"], &[], 81)]));
    let made = plan(&wanted, &[]);
    assert_eq!(shown(&made.create), ["IPv4 80 10.0.0.1,10.0.0.2!", "IPv4 81 10.0.0.3", "IPv6 80 fd00::1"]);
    let metadata = &made.create[0].metadata;
    let labels = metadata.labels.clone().unwrap_or_default();
    assert_eq!(labels["kubernetes.io/service-name"], "db");
    assert_eq!(labels["endpointslice.kubernetes.io/managed-by"], "endpointslicemirroring-controller.k8s.io");
    assert_eq!(labels["tier"], "data");
    let annotations: Vec<String> = metadata.annotations.clone().unwrap_or_default().into_keys().collect();
    assert_eq!(annotations, ["note"]);
    assert_eq!(metadata.generate_name.as_deref(), Some("db-"));
    assert_eq!(plan(&wanted, &stored(made)), Plan::default());
}

#[test]
fn subsets_with_the_same_addresses_are_one() {
    let both = endpoints(json!([subset(&["10.0.0.1"], &[], 80), subset(&["10.0.0.1"], &[], 81)]));
    assert_eq!(shown(&plan(&both, &[]).create), ["IPv4 80,81 10.0.0.1"]);
    let ready_once = endpoints(json!([subset(&[], &["10.0.0.1"], 80), subset(&["10.0.0.1"], &[], 80)]));
    assert_eq!(shown(&plan(&ready_once, &[]).create), ["IPv4 80 10.0.0.1"]);
    let portless = endpoints(json!([{"addresses": [{"ip": "10.0.0.1"}]}]));
    assert_eq!(shown(&plan(&portless, &[]).create), ["IPv4  10.0.0.1"]);
}

#[test]
fn what_changes_is_updated_and_what_is_left_over_is_used_again_or_deleted() {
    let before = || stored(plan(&endpoints(json!([subset(&["10.0.0.1"], &[], 80)])), &[]));
    let more = plan(&endpoints(json!([subset(&["10.0.0.1", "10.0.0.2"], &[], 80)])), &before());
    assert_eq!((shown(&more.update), more.create.len()), (vec!["IPv4 80 10.0.0.1,10.0.0.2".to_owned()], 0));
    let moved = plan(&endpoints(json!([subset(&["10.0.0.1"], &[], 81)])), &before());
    assert_eq!(shown(&moved.update), ["IPv4 81 10.0.0.1"]);
    assert_eq!(moved.update[0].metadata.name.as_deref(), Some("db-0"));
    let gone = plan(&endpoints(json!([])), &before());
    assert_eq!(gone, Plan { delete: vec!["db-0".to_owned()], ..Plan::default() });
}

#[test]
fn what_cannot_be_mirrored_is_counted() {
    let many: Vec<String> = (0..=ADDRESSES_MAX).map(|n| format!("10.1.{}.{}", n / 250, n % 250)).collect();
    let mut all: Vec<&str> = many.iter().map(String::as_str).collect();
    all.push("host.example.com");
    let found = plan(&endpoints(json!([subset(&all, &[], 80)])), &[]);
    assert_eq!((found.invalid, found.too_many), (1, 1));
    assert_eq!(found.create[0].endpoints.as_ref().map(Vec::len), Some(ADDRESSES_MAX));
}

#[test]
fn some_endpoints_are_nobodys_backends() {
    let mut plain = endpoints(json!([]));
    assert!(is_mirrored(&plain));
    plain.metadata.labels = Some([("endpointslice.kubernetes.io/skip-mirror".to_owned(), "true".to_owned())].into());
    assert!(!is_mirrored(&plain));
    plain.metadata.labels = None;
    plain.metadata.annotations =
        Some([("control-plane.alpha.kubernetes.io/leader".to_owned(), "{}".to_owned())].into());
    assert!(!is_mirrored(&plain));
}
