//! Objects in, the ruleset as text out.

use std::fmt::Write;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;
use crate::ruleset::diff;

fn node() -> NodeFacts {
    NodeFacts {
        node_name: "here".into(),
        node_ip: Ipv4Addr::new(192, 168, 49, 2),
        pod_cidr: "10.244.0.0/24".parse().expect("range"),
        service_cidr: "10.96.0.0/16".parse().expect("range"),
        zone: "z1".into(),
    }
}

fn service(spec: Value) -> Value {
    json!({"metadata": {"namespace": "default", "name": "web"}, "spec": spec})
}

/// `ip` is local if it is in 10.244.0.0/24. State is `ready`, `unready` or `terminating`.
fn slice(endpoints: &[(&str, &str)]) -> Value {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(ip, state)| {
            let node = if ip.starts_with("10.244.0.") { "here" } else { "there" };
            let (ready, terminating) = (*state == "ready", *state == "terminating");
            let conditions = json!({"ready": ready, "serving": ready || terminating, "terminating": terminating});
            json!({"addresses": [ip], "nodeName": node, "conditions": conditions})
        })
        .collect();
    json!({
        "metadata": {"namespace": "default", "name": "web-x", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    })
}

fn objects(services: &[Value], slices: &[Value], pods: &[Value]) -> Objects {
    fn all<K: serde::de::DeserializeOwned>(values: &[Value]) -> Vec<Arc<K>> {
        values.iter().map(|v| Arc::new(serde_json::from_value(v.clone()).expect("fixture"))).collect()
    }
    Objects { services: all(services), slices: all(slices), pods: all(pods) }
}

fn text(ruleset: &Ruleset) -> String {
    let action = |action: &Action| match action {
        Action::Goto(chain) => chain.clone(),
        Action::Reject => "reject".to_owned(),
        Action::Drop => "drop".to_owned(),
    };
    let mut out = String::new();
    for (key, to) in &ruleset.services {
        writeln!(out, "{}:{}/{} -> {}", key.ip, key.port, key.protocol, action(to)).expect("text");
    }
    for (key, to) in &ruleset.node_ports {
        writeln!(out, "*:{}/{} -> {}", key.port, key.protocol, action(to)).expect("text");
    }
    for (port, to) in &ruleset.relays {
        writeln!(out, "localhost:{port} -> {to}").expect("text");
    }
    for (name, chain) in &ruleset.chains {
        let content = match chain {
            Chain::Endpoints { endpoints, affinity_seconds } => {
                let endpoints: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
                let affinity = affinity_seconds.map(|s| format!(" for {s} s")).unwrap_or_default();
                format!("{}{affinity}", endpoints.join(" "))
            }
            Chain::External { cluster, local: None } => format!("mark, {}", action(cluster)),
            Chain::External { cluster, local: Some(local) } => {
                format!("inside {}, outside {}", action(cluster), action(local))
            }
            Chain::SourceRanges { ranges, then } => {
                let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
                format!("from {} {}, else drop", ranges.join(" "), action(then))
            }
        };
        writeln!(out, "{name}: {content}").expect("text");
    }
    for (what, ips) in [
        ("cluster ips", &ruleset.cluster_ips),
        ("local endpoints", &ruleset.local_endpoints),
        ("announced", &ruleset.addresses),
    ] {
        if !ips.is_empty() {
            let ips: Vec<String> = ips.iter().map(ToString::to_string).collect();
            writeln!(out, "{what}: {}", ips.join(" ")).expect("text");
        }
    }
    out
}

#[allow(clippy::needless_pass_by_value, reason = "reads better in the tables")]
fn check(services: &[Value], slices: &[Value], expected: Expect) {
    expected.assert_eq(&text(&plan(&objects(services, slices, &[]), &node())));
}

#[test]
fn a_cluster_ip_uses_ready_endpoints() {
    check(
        &[service(json!({"clusterIP": "10.96.0.10", "ports": [{"port": 80}]}))],
        &[slice(&[("10.244.0.5", "ready"), ("10.244.1.5", "ready"), ("10.244.1.6", "unready")])],
        expect![[r#"
            10.96.0.10:80/tcp -> cluster/default/web/tcp/80
            cluster/default/web/tcp/80: 10.244.0.5:8080 10.244.1.5:8080
            cluster ips: 10.96.0.10
            local endpoints: 10.244.0.5
        "#]],
    );
}

#[test]
fn terminating_endpoints_serve_only_where_none_is_ready() {
    check(
        &[service(json!({"clusterIP": "10.96.0.10", "ports": [{"port": 80}]}))],
        &[slice(&[("10.244.1.5", "terminating"), ("10.244.1.6", "unready")])],
        expect![[r#"
            10.96.0.10:80/tcp -> cluster/default/web/tcp/80
            cluster/default/web/tcp/80: 10.244.1.5:8080
            cluster ips: 10.96.0.10
        "#]],
    );
}

#[test]
fn a_port_without_endpoints_is_refused_everywhere() {
    check(
        &[service(json!({
            "type": "NodePort", "clusterIP": "10.96.0.10", "externalIPs": ["203.0.113.9"],
            "ports": [{"port": 80, "nodePort": 30080}],
        }))],
        &[slice(&[("10.244.1.6", "unready")])],
        expect![[r#"
            10.96.0.10:80/tcp -> reject
            203.0.113.9:80/tcp -> reject
            *:30080/tcp -> reject
            cluster ips: 10.96.0.10
        "#]],
    );
}

#[test]
fn a_load_balancer_has_all_kinds_of_addresses() {
    let mut balancer = service(json!({
        "type": "LoadBalancer", "clusterIP": "10.96.0.10", "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "ports": [{"port": 80, "nodePort": 30080}],
    }));
    balancer["status"] = json!({"loadBalancer": {"ingress": [
        {"ip": "192.168.49.2"}, {"ip": "192.168.49.100", "ipMode": "VIP"}, {"ip": "192.168.49.101", "ipMode": "Proxy"},
        {"hostname": "lb.example"},
    ]}});
    check(
        &[balancer],
        &[slice(&[("10.244.0.5", "ready")])],
        expect![[r#"
            10.96.0.10:80/tcp -> cluster/default/web/tcp/80
            192.168.49.2:80/tcp -> firewall/default/web/tcp/80
            192.168.49.100:80/tcp -> firewall/default/web/tcp/80
            *:30080/tcp -> external/default/web/tcp/80
            localhost:30080 -> 192.168.49.2:30080
            cluster/default/web/tcp/80: 10.244.0.5:8080 for 60 s
            external/default/web/tcp/80: mark, cluster/default/web/tcp/80
            firewall/default/web/tcp/80: from 10.0.0.0/8 external/default/web/tcp/80, else drop
            cluster ips: 10.96.0.10
            local endpoints: 10.244.0.5
            announced: 192.168.49.100
        "#]],
    );
}

#[test]
fn local_policies_keep_traffic_on_the_node() {
    let both = service(json!({
        "type": "NodePort", "clusterIP": "10.96.0.10", "ports": [{"port": 80, "nodePort": 30080}],
        "internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local",
    }));
    check(
        std::slice::from_ref(&both),
        &[slice(&[("10.244.0.5", "ready"), ("10.244.1.5", "ready")])],
        expect![[r#"
            10.96.0.10:80/tcp -> local/default/web/tcp/80
            *:30080/tcp -> external/default/web/tcp/80
            localhost:30080 -> 192.168.49.2:30080
            cluster/default/web/tcp/80: 10.244.0.5:8080 10.244.1.5:8080
            external/default/web/tcp/80: inside cluster/default/web/tcp/80, outside local/default/web/tcp/80
            local/default/web/tcp/80: 10.244.0.5:8080
            cluster ips: 10.96.0.10
            local endpoints: 10.244.0.5
        "#]],
    );
    check(
        &[both],
        &[slice(&[("10.244.1.5", "ready")])],
        expect![[r#"
            10.96.0.10:80/tcp -> drop
            *:30080/tcp -> external/default/web/tcp/80
            localhost:30080 -> 192.168.49.2:30080
            cluster/default/web/tcp/80: 10.244.1.5:8080
            external/default/web/tcp/80: inside cluster/default/web/tcp/80, outside drop
            cluster ips: 10.96.0.10
        "#]],
    );
}

#[test]
fn hints_count_if_every_ready_endpoint_has_one() {
    let web = service(json!({"clusterIP": "10.96.0.10", "ports": [{"port": 80}]}));
    let mut hinted = slice(&[("10.244.0.5", "ready"), ("10.244.1.5", "ready")]);
    hinted["endpoints"][0]["hints"] = json!({"forZones": [{"name": "z1"}]});
    let chosen = |slice: &Value| {
        let ruleset = plan(&objects(std::slice::from_ref(&web), std::slice::from_ref(slice), &[]), &node());
        match &ruleset.chains["cluster/default/web/tcp/80"] {
            Chain::Endpoints { endpoints, .. } => endpoints.len(),
            other => panic!("not endpoints: {other:?}"),
        }
    };
    assert_eq!(chosen(&hinted), 2, "one has no hint");
    hinted["endpoints"][1]["hints"] = json!({"forZones": [{"name": "z2"}]});
    assert_eq!(chosen(&hinted), 1, "only this zone's");
    hinted["endpoints"][0]["hints"] = json!({"forZones": [{"name": "z3"}]});
    assert_eq!(chosen(&hinted), 2, "none is meant for this zone");
}

#[test]
fn some_services_are_not_ours() {
    let mut others = service(json!({"clusterIP": "10.96.0.12", "ports": [{"port": 80}]}));
    others["metadata"]["labels"] = json!({"service.kubernetes.io/service-proxy-name": "mesh"});
    check(
        &[
            service(json!({"clusterIP": "None", "ports": [{"port": 80}]})),
            service(json!({"type": "ExternalName", "externalName": "example.com"})),
            service(json!({"clusterIP": "fd00::1", "ports": [{"port": 80}]})),
            others,
        ],
        &[],
        expect![""],
    );
}

#[test]
fn named_ports_and_protocols_are_matched() {
    let dns = service(json!({"clusterIP": "10.96.0.10", "ports": [
        {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53},
    ]}));
    let mut endpoints = slice(&[("10.244.0.5", "ready")]);
    endpoints["ports"] = json!([{"name": "dns", "port": 1053, "protocol": "UDP"}, {"name": "dns-tcp", "port": 1054}]);
    check(
        &[dns],
        &[endpoints],
        expect![[r#"
            10.96.0.10:53/tcp -> cluster/default/web/tcp/53
            10.96.0.10:53/udp -> cluster/default/web/udp/53
            cluster/default/web/tcp/53: 10.244.0.5:1054
            cluster/default/web/udp/53: 10.244.0.5:1053
            cluster ips: 10.96.0.10
            local endpoints: 10.244.0.5
        "#]],
    );
}

#[test]
fn host_ports_of_own_pods() {
    let pod = |name: &str, ip: &str, phase: &str, ports: Value| {
        json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "ports": ports}]},
               "status": {"podIP": ip, "phase": phase}})
    };
    let mut on_host = pod("host", "192.168.49.2", "Running", json!([{"containerPort": 90, "hostPort": 90}]));
    on_host["spec"]["hostNetwork"] = json!(true);
    let web = service(json!({
        "type": "NodePort", "clusterIP": "10.96.0.10", "ports": [{"port": 80, "nodePort": 30080}],
    }));
    let pods = [
        pod(
            "a",
            "10.244.0.7",
            "Running",
            json!([{"containerPort": 80, "hostPort": 8080}, {"containerPort": 53, "hostPort": 53, "protocol": "UDP"},
                {"containerPort": 1, "hostPort": 1, "hostIP": "192.168.49.2"},
                {"containerPort": 2, "hostPort": 2, "hostIP": "127.0.0.1"}, {"containerPort": 3}]),
        ),
        pod("done", "10.244.0.8", "Succeeded", json!([{"containerPort": 80, "hostPort": 8081}])),
        pod("late", "10.244.0.9", "Running", json!([{"containerPort": 80, "hostPort": 30080}])),
        on_host,
    ];
    let objects = objects(&[web], &[slice(&[("10.244.0.5", "ready")])], &pods);
    let ruleset = plan(&objects, &node());
    expect![[r#"
        10.96.0.10:80/tcp -> cluster/default/web/tcp/80
        192.168.49.2:1/tcp -> host/192.168.49.2/tcp/1
        *:8080/tcp -> host/any/tcp/8080
        *:30080/tcp -> external/default/web/tcp/80
        *:53/udp -> host/any/udp/53
        localhost:2 -> 10.244.0.7:2
        localhost:8080 -> 10.244.0.7:80
        localhost:30080 -> 192.168.49.2:30080
        cluster/default/web/tcp/80: 10.244.0.5:8080
        external/default/web/tcp/80: mark, cluster/default/web/tcp/80
        host/192.168.49.2/tcp/1: 10.244.0.7:1
        host/any/tcp/8080: 10.244.0.7:80
        host/any/udp/53: 10.244.0.7:53
        cluster ips: 10.96.0.10
        local endpoints: 10.244.0.5 10.244.0.7
    "#]]
    .assert_eq(&text(&ruleset));
}

#[test]
fn differences_are_as_small_as_the_change() {
    let web = service(json!({
        "type": "NodePort", "clusterIP": "10.96.0.10", "ports": [{"port": 80, "nodePort": 30080}],
    }));
    let with =
        |endpoints: &[(&str, &str)]| plan(&objects(std::slice::from_ref(&web), &[slice(endpoints)], &[]), &node());
    let (one, two) = (with(&[("10.244.0.5", "ready")]), with(&[("10.244.0.5", "ready"), ("10.244.0.6", "ready")]));
    assert!(diff(&one, &one).keep_table());

    let grown = diff(&one, &two);
    assert_eq!(grown.chains_changed.len(), 1, "the endpoints");
    assert_eq!(grown.local_endpoints.add, [(Ipv4Addr::new(10, 244, 0, 6), ())]);
    assert!(grown.chains_added.is_empty() && grown.chains_removed.is_empty());
    assert!(grown.services.add.is_empty() && grown.node_ports.add.is_empty());

    let emptied = diff(&one, &with(&[]));
    assert_eq!(emptied.chains_removed, ["cluster/default/web/tcp/80", "external/default/web/tcp/80"]);
    assert_eq!(emptied.services.remove.len(), 1, "what pointed to the chain goes");
    assert_eq!(emptied.services.add.first().map(|(_, action)| action), Some(&Action::Reject));

    let gone = diff(&one, &Ruleset::default());
    assert_eq!((gone.services.remove.len(), gone.node_ports.remove.len(), gone.cluster_ips.remove.len()), (1, 1, 1));
    assert!(gone.services.add.is_empty() && gone.node_ports.add.is_empty());
}
