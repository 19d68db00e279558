use super::*;

fn service(kind: &str, ips: &[&str], ports: Value) -> Value {
    let first = ips.first().copied().unwrap_or_default();
    json!({"spec": {"type": kind, "clusterIP": first, "clusterIPs": ips, "ipFamilies": ["IPv4"], "ports": ports}})
}

fn port(node_port: u16) -> NodePort {
    NodePort { index: 0, protocol: "TCP".to_owned(), number: node_port }
}

#[test]
fn a_new_service_takes_and_a_deleted_one_gives_back() {
    let ports = json!([{"protocol": "TCP", "port": 80, "nodePort": 30080}]);
    let o = service("NodePort", &["10.0.0.1"], ports);
    let taken = allocations(&Value::Null, &o);
    assert_eq!(taken.cluster_ips, [("IPv4".to_owned(), "10.0.0.1".to_owned())]);
    assert_eq!(taken.node_ports, [port(30080)]);
    let given = allocations(&o, &Value::Null);
    assert_eq!((given.released_ips, given.released_node_ports), (vec!["10.0.0.1".to_owned()], vec![port(30080)]));
    assert_eq!(allocations(&o, &o), Allocations::default());
}

#[test]
fn a_changed_type_takes_and_gives_back_node_ports() {
    let plain = service("ClusterIP", &["10.0.0.1"], json!([{"protocol": "TCP", "port": 80}]));
    let node = service("NodePort", &["10.0.0.1"], json!([{"protocol": "TCP", "port": 80}]));
    assert_eq!(allocations(&plain, &node), Allocations { node_ports: vec![port(0)], ..Allocations::default() });
    let held = service("NodePort", &["10.0.0.1"], json!([{"protocol": "TCP", "port": 80, "nodePort": 30080}]));
    assert_eq!(
        allocations(&held, &plain),
        Allocations { released_node_ports: vec![port(30080)], ..Allocations::default() }
    );
}

#[test]
fn headless_services_take_no_address() {
    let o = service("ClusterIP", &["None"], json!([]));
    assert_eq!(allocations(&Value::Null, &o), Allocations::default());
}

#[test]
fn families_follow_cluster_and_selector() {
    let families = |mut o: Value| {
        default_ip_families(&mut o, &["IPv4"]);
        (o["spec"]["ipFamilies"].clone(), o["spec"]["ipFamilyPolicy"].clone())
    };
    let plain = json!({"spec": {"type": "ClusterIP"}});
    assert_eq!(families(plain), (json!(["IPv4"]), json!("SingleStack")));
    let headless = json!({"spec": {"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"]}});
    assert_eq!(families(headless), (json!(["IPv4", "IPv6"]), json!("RequireDualStack")));
    let external = json!({"spec": {"type": "ExternalName"}});
    assert_eq!(families(external), (Value::Null, Value::Null));
}
