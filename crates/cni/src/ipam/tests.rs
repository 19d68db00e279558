use super::*;

fn cidr(text: &str) -> Cidr {
    text.parse().expect("a CIDR")
}

#[test]
fn ranges_parse_and_contain() {
    assert_eq!(cidr("10.244.3.7/24").to_string(), "10.244.3.0/24");
    assert_eq!(cidr("fd00::5/64").to_string(), "fd00::/64");
    assert!(cidr("10.244.3.0/24").contains("10.244.3.255".parse().expect("ip")));
    assert!(!cidr("10.244.3.0/24").contains("10.244.4.0".parse().expect("ip")));
    assert!(!cidr("0.0.0.0/0").contains("::1".parse().expect("ip")));
    assert!(cidr("0.0.0.0/0").contains("9.9.9.9".parse().expect("ip")));
    assert_eq!(cidr("10.0.0.0/12").netmask(), [255, 240, 0, 0]);
    for bad in ["", "10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/-1"] {
        assert_eq!(bad.parse::<Cidr>(), Err(CidrError(bad.into())), "{bad}");
    }
}

#[test]
fn addresses_go_round_and_come_back_late() {
    let mut ipam = Ipam::new(cidr("10.0.0.0/29"));
    let given: Vec<String> = (0..6).map(|n| ipam.allocate(&n.to_string()).expect("free").to_string()).collect();
    assert_eq!(given, ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
    assert_eq!(ipam.allocate("more"), Err(IpamError::Exhausted(cidr("10.0.0.0/29"))));
    assert_eq!(ipam.allocate("3").expect("same").to_string(), "10.0.0.4");
    ipam.release("4");
    ipam.release("1");
    assert_eq!(ipam.allocate("a").expect("free").to_string(), "10.0.0.2");
    assert_eq!(ipam.allocate("b").expect("free").to_string(), "10.0.0.5");
}

#[test]
fn reserved_addresses_are_kept() {
    let mut ipam = Ipam::new(cidr("fd00::/64"));
    let address = "fd00::9".parse().expect("ip");
    ipam.reserve("old", address).expect("free");
    ipam.reserve("old", address).expect("the same again");
    assert!(matches!(ipam.reserve("new", address), Err(IpamError::Taken { .. })));
    assert!(matches!(ipam.reserve("new", "fd01::9".parse().expect("ip")), Err(IpamError::OutOfRange { .. })));
    assert_eq!(ipam.allocate("next").expect("free").to_string(), "fd00::a");
}
