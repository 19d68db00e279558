//! In network namespaces of the test's own; needs root.

use std::fs::File;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::*;
use crate::plan::{self, Address, NodeLink};
use crate::rtnetlink::RouteSocket;

fn enter_new() -> File {
    #[allow(deprecated, reason = "NEWNET touches this thread only")]
    rustix::thread::unshare(UnshareFlags::NEWNET).expect("unshare needs root");
    File::open("/proc/thread-self/ns/net").expect("the thread's network namespace")
}

fn enter(namespace: &File) {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
}

fn link(host_name: &str, subnet: u8) -> NodeLink {
    let address = |host: u8| Address { ip: Ipv4Addr::new(10, 9, subnet, host).into(), prefix: 24 };
    NodeLink {
        host_name: host_name.into(),
        bridge: None,
        host_addresses: vec![address(1)],
        node_addresses: vec![address(2)],
        mtu: None,
    }
}

/// A host with two nodes behind it: datagrams from one to the other are forwarded by the host.
struct World {
    host: File,
    left: File,
    right: File,
}

fn world() -> World {
    let host = enter_new();
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("forwarding");
    let mut outer = RouteSocket::open().expect("socket");
    let mut node = |name: &str, subnet: u8| {
        let namespace = enter_new();
        let mut inner = RouteSocket::open().expect("socket");
        outer.create(&mut inner, namespace.as_fd(), &plan::node(&link(name, subnet))).expect("link");
        inner.wait_until_operational("eth0", Duration::from_secs(5)).expect("operational");
        namespace
    };
    let (left, right) = (node("left", 1), node("right", 2));
    enter(&host);
    World { host, left, right }
}

/// Who the right node sees when the left one sends; none if nothing arrives.
fn seen(world: &World) -> Option<IpAddr> {
    enter(&world.right);
    let receiver = UdpSocket::bind("0.0.0.0:9").expect("bind");
    receiver.set_read_timeout(Some(Duration::from_millis(200))).expect("timeout");
    enter(&world.left);
    UdpSocket::bind("0.0.0.0:0").expect("bind").send_to(b"x", "10.9.2.2:9").expect("send");
    enter(&world.host);
    receiver.recv_from(&mut [0; 8]).ok().map(|(_, from)| from.ip())
}

#[test]
fn sources_are_masqueraded_while_the_owner_lives() {
    let world = world();
    assert_eq!(seen(&world), Some("10.9.1.2".parse().expect("ip")));
    let mut owner = NftSocket::open().expect("socket");
    let mut plan =
        Masquerade { table: "skiff-test".into(), sources: vec!["10.9.1.0/24".parse().expect("cidr")], except: vec![] };
    owner.commit(masquerade(&plan)).expect("commit");
    assert_eq!(seen(&world), Some("10.9.2.1".parse().expect("ip")), "the host's own address");
    let mut other = NftSocket::open().expect("socket");
    let mut batch = Batch::new(Family::Inet);
    batch.add_chain("skiff-test", "foreign");
    assert!(other.commit(batch).is_err(), "nobody else may change an owned table");
    plan.except = vec!["10.9.2.0/24".parse().expect("cidr")];
    owner.commit(masquerade(&plan)).expect("commit again");
    assert_eq!(seen(&world), Some("10.9.1.2".parse().expect("ip")), "excepted");
    drop(owner);
    assert_eq!(other.chains().expect("chains"), [], "the table goes with its owner");
}

#[test]
fn a_foreign_drop_policy_is_passed_and_left_as_it_was() {
    let world = world();
    let mut socket = NftSocket::open().expect("socket");
    let mut docker = Batch::new(Family::Ip);
    docker.add_table("filter", TableFlags::default());
    let forward = BaseChain { kind: ChainKind::Filter, hook: Hook::Forward, priority: 0, policy: Policy::Drop };
    docker.add_base_chain("filter", "FORWARD", forward);
    docker.add_chain("filter", DOCKER_USER);
    docker.add_rule("filter", "FORWARD", |expressions| {
        expressions.verdict(&Verdict::Jump(DOCKER_USER.into()));
    });
    socket.commit(docker).expect("a foreign table");
    assert_eq!(seen(&world), None);
    let range = ["10.9.1.0/24".parse().expect("cidr")];
    let permitted = permit(&mut socket, "skiff test", &range).expect("permit");
    assert_eq!(permitted[0].name, DOCKER_USER);
    assert!(seen(&world).is_some());
    permit(&mut socket, "skiff test", &range).expect("permit again");
    assert_eq!(socket.rules(Family::Ip, "filter", DOCKER_USER).expect("rules").len(), 2, "both directions, once");
    revoke(&mut socket, "skiff test").expect("revoke");
    assert_eq!(socket.rules(Family::Ip, "filter", DOCKER_USER).expect("rules"), []);
    assert_eq!(socket.rules(Family::Ip, "filter", "FORWARD").expect("rules").len(), 1);
    assert_eq!(seen(&world), None);
}
