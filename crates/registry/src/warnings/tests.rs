use super::*;

#[test]
fn addresses_have_one_right_form() {
    let at = FieldPath::new("f");
    for (value, said) in [
        ("10.0.0.1", None),
        ("fd00::1", None),
        ("FD00:0::1", Some("f: IPv6 address \"FD00:0::1\" should be in RFC 5952 canonical format (\"fd00::1\")")),
        ("::ffff:1.2.3.4", Some("f: non-standard IP address \"::ffff:1.2.3.4\" is invalid: use \"1.2.3.4\"")),
    ] {
        assert_eq!(ip(&at, value).as_deref(), said, "{value}");
    }
    for (value, said) in [
        ("10.0.0.0/8", None),
        ("0.0.0.0/0", None),
        ("::/0", None),
        ("fd00::/64", None),
        (
            "10.1.2.3/16",
            Some(
                "f: CIDR value \"10.1.2.3/16\" is ambiguous in this context (should be \"10.1.0.0/16\" or \"10.1.2.3/32\"?)",
            ),
        ),
        ("FD00::/64", Some("f: IPv6 CIDR value \"FD00::/64\" should be in RFC 5952 canonical format (\"fd00::/64\")")),
    ] {
        assert_eq!(cidr(&at, value).as_deref(), said, "{value}");
    }
}
