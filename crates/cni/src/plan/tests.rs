use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn a_pod_has_a_host_route_and_an_on_link_gateway() {
    let veth = pod("0123456789abcdef", &[ip("10.244.0.7")], &[ip("10.9.0.2")], None);
    assert_eq!(veth.outer.name, "pod0123456789ab");
    assert_eq!(veth.outer.addresses, [Address { ip: GATEWAY_V4, prefix: 32 }]);
    let route = veth.outer.routes[0];
    assert_eq!((route.destination.to_string().as_str(), route.gateway), ("10.244.0.7/32", None));
    assert_eq!(route.source, Some(ip("10.9.0.2")));
    assert_eq!(veth.inner.addresses, [Address { ip: ip("10.244.0.7"), prefix: 32 }]);
    assert_eq!(veth.inner.routes[0].destination.to_string(), "0.0.0.0/0");
    assert_eq!(veth.inner.routes[0].gateway, Some(GATEWAY_V4));
}

#[test]
fn two_families_give_two_of_everything() {
    let veth = pod("ab", &[ip("10.244.0.7"), ip("fd00::7")], &[], Some(1450));
    assert_eq!((veth.inner.addresses.len(), veth.inner.routes.len(), veth.outer.routes.len()), (2, 2, 2));
    assert_eq!(veth.inner.routes[1].gateway, Some(GATEWAY_V6));
    assert_eq!(veth.mtu, Some(1450));
}

#[test]
fn a_node_reaches_the_world_through_its_host() {
    let link = NodeLink {
        host_name: "sk-demo".into(),
        bridge: None,
        host_addresses: vec![Address { ip: ip("10.9.0.1"), prefix: 30 }],
        node_addresses: vec![Address { ip: ip("10.9.0.2"), prefix: 30 }],
        mtu: None,
    };
    let veth = node(&link);
    assert_eq!(veth.outer.addresses, link.host_addresses);
    assert_eq!(veth.inner.routes[0].gateway, Some(ip("10.9.0.1")));
    assert_eq!(veth.inner.routes[0].source, Some(ip("10.9.0.2")));
    let bridged = node(&NodeLink { bridge: Some("sk-br".into()), ..link });
    assert!(bridged.outer.addresses.is_empty());
    assert_eq!(bridged.outer.sysctls[0].0, "ipv4/conf/sk-br/forwarding");
}
