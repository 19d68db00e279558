use std::sync::Arc;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;

/// Objects as JSON, searched one by one.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    services: Vec<Arc<Service>>,
    slices: Vec<Arc<EndpointSlice>>,
    namespaces: Vec<String>,
}

impl ClusterView for Objects {
    fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
        self.services.iter().find(|service| name_of(service) == (namespace, name)).cloned()
    }
    fn endpoint_slices(&self, namespace: &str, service: &str) -> Vec<Arc<EndpointSlice>> {
        let of = |slice: &&Arc<EndpointSlice>| {
            slice.metadata.namespace.as_deref() == Some(namespace) && service_of(slice) == Some(service)
        };
        self.slices.iter().filter(of).cloned().collect()
    }
    fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.iter().any(|namespace| namespace == name)
    }
    fn services_at(&self, address: Ipv4Addr) -> Vec<Arc<Service>> {
        self.services.iter().filter(|service| cluster_ips(service).contains(&address.to_string())).cloned().collect()
    }
    fn endpoint_slices_at(&self, address: Ipv4Addr) -> Vec<Arc<EndpointSlice>> {
        let has = |slice: &&Arc<EndpointSlice>| {
            slice.endpoints.iter().flatten().any(|endpoint| endpoint.addresses.contains(&address.to_string()))
        };
        self.slices.iter().filter(has).cloned().collect()
    }
}

pub(crate) fn service_json(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": spec})
}

pub(crate) fn slice_json(service: &str, ports: Value, endpoints: Value) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{service}-1"), "namespace": "default",
            "labels": {"kubernetes.io/service-name": service}},
        "ports": ports, "endpoints": endpoints,
    })
}

pub(crate) fn cluster() -> Objects {
    let services = [
        (
            "web",
            json!({"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "ports": [
            {"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}]}),
        ),
        ("db", json!({"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]})),
        ("shy", json!({"clusterIP": "None", "ports": [{"port": 1}], "publishNotReadyAddresses": true})),
        ("idle", json!({"clusterIP": "None", "ports": [{"port": 1}]})),
        ("outside", json!({"type": "ExternalName", "externalName": "www.example.com"})),
        ("inside", json!({"type": "ExternalName", "externalName": "web.default.svc.cluster.local"})),
        ("circle", json!({"type": "ExternalName", "externalName": "circle.default.svc.cluster.local"})),
    ];
    let sql = json!([{"name": "sql", "port": 5432, "protocol": "TCP"}]);
    let slices = [
        slice_json(
            "web",
            json!([{"name": "http", "port": 8080, "protocol": "TCP"}]),
            json!([{"addresses": ["10.244.0.5"], "conditions": {"ready": true}}]),
        ),
        slice_json(
            "db",
            sql,
            json!([
            {"addresses": ["10.244.0.7"], "hostname": "db-0", "conditions": {"ready": true}},
            {"addresses": ["10.244.0.8"], "conditions": {}},
            {"addresses": ["10.244.0.9"], "hostname": "db-2", "conditions": {"ready": false}}]),
        ),
        slice_json("shy", json!([]), json!([{"addresses": ["10.244.0.20"], "conditions": {"ready": false}}])),
    ];
    Objects {
        services: services
            .into_iter()
            .map(|(name, spec)| Arc::new(serde_json::from_value(service_json(name, spec)).expect("a Service")))
            .collect(),
        slices: slices.into_iter().map(|s| Arc::new(serde_json::from_value(s).expect("a slice"))).collect(),
        namespaces: vec!["default".into()],
    }
}

fn check(name: &str, kind: RecordType, expected: Expect) {
    let zone = Zone::new("cluster.local").expect("a domain");
    let query = Query::query(Name::from_ascii(name).expect("a name"), kind);
    let text = match answer(&query, &zone, 7, &cluster()) {
        Answer::Here(reply) => show(&reply),
        Answer::Alias { reply, target } => format!("{}then {target}\n", show(&reply)),
        Answer::Elsewhere => "elsewhere\n".to_owned(),
    };
    expected.assert_eq(&text);
}

fn show(reply: &Reply) -> String {
    let mut text = format!("{:?}\n", reply.code);
    for (section, records) in [("", &reply.answers), ("authority ", &reply.authorities), ("also ", &reply.additionals)]
    {
        for record in records {
            text += &format!("{section}{} {} {} {}\n", record.name, record.ttl, record.record_type(), record.data);
        }
    }
    text
}

#[test]
fn cluster_ip_services() {
    check(
        "web.default.svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        NoError
        web.default.svc.cluster.local. 30 A 10.96.0.10
    "#]],
    );
    check(
        "WEB.Default.SVC.Cluster.Local.",
        RecordType::A,
        expect![[r#"
        NoError
        WEB.Default.SVC.Cluster.Local. 30 A 10.96.0.10
    "#]],
    );
    check(
        "_http._tcp.web.default.svc.cluster.local.",
        RecordType::SRV,
        expect![[r#"
        NoError
        _http._tcp.web.default.svc.cluster.local. 30 SRV 0 100 80 web.default.svc.cluster.local.
        also web.default.svc.cluster.local. 30 A 10.96.0.10
    "#]],
    );
    check(
        "web.default.svc.cluster.local.",
        RecordType::SRV,
        expect![[r#"
        NoError
        web.default.svc.cluster.local. 30 SRV 0 50 53 web.default.svc.cluster.local.
        web.default.svc.cluster.local. 30 SRV 0 50 80 web.default.svc.cluster.local.
        also web.default.svc.cluster.local. 30 A 10.96.0.10
    "#]],
    );
    check(
        "_http._udp.web.default.svc.cluster.local.",
        RecordType::SRV,
        expect![[r#"
        NXDomain
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "web.default.svc.cluster.local.",
        RecordType::AAAA,
        expect![[r#"
        NoError
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "web.default.svc.cluster.local.",
        RecordType::MX,
        expect![[r#"
        NoError
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "10-244-0-5.web.default.svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        NoError
        10-244-0-5.web.default.svc.cluster.local. 30 A 10.244.0.5
    "#]],
    );
    check(
        "absent.default.svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        NXDomain
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "web.absent.svc.cluster.local.",
        RecordType::AAAA,
        expect![[r#"
        NXDomain
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "a.b.c.web.default.svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        NXDomain
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
}

#[test]
fn headless_services() {
    check(
        "db.default.svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        NoError
        db.default.svc.cluster.local. 30 A 10.244.0.7
        db.default.svc.cluster.local. 30 A 10.244.0.8
    "#]],
    );
    check(
        "db-0.db.default.svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        NoError
        db-0.db.default.svc.cluster.local. 30 A 10.244.0.7
    "#]],
    );
    check(
        "db-2.db.default.svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        NXDomain
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "_sql._tcp.db.default.svc.cluster.local.",
        RecordType::SRV,
        expect![[r#"
        NoError
        _sql._tcp.db.default.svc.cluster.local. 30 SRV 0 50 5432 10-244-0-8.db.default.svc.cluster.local.
        _sql._tcp.db.default.svc.cluster.local. 30 SRV 0 50 5432 db-0.db.default.svc.cluster.local.
        also 10-244-0-8.db.default.svc.cluster.local. 30 A 10.244.0.8
        also db-0.db.default.svc.cluster.local. 30 A 10.244.0.7
    "#]],
    );
    check(
        "shy.default.svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        NoError
        shy.default.svc.cluster.local. 30 A 10.244.0.20
    "#]],
    );
    check(
        "shy.default.svc.cluster.local.",
        RecordType::SRV,
        expect![[r#"
        NoError
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "idle.default.svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        NXDomain
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
}

#[test]
fn external_names() {
    check(
        "outside.default.svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        NoError
        outside.default.svc.cluster.local. 30 CNAME www.example.com.
        then www.example.com.
    "#]],
    );
    check(
        "inside.default.svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        NoError
        inside.default.svc.cluster.local. 30 CNAME web.default.svc.cluster.local.
        web.default.svc.cluster.local. 30 A 10.96.0.10
    "#]],
    );
    check(
        "inside.default.svc.cluster.local.",
        RecordType::AAAA,
        expect![[r#"
        NoError
        inside.default.svc.cluster.local. 30 CNAME web.default.svc.cluster.local.
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "inside.default.svc.cluster.local.",
        RecordType::CNAME,
        expect![[r#"
        NoError
        inside.default.svc.cluster.local. 30 CNAME web.default.svc.cluster.local.
    "#]],
    );
    check(
        "circle.default.svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        ServFail
    "#]],
    );
    check(
        "x.outside.default.svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        NXDomain
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
}

#[test]
fn pods() {
    check(
        "10-244-0-5.default.pod.cluster.local.",
        RecordType::A,
        expect![[r#"
        NoError
        10-244-0-5.default.pod.cluster.local. 30 A 10.244.0.5
    "#]],
    );
    check(
        "10-244-0-5.default.pod.cluster.local.",
        RecordType::AAAA,
        expect![[r#"
        NoError
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "10-244-0-5.absent.pod.cluster.local.",
        RecordType::A,
        expect![[r#"
        NXDomain
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "10-244-0-500.default.pod.cluster.local.",
        RecordType::A,
        expect![[r#"
        NXDomain
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
}

#[test]
fn the_zone_itself() {
    check(
        "dns-version.cluster.local.",
        RecordType::TXT,
        expect![[r#"
        NoError
        dns-version.cluster.local. 28800 TXT 1.1.0
    "#]],
    );
    check(
        "dns-version.cluster.local.",
        RecordType::A,
        expect![[r#"
        NoError
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "cluster.local.",
        RecordType::SOA,
        expect![[r#"
        NoError
        cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "cluster.local.",
        RecordType::A,
        expect![[r#"
        NoError
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        NoError
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "default.svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        NoError
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "absent.svc.cluster.local.",
        RecordType::A,
        expect![[r#"
        NXDomain
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "something.cluster.local.",
        RecordType::A,
        expect![[r#"
        NXDomain
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
}

#[test]
fn other_domains() {
    check(
        "example.com.",
        RecordType::A,
        expect![[r#"
        elsewhere
    "#]],
    );
    check(
        "notcluster.local.",
        RecordType::A,
        expect![[r#"
        elsewhere
    "#]],
    );
    check(
        "xcluster.local.",
        RecordType::A,
        expect![[r#"
        elsewhere
    "#]],
    );
}

#[test]
fn reverse_names() {
    check(
        "10.0.96.10.in-addr.arpa.",
        RecordType::PTR,
        expect![[r#"
        NoError
        10.0.96.10.in-addr.arpa. 30 PTR web.default.svc.cluster.local.
    "#]],
    );
    check(
        "7.0.244.10.in-addr.arpa.",
        RecordType::PTR,
        expect![[r#"
        NoError
        7.0.244.10.in-addr.arpa. 30 PTR db-0.db.default.svc.cluster.local.
    "#]],
    );
    check(
        "5.0.244.10.in-addr.arpa.",
        RecordType::PTR,
        expect![[r#"
        NoError
        5.0.244.10.in-addr.arpa. 30 PTR 10-244-0-5.web.default.svc.cluster.local.
    "#]],
    );
    check(
        "9.0.244.10.in-addr.arpa.",
        RecordType::PTR,
        expect![[r#"
        elsewhere
    "#]],
    );
    check(
        "10.0.96.10.in-addr.arpa.",
        RecordType::A,
        expect![[r#"
        NoError
        authority cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30
    "#]],
    );
    check(
        "244.10.in-addr.arpa.",
        RecordType::PTR,
        expect![[r#"
        elsewhere
    "#]],
    );
}
