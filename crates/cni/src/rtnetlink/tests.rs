//! In network namespaces of the test's own; needs root.

use std::fs::File;
use std::net::{TcpListener, TcpStream};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::*;
use crate::plan;

/// The calling thread's network namespace.
fn here() -> File {
    File::open("/proc/thread-self/ns/net").expect("the thread's network namespace")
}

/// Moves the calling thread into a new network namespace.
fn enter_new() -> File {
    #[allow(deprecated, reason = "NEWNET touches this thread only")]
    rustix::thread::unshare(UnshareFlags::NEWNET).expect("unshare needs root");
    here()
}

fn enter(namespace: &File) {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
}

#[test]
fn a_pod_is_reached_through_its_veth() {
    let node = enter_new();
    let mut outer = RouteSocket::open().expect("socket");
    let loopback = outer.link("lo").expect("lo").index;
    outer.set_up(loopback).expect("lo up");
    let node_ip = "10.9.0.2".parse().expect("ip");
    outer.add_address(loopback, &Address { ip: node_ip, prefix: 32 }).expect("address");
    let pod = enter_new();
    let mut inner = RouteSocket::open().expect("socket");
    let pod_ip: IpAddr = "10.244.0.7".parse().expect("ip");
    let veth = plan::pod("00112233445566", &[pod_ip], &[node_ip], None);
    outer.create(&mut inner, pod.as_fd(), &veth).expect("create");
    inner.wait_until_operational("eth0", Duration::from_secs(5)).expect("operational");
    let listener = TcpListener::bind("0.0.0.0:80").expect("bind");
    enter(&node);
    let client = TcpStream::connect((pod_ip, 80)).expect("connect");
    let (_, peer) = listener.accept().expect("accept");
    assert_eq!(peer.ip(), node_ip, "the node's own address is the source");
    drop(client);
    let again = outer.create(&mut inner, pod.as_fd(), &veth).expect_err("taken");
    assert!(again.already_exists(), "{again}");
    outer.delete_link(&veth.outer.name).expect("delete");
    outer.delete_link(&veth.outer.name).expect("deleting twice is fine");
    assert!(matches!(outer.link(&veth.outer.name), Err(NetlinkError::NoSuchLink(_))));
    assert!(inner.links().expect("links").iter().all(|link| link.name != "eth0"));
}

#[test]
fn both_families_routes_rules_and_neighbours() {
    let node = enter_new();
    let mut socket = RouteSocket::open().expect("socket");
    socket.create_bridge("br0").expect("bridge");
    assert!(socket.create_bridge("br0").expect_err("twice").already_exists());
    let index = socket.link("br0").expect("br0").index;
    for (ip, prefix) in [("10.1.0.1", 24), ("fd01::1", 64)] {
        socket.add_address(index, &Address { ip: ip.parse().expect("ip"), prefix }).expect("address");
    }
    let route = |destination: &str, gateway: &str| RouteTo {
        destination: destination.parse().expect("cidr"),
        gateway: Some(gateway.parse().expect("ip")),
        source: None,
    };
    for (destination, gateway) in [("0.0.0.0/0", "10.1.0.2"), ("::/0", "fd01::2"), ("10.244.3.0/24", "10.99.0.3")] {
        socket.set_route(index, &route(destination, gateway)).expect(destination);
        socket.set_route(index, &route(destination, gateway)).expect("again");
    }
    assert_eq!(socket.uplinks().expect("uplinks"), [index]);
    socket.delete_route(index, &route("0.0.0.0/0", "10.1.0.2")).expect("delete");
    socket.delete_route(index, &route("0.0.0.0/0", "10.1.0.2")).expect("delete twice");
    let neighbour = Neighbour { ip: "10.1.0.9".parse().expect("ip"), mac: [2, 0, 0, 0, 0, 9] };
    socket.set_neighbour(index, &neighbour).expect("neighbour");
    socket.delete_neighbour(index, &neighbour).expect("delete");
    socket.delete_neighbour(index, &neighbour).expect("delete twice");
    let rule = Rule { source: "10.1.0.0/24".parse().ok(), mark: Some((1, 1)), table: 100, priority: 50 };
    socket.add_rule(&rule).expect("rule");
    socket.add_rule(&rule).expect("rule twice");
    socket.delete_rule(&rule).expect("delete");
    socket.delete_rule(&rule).expect("delete twice");
    assert!(matches!(socket.link("a/b"), Err(NetlinkError::InvalidName(_))));
    drop(node);
}

#[test]
fn addresses_tell_whose_they_are() {
    let _own = enter_new();
    let mut socket = RouteSocket::open().expect("socket");
    let loopback = socket.link("lo").expect("lo").index;
    let plain = Address { ip: "10.9.0.1".parse().expect("ip"), prefix: 24 };
    let marked = Address { ip: "10.9.0.2".parse().expect("ip"), prefix: 32 };
    socket.add_address(loopback, &plain).expect("add");
    socket.add_address_as(loopback, &marked, 77).expect("add");
    let entry = |address, protocol| LinkAddress { link: loopback, address, protocol };
    assert_eq!(socket.addresses().expect("list"), [entry(plain, 0), entry(marked, 77)]);
    socket.delete_address(loopback, &marked).expect("delete");
    assert_eq!(socket.addresses().expect("list"), [entry(plain, 0)]);
}
