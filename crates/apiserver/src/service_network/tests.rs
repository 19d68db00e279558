use std::sync::Arc;

use api::resources::SERVICES;
use apimachinery::{Object, Reader, Resource};
use component_base::Random;
use serde_json::{Value, json};

use super::{NODE_PORTS, ServiceCidr, ServiceNetwork};

#[derive(Default)]
struct Services(Vec<Value>);

impl Reader for Services {
    fn get(&self, _: &'static Resource, _: &str, _: &str) -> Option<Arc<Object>> {
        None
    }

    fn list(&self, _: &'static Resource, _: &str) -> Vec<Arc<Object>> {
        self.0.iter().map(|v| Arc::new(Object::from_value(v).unwrap())).collect()
    }
}

fn network() -> ServiceNetwork {
    ServiceNetwork::new(ServiceCidr { base: "10.96.0.0".parse().unwrap(), prefix: 29 }, NODE_PORTS)
}

fn service(name: &str, spec: Value) -> Value {
    json!({"metadata": {"name": name, "uid": name}, "spec": spec})
}

#[test]
fn addresses_are_distinct_until_the_range_is_full() {
    let (network, random) = (network(), Random::from_seed(1));
    let mut services = Services::default();
    for i in 0..6 {
        let mut new = service(&format!("s{i}"), json!({"type": "ClusterIP"}));
        network.reserve(&services, &random, SERVICES, &mut new, None).unwrap();
        assert!(services.0.iter().all(|s| s["spec"]["clusterIP"] != new["spec"]["clusterIP"]));
        assert_eq!(new["spec"]["clusterIPs"], json!([new["spec"]["clusterIP"]]));
        services.0.push(new);
    }
    let mut seventh = service("s7", json!({"type": "ClusterIP"}));
    let error = network.reserve(&services, &random, SERVICES, &mut seventh, None).unwrap_err();
    assert!(error.message.contains("range is full"), "{}", error.message);
}

#[test]
fn what_is_reserved_is_taken_until_the_reservation_ends() {
    let (network, random, services) = (network(), Random::from_seed(1), Services::default());
    let mut first = service("a", json!({"type": "ClusterIP", "clusterIP": "10.96.0.3"}));
    let reserved = network.reserve(&services, &random, SERVICES, &mut first, None).unwrap();
    let mut second = service("b", json!({"type": "ClusterIP", "clusterIP": "10.96.0.3"}));
    let error = network.reserve(&services, &random, SERVICES, &mut second, None).unwrap_err();
    assert_eq!(
        error.message,
        "Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.3\"]: failed to allocate IP 10.96.0.3: \
         provided IP is already allocated"
    );
    drop(reserved);
    assert!(network.reserve(&services, &random, SERVICES, &mut second, None).is_ok());
}

#[test]
fn a_node_port_is_given_kept_and_dropped_with_the_type() {
    let (network, random, services) = (network(), Random::from_seed(1), Services::default());
    let mut new = service("a", json!({"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]}));
    drop(network.reserve(&services, &random, SERVICES, &mut new, None).unwrap());
    let given = new["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    assert!((30000..=32767).contains(&given));
    let mut update = service("a", json!({"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]}));
    drop(network.reserve(&services, &random, SERVICES, &mut update, Some(&new)).unwrap());
    assert_eq!(update["spec"], new["spec"]);
    let mut plain = new.clone();
    plain["spec"]["type"] = json!("ClusterIP");
    drop(network.reserve(&services, &random, SERVICES, &mut plain, Some(&new)).unwrap());
    assert_eq!(plain["spec"]["ports"][0].get("nodePort"), None);
}

#[test]
fn a_node_port_out_of_range_is_refused_with_the_range() {
    let (network, random, services) = (network(), Random::from_seed(1), Services::default());
    let mut new = service("a", json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}));
    let error = network.reserve(&services, &random, SERVICES, &mut new, None).unwrap_err();
    assert!(
        error.message.contains(
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. \
                                    The range of valid ports is 30000-32767"
        ),
        "{}",
        error.message
    );
}

#[test]
fn tcp_and_udp_of_one_port_share_the_node_port() {
    let (network, random, services) = (network(), Random::from_seed(1), Services::default());
    let ports = json!([{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]);
    let mut new = service("a", json!({"type": "NodePort", "ports": ports}));
    drop(network.reserve(&services, &random, SERVICES, &mut new, None).unwrap());
    assert_eq!(new["spec"]["ports"][0]["nodePort"], new["spec"]["ports"][1]["nodePort"]);
}
