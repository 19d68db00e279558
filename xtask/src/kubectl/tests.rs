use super::{linker_flags, parse_release};

#[test]
fn releases_of_go_are_read() {
    for (text, expected) in [
        ("go version go1.26.8 linux/amd64", Some((1, 26))),
        ("go version go1.19 linux/arm64", Some((1, 19))),
        ("go version go1.27rc1 linux/amd64", Some((1, 27))),
        ("go version devel +abc", None),
        ("", None),
    ] {
        assert_eq!(parse_release(text), expected, "{text}");
    }
}

#[test]
fn kubectl_is_told_its_version() {
    let flags = linker_flags("v1.37.2", "2026-01-02T03:04:05Z").expect("a version");
    assert!(flags.contains("-X k8s.io/component-base/version.gitVersion=v1.37.2"), "{flags}");
    assert!(flags.contains("-X k8s.io/client-go/pkg/version.gitMinor=37"), "{flags}");
    assert!(linker_flags("latest", "").is_err());
}
