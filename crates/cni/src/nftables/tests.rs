//! Against the kernel, in a network namespace of the test's own; needs root.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use rustix::thread::UnshareFlags;

use super::*;
use crate::plan::Address;
use crate::rtnetlink::RouteSocket;

fn enter_new() -> NftSocket {
    #[allow(deprecated, reason = "NEWNET touches this thread only")]
    rustix::thread::unshare(UnshareFlags::NEWNET).expect("unshare needs root");
    let mut route = RouteSocket::open().expect("socket");
    let loopback = route.link("lo").expect("lo").index;
    route.set_up(loopback).expect("up");
    route.add_address(loopback, &Address { ip: Ipv4Addr::new(10, 96, 0, 1).into(), prefix: 32 }).expect("address");
    NftSocket::open().expect("socket")
}

fn table(batch: &mut Batch) {
    batch.add_table("t", TableFlags::default());
    let nat = BaseChain { kind: ChainKind::Nat, hook: Hook::Output, priority: -100, policy: Policy::Accept };
    batch.add_base_chain("t", "out", nat);
}

/// `10.96.0.1 . tcp . port`, each padded to four bytes.
fn service(port: u16) -> Vec<u8> {
    let mut key = vec![10, 96, 0, 1, 6, 0, 0, 0];
    key.extend_from_slice(&port.to_be_bytes());
    key.extend_from_slice(&[0, 0]);
    key
}

#[test]
fn a_service_is_a_verdict_map_and_a_random_map() {
    let mut nft = enter_new();
    let backends: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").expect("bind")).collect();
    let mut batch = Batch::new(Family::Inet);
    table(&mut batch);
    let map =
        Set { name: "services".into(), key_fields: vec![4, 1, 2], data: Some(SetData::Verdict), ..Set::default() };
    batch.add_set("t", &map);
    batch.add_chain("t", "svc-a");
    let endpoints = Set {
        name: "ep-a".into(),
        key_fields: vec![4],
        data: Some(SetData::Value { kind: 0, length: 8 }),
        ..Set::default()
    };
    let endpoints_id = batch.add_set("t", &endpoints);
    let elements: Vec<Element> = (0u32..)
        .zip(&backends)
        .map(|(n, backend)| {
            let port = backend.local_addr().expect("address").port().to_be_bytes();
            Element::data(n.to_ne_bytes(), [127, 0, 0, 1, port[0], port[1], 0, 0])
        })
        .collect();
    batch.add_elements("t", "ep-a", &elements);
    batch.add_rule("t", "svc-a", |e| {
        e.random(Reg(0), 2).lookup("ep-a", endpoints_id, Reg(0), Some(Reg(1)));
        e.nat(NatKind::Destination, false, Reg(1), Some(Reg(2)));
    });
    batch.add_elements("t", "services", &[Element::verdict(service(80), Verdict::Goto("svc-a".into()))]);
    batch.add_rule("t", "out", |e| {
        e.is_ipv4(Reg(0)).ip_destination(Reg(0)).meta(Reg(1), MetaKey::TransportProtocol).destination_port(Reg(2));
        e.verdict_map("services", 0, Reg(0));
    });
    nft.commit(batch).expect("commit");
    let before = nft.generation().expect("generation");
    for backend in &backends {
        backend.set_nonblocking(true).expect("non-blocking");
    }
    let streams: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect("10.96.0.1:80").expect("connect")).collect();
    let each: Vec<usize> = backends.iter().map(|b| std::iter::from_fn(|| b.accept().ok()).count()).collect();
    assert_eq!(each.iter().sum::<usize>(), streams.len());
    assert!(each.iter().all(|count| *count > 0), "both backends are used: {each:?}");
    let mut remove = Batch::at_generation(Family::Inet, before);
    remove.delete_elements("t", "services", &[Element::key(service(80))]);
    nft.commit(remove).expect("remove");
    assert!(TcpStream::connect("10.96.0.1:80").is_err(), "nothing listens there itself");
    let mut stale = Batch::at_generation(Family::Inet, before);
    stale.add_chain("t", "late");
    assert!(nft.commit(stale).expect_err("stale").is_stale());
}

#[test]
fn a_bad_batch_names_its_step_and_changes_nothing() {
    let mut nft = enter_new();
    let mut batch = Batch::new(Family::Inet);
    table(&mut batch);
    batch.add_rule("t", "out", |e| {
        e.verdict(&Verdict::Jump("nowhere".into()));
    });
    batch.add_chain("missing", "c");
    let error = nft.commit(batch).expect_err("bad");
    assert_eq!(error.to_string(), "nftables refused to add rule to t out");
    assert_eq!(nft.chains().expect("chains"), []);
    let mut good = Batch::new(Family::Inet);
    table(&mut good);
    nft.commit(good).expect("the socket still works");
    assert_eq!(nft.chains().expect("chains").len(), 1);
}

#[test]
fn many_elements_are_split_and_reject_answers_at_once() {
    let mut nft = enter_new();
    let mut batch = Batch::new(Family::Inet);
    batch.add_table("t", TableFlags::default());
    let filter = BaseChain { kind: ChainKind::Filter, hook: Hook::Output, priority: 0, policy: Policy::Accept };
    batch.add_base_chain("t", "out", filter);
    batch.add_set("t", &Set { name: "refused".into(), key_fields: vec![4, 1, 2], ..Set::default() });
    let elements: Vec<Element> = (1..20_000).map(|port| Element::key(service(port))).collect();
    batch.add_elements("t", "refused", &elements);
    batch.add_rule("t", "out", |e| {
        e.is_ipv4(Reg(0)).ip_destination(Reg(0)).meta(Reg(1), MetaKey::TransportProtocol).destination_port(Reg(2));
        e.lookup("refused", 0, Reg(0), None).reject(RejectWith::TcpReset);
    });
    nft.commit(batch).expect("commit");
    let listener = TcpListener::bind("10.96.0.1:19999").expect("bind");
    let error = TcpStream::connect("10.96.0.1:19999").expect_err("refused by rule");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    drop(listener);
    let _open = TcpListener::bind("10.96.0.1:20001").expect("bind");
    TcpStream::connect("10.96.0.1:20001").expect("not in the set");
}

#[test]
fn affinity_learns_from_packets() {
    let mut nft = enter_new();
    let mut batch = Batch::new(Family::Inet);
    batch.add_table("t", TableFlags::default());
    let filter = BaseChain { kind: ChainKind::Filter, hook: Hook::Output, priority: 0, policy: Policy::Accept };
    batch.add_base_chain("t", "out", filter);
    let seen = Set {
        name: "seen".into(),
        key_fields: vec![2],
        dynamic: true,
        timeout_ms: Some(60_000),
        size: Some(64),
        ..Set::default()
    };
    batch.add_set("t", &seen);
    batch.add_rule("t", "out", |e| {
        e.is_ipv4(Reg(0)).meta(Reg(0), MetaKey::TransportProtocol).compare(Reg(0), CmpOp::Eq, &[6]);
        e.destination_port(Reg(0)).lookup("seen", 0, Reg(0), None).reject(RejectWith::TcpReset);
    });
    batch.add_rule("t", "out", |e| {
        e.has_ct_state(Reg(0), ct_state::NEW).meta(Reg(0), MetaKey::TransportProtocol);
        e.compare(Reg(0), CmpOp::Eq, &[6]).destination_port(Reg(0)).dynset_update("seen", Reg(0), None, 60_000);
    });
    nft.commit(batch).expect("commit");
    // The listener answers to the first SYN, which is learnt; the acknowledgement that follows is refused.
    let _listener = TcpListener::bind("10.96.0.1:2").expect("bind");
    let _ = TcpStream::connect("10.96.0.1:2");
    let error = TcpStream::connect("10.96.0.1:2").expect_err("the port was learnt");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}
