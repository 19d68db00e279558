//! Rules that are applied and changed, and what traffic makes of them.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use cni::nftables::{Batch, Chain, Family, NftSocket};
use cni::rtnetlink::RouteSocket;
use proxy::{Kernel, Objects, Ruleset, plan};
use serde_json::{Value, json};

use crate::world::{HOST_IP, NODE_IP, PATIENCE, POD_PORT, World, connect, inside};

const CLUSTER_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const BALANCER_IP: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 200);
const NODE_PORT: u16 = 30080;
/// With two endpoints, the odds that one of them gets none of so many connections are one in a billion.
const TRIES: usize = 31;

pub(crate) fn service(more: &Value) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "default", "name": "web", "resourceVersion": "1"},
        "spec": {"type": "NodePort", "clusterIP": CLUSTER_IP, "ports": [{"port": 80, "nodePort": NODE_PORT}]},
    });
    for (key, value) in more.as_object().expect("an object") {
        service["spec"][key] = value.clone();
    }
    service
}

pub(crate) fn slice(ips: &[Ipv4Addr]) -> Value {
    let endpoints: Vec<Value> = ips
        .iter()
        .map(|ip| {
            let node = if ip.octets()[2] == 0 { "here" } else { "there" };
            json!({"addresses": [ip], "nodeName": node, "conditions": {"ready": true}})
        })
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"namespace": "default", "name": "web-x", "labels": {"kubernetes.io/service-name": "web"},
            "resourceVersion": "1"},
        "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "", "port": POD_PORT, "protocol": "TCP"}],
    })
}

fn rules(services: &[Value], slices: &[Value]) -> Ruleset {
    fn all<K: serde::de::DeserializeOwned>(values: &[Value]) -> Vec<Arc<K>> {
        values.iter().map(|v| Arc::new(serde_json::from_value(v.clone()).expect("fixture"))).collect()
    }
    plan(&Objects { services: all(services), slices: all(slices), pods: vec![] }, &World::facts())
}

fn chains() -> Vec<Chain> {
    NftSocket::open().expect("socket").chains().expect("chains")
}

fn our_tables() -> BTreeSet<String> {
    chains().into_iter().map(|chain| chain.table).collect()
}

#[test]
fn every_way_to_a_service_spreads_over_its_endpoints() {
    let world = World::new(2);
    let mut kernel = Kernel::open(World::facts()).expect("open");
    let ips: Vec<Ipv4Addr> = world.pods.iter().map(|pod| pod.ip).collect();
    kernel.apply(rules(&[service(&json!({}))], &[slice(&ips)])).expect("apply");
    let pod = &world.pods[0].namespace;
    for (from, to, what) in [
        (pod, (CLUSTER_IP, 80), "a Pod to the cluster IP"),
        (&world.node, (CLUSTER_IP, 80), "the node to the cluster IP"),
        (pod, (NODE_IP, NODE_PORT), "a Pod to the node port"),
        (&world.node, (NODE_IP, NODE_PORT), "the node to its node port"),
        (&world.host, (NODE_IP, NODE_PORT), "the host to the node port"),
    ] {
        let answered: Vec<usize> =
            (0..TRIES).map(|_| world.reach(from, to).unwrap_or_else(|e| panic!("{what}: {e}")).0).collect();
        assert!(answered.contains(&0) && answered.contains(&1), "{what}: {answered:?}");
    }
    let (_, seen) = world.reach(&world.host, (NODE_IP, NODE_PORT)).expect("connect");
    assert_eq!(seen, IpAddr::V4(HOST_IP), "an endpoint of this node sees the client's own address");
    drop(kernel);
    assert!(our_tables().contains("skiff-proxy"), "rules outlive the process");
    assert!(world.reach(pod, (CLUSTER_IP, 80)).is_ok());
}

#[test]
fn a_pod_reaches_itself_through_its_service() {
    let world = World::new(1);
    let mut kernel = Kernel::open(World::facts()).expect("open");
    kernel.apply(rules(&[service(&json!({}))], &[slice(&[world.pods[0].ip])])).expect("apply");
    let pod = &world.pods[0].namespace;
    for to in [(CLUSTER_IP, 80), (NODE_IP, NODE_PORT)] {
        let (_, seen) = world.reach(pod, to).expect("connect");
        assert_eq!(seen, IpAddr::V4(NODE_IP), "from the node, else the answer would not come back through it");
    }
}

#[test]
fn what_nobody_serves_is_refused_at_once() {
    let world = World::new(1);
    let mut kernel = Kernel::open(World::facts()).expect("open");
    let web = service(&json!({}));
    kernel.apply(rules(std::slice::from_ref(&web), &[slice(&[])])).expect("apply");
    let pod = &world.pods[0].namespace;
    let everywhere = [(pod, (CLUSTER_IP, 80)), (&world.node, (CLUSTER_IP, 80)), (&world.host, (NODE_IP, NODE_PORT))];
    for (from, to) in everywhere {
        assert!(world.is_refused(from, to), "no endpoint: {to:?}");
    }
    let udp = inside(pod, || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("bind");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        socket.connect((CLUSTER_IP, 53)).expect("connect");
        socket.send(b"?").expect("send");
        socket.recv(&mut [0; 8]).expect_err("nobody answers").kind()
    });
    assert_eq!(udp, ErrorKind::ConnectionRefused, "a port that the Service does not have");

    kernel.apply(rules(std::slice::from_ref(&web), &[slice(&[world.pods[0].ip])])).expect("apply");
    for (from, to) in everywhere {
        world.reach(from, to).expect("the endpoint came");
    }
    assert!(world.is_refused(pod, (CLUSTER_IP, 81)), "a port that the Service does not have");
    kernel.apply(rules(&[web], &[slice(&[])])).expect("apply");
    for (from, to) in everywhere {
        assert!(world.is_refused(from, to), "the endpoint is gone: {to:?}");
    }
    kernel.apply(rules(&[], &[])).expect("apply");
    assert!(world.is_refused(&world.host, (NODE_IP, NODE_PORT)), "the Service is gone");
}

#[test]
fn clients_come_back_to_their_endpoint_as_long_as_it_is_there() {
    let world = World::new(3);
    let mut kernel = Kernel::open(World::facts()).expect("open");
    let ips: Vec<Ipv4Addr> = world.pods.iter().map(|pod| pod.ip).collect();
    let sticky = service(&json!({"sessionAffinity": "ClientIP"}));
    let mut apply = |ips: &[Ipv4Addr]| {
        kernel.apply(rules(std::slice::from_ref(&sticky), &[slice(ips)])).expect("apply");
    };
    apply(&ips);
    let to = (NODE_IP, NODE_PORT);
    let (first, _) = world.reach(&world.host, to).expect("connect");
    let stays = |why: &str| {
        for _ in 0..TRIES {
            assert_eq!(world.reach(&world.host, to).expect("connect").0, first, "{why}");
        }
    };
    stays("affinity");
    let other = ips.iter().copied().find(|ip| *ip != ips[first]).expect("three endpoints");
    apply(&[ips[first], other]);
    stays("another endpoint went");
    apply(&[other]);
    let (second, _) = world.reach(&world.host, to).expect("connect");
    assert_eq!(ips[second], other, "its own endpoint went");
}

#[test]
fn local_policy_drops_what_comes_from_outside_only() {
    let world = World::new(1);
    let mut kernel = Kernel::open(World::facts()).expect("open");
    let local = service(&json!({"externalTrafficPolicy": "Local"}));
    kernel.apply(rules(&[local], &[slice(&[world.pods[0].ip])])).expect("apply");
    let (_, seen) = world.reach(&world.host, (NODE_IP, NODE_PORT)).expect("connect");
    assert_eq!(seen, IpAddr::V4(HOST_IP));
    world.reach(&world.node, (NODE_IP, NODE_PORT)).expect("the node itself");
    world.reach(&world.pods[0].namespace, (NODE_IP, NODE_PORT)).expect("a Pod");

    let local = service(&json!({"externalTrafficPolicy": "Local"}));
    kernel.apply(rules(&[local], &[slice(&[Ipv4Addr::new(10, 244, 1, 5)])])).expect("apply");
    let outside = inside(&world.host, || {
        TcpStream::connect_timeout(&(NODE_IP, NODE_PORT).into(), Duration::from_millis(100))
            .expect_err("no endpoint here")
    });
    assert_eq!(outside.kind(), ErrorKind::TimedOut, "others serve it, so it is not refused");
}

#[test]
fn a_remote_endpoint_sees_the_node() {
    let world = World::new(0);
    let mut kernel = Kernel::open(World::facts()).expect("open");
    // The host plays another node's Pod: only the node's own address makes it answer through the node.
    let mut remote = slice(&[HOST_IP]);
    remote["endpoints"][0]["nodeName"] = json!("there");
    kernel.apply(rules(&[service(&json!({}))], &[remote])).expect("apply");
    let seen = inside(&world.host, || {
        let listener = std::net::TcpListener::bind((HOST_IP, POD_PORT)).expect("bind");
        let _client = std::net::TcpStream::connect((NODE_IP, NODE_PORT)).expect("connect");
        listener.accept().expect("accept").1.ip()
    });
    assert_eq!(seen, IpAddr::V4(NODE_IP));
}

#[test]
fn a_load_balancer_answers_on_the_node_s_link_for_its_sources() {
    let world = World::new(1);
    let mut kernel = Kernel::open(World::facts()).expect("open");
    let balanced = |ranges: Value| {
        let mut service = service(&json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ranges}));
        service["status"] = json!({"loadBalancer": {"ingress": [{"ip": BALANCER_IP}]}});
        service
    };
    let endpoints = [slice(&[world.pods[0].ip])];
    let to = (BALANCER_IP, 80);
    kernel.apply(rules(&[balanced(json!(["10.9.0.0/24"]))], &endpoints)).expect("apply");
    let (_, seen) = world.reach(&world.host, to).expect("the host resolves the address on the link");
    assert_eq!(seen, IpAddr::V4(HOST_IP));
    kernel.apply(rules(&[service(&json!({}))], &endpoints)).expect("apply");
    let ours = |ip: Ipv4Addr| {
        let addresses = RouteSocket::open().expect("socket").addresses().expect("addresses");
        addresses.iter().any(|entry| entry.address.ip == IpAddr::V4(ip))
    };
    assert!(!ours(BALANCER_IP), "it goes with the Service");

    // A process that dies leaves it; the next one tidies up.
    kernel.apply(rules(&[balanced(json!([]))], &endpoints)).expect("apply");
    assert!(ours(BALANCER_IP));
    let mut next = Kernel::open(World::facts()).expect("open");
    next.apply(rules(&[], &[])).expect("apply");
    assert!(!ours(BALANCER_IP) && ours(NODE_IP));
}

#[test]
fn a_foreign_change_is_repaired_and_removal_leaves_nothing() {
    let world = World::new(1);
    let mut kernel = Kernel::open(World::facts()).expect("open");
    kernel.apply(rules(&[service(&json!({}))], &[slice(&[])])).expect("apply");
    proxy::remove(&World::facts()).expect("remove");
    assert_eq!(our_tables(), BTreeSet::new());
    // The kernel no longer has what this change is based on.
    kernel.apply(rules(&[service(&json!({}))], &[slice(&[world.pods[0].ip])])).expect("replaced as a whole");
    world.reach(&world.host, (NODE_IP, NODE_PORT)).expect("connect");
    proxy::remove(&World::facts()).expect("remove");
    proxy::remove(&World::facts()).expect("twice is fine");
    assert_eq!(our_tables(), BTreeSet::new());
    assert!(world.is_refused(&world.host, (NODE_IP, NODE_PORT)));
}

#[test]
fn a_process_on_the_node_can_be_an_endpoint() {
    // As the API server and the cluster's DNS are.
    let world = World::new(1);
    let mut kernel = Kernel::open(World::facts()).expect("open");
    let ports = json!([{"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}]);
    let dns = service(&json!({"type": "ClusterIP", "ports": ports}));
    let mut endpoints = slice(&[NODE_IP]);
    endpoints["ports"] =
        json!([{"name": "t", "port": 1053, "protocol": "TCP"}, {"name": "u", "port": 1053, "protocol": "UDP"}]);
    kernel.apply(rules(&[dns], &[endpoints])).expect("apply");
    let tcp = TcpListener::bind((NODE_IP, 1053)).expect("bind");
    let udp = UdpSocket::bind((NODE_IP, 1053)).expect("bind");
    udp.set_read_timeout(Some(PATIENCE)).expect("timeout");
    for (from, source) in [(&world.pods[0].namespace, world.pods[0].ip), (&world.node, NODE_IP)] {
        let _client = connect(from, (CLUSTER_IP, 53)).expect("connect");
        assert_eq!(tcp.accept().expect("accept").1.ip(), IpAddr::V4(source));
        let answer = inside(from, || {
            let client = UdpSocket::bind("0.0.0.0:0").expect("bind");
            client.set_read_timeout(Some(PATIENCE)).expect("timeout");
            client.connect((CLUSTER_IP, 53)).expect("connect");
            client.send(b"?").expect("send");
            let (_, asker) = udp.recv_from(&mut [0; 8]).expect("the question");
            udp.send_to(b"!", asker).expect("answer");
            client.recv(&mut [0; 8])
        });
        assert_eq!(answer.expect("an answer from the cluster IP"), 1);
    }
}

#[test]
fn changes_are_incremental() {
    let _world = World::new(0);
    let mut kernel = Kernel::open(World::facts()).expect("open");
    kernel.apply(rules(&[], &[])).expect("apply");
    let empty = chains().len();
    // A replacement of the table would take this away.
    let mut batch = Batch::new(Family::Inet);
    batch.add_chain("skiff-proxy", "witness");
    NftSocket::open().expect("socket").commit(batch).expect("commit");
    let ip = |last: u8| Ipv4Addr::new(10, 244, last % 2, last);
    let balanced = |ranges: Value, more: Value| {
        let mut service = service(&more);
        service["spec"]["type"] = json!("LoadBalancer");
        service["spec"]["loadBalancerSourceRanges"] = ranges;
        service["status"] = json!({"loadBalancer": {"ingress": [{"ip": BALANCER_IP}]}});
        service
    };
    let sticky = |seconds: u32| json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}});
    let states: Vec<(&str, Vec<Value>, Vec<Ipv4Addr>)> = vec![
        ("no endpoint", vec![service(&json!({}))], vec![]),
        ("one endpoint", vec![service(&json!({}))], vec![ip(1)]),
        ("more", vec![service(&json!({}))], (1..5).map(ip).collect()),
        ("others", vec![service(&json!({}))], (3..7).map(ip).collect()),
        ("affinity", vec![service(&sticky(60))], (3..7).map(ip).collect()),
        ("affinity with one", vec![service(&sticky(60))], vec![ip(3)]),
        ("a longer one", vec![service(&sticky(600))], vec![ip(3), ip(4)]),
        ("a balancer", vec![balanced(json!([]), sticky(600))], vec![ip(3), ip(4)]),
        ("with ranges", vec![balanced(json!(["10.0.0.0/8"]), json!({}))], vec![ip(3), ip(4)]),
        ("others", vec![balanced(json!(["10.0.0.0/9", "10.128.0.0/9"]), json!({}))], vec![ip(3), ip(4)]),
        ("local", vec![balanced(json!([]), json!({"externalTrafficPolicy": "Local"}))], vec![ip(3), ip(4)]),
        ("all local", vec![service(&json!({"internalTrafficPolicy": "Local"}))], vec![ip(2)]),
        ("none local", vec![service(&json!({"internalTrafficPolicy": "Local"}))], vec![ip(3)]),
        ("another node port", vec![service(&json!({"ports": [{"port": 80, "nodePort": 30081}]}))], vec![ip(3)]),
        ("another address", vec![service(&json!({"clusterIP": "10.96.0.11"}))], vec![ip(3)]),
        ("nothing", vec![], vec![]),
    ];
    let all = states.iter().chain(states.iter().rev());
    for (what, services, endpoints) in all {
        kernel.apply(rules(services, &[slice(endpoints)])).expect("apply");
        assert!(chains().iter().any(|chain| chain.name == "witness"), "{what}: the table was replaced");
    }
    kernel.apply(rules(&[], &[])).expect("apply");
    assert_eq!(chains().len(), empty + 1, "no chain is left over");
}
