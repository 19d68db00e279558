use super::*;

fn mask(privileged: bool, add: &[&str], drop: &[&str]) -> Result<CapabilityMask, UnknownCapability> {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    resolve(privileged, &cri::Capabilities { add: list(add), drop: list(drop) })
}

#[test]
fn sets_are_those_of_other_runtimes() {
    assert_eq!(mask(false, &[], &[]), Ok(0xa804_25fb));
    assert_eq!(mask(true, &[], &["ALL"]), Ok((1 << 41) - 1));
    assert_eq!(mask(false, &["NET_BIND_SERVICE"], &["ALL"]), Ok(1 << 10));
    assert_eq!(mask(false, &["cap_net_admin"], &["CAP_NET_RAW"]), Ok((0xa804_25fb | 1 << 12) & !(1 << 13)));
    assert_eq!(mask(false, &["all"], &["SYS_ADMIN"]), Ok(all() & !(1 << 21)));
    assert_eq!(mask(false, &["FLY"], &[]), Err(UnknownCapability("FLY".into())));
}
