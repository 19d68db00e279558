use super::Reference;

#[test]
fn names_are_completed_as_upstream_does() {
    let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let cases = [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/a/b", "docker.io/a/b:latest"),
        ("a/b", "docker.io/a/b:latest"),
        ("localhost/b", "localhost/b:latest"),
        ("localhost:5000/b:x", "localhost:5000/b:x"),
        ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest"),
        ("[::1]:5000/b", "[::1]:5000/b:latest"),
        ("ghcr.io/a_b/c__d/e-f.g--h:V_1.2-x", "ghcr.io/a_b/c__d/e-f.g--h:V_1.2-x"),
        ("Registry/x", "Registry/x:latest"),
        ("", "invalid reference format"),
        (" ", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("a:", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a-", "invalid reference format"),
        ("a.io:x/b", "invalid reference format"),
        ("https://a.io/b", "invalid reference format"),
        ("Nginx", "invalid reference format: repository name (Nginx) must be lowercase"),
        ("a.io/B", "invalid reference format: repository name (B) must be lowercase"),
        ("a@sha256:12", "invalid checksum digest length"),
        ("a@md5:12", "unsupported digest algorithm"),
    ];
    for (name, expected) in cases {
        let found = Reference::parse(name).map_or_else(|error| error.to_string(), |found| found.to_string());
        assert_eq!(found, expected, "{name:?}");
    }
    let by_digest = Reference::parse(&format!("quay.io/a/b@{digest}")).expect("a digest is enough");
    assert_eq!((by_digest.tag, by_digest.digest.as_deref()), (None, Some(digest)));
    let both = Reference::parse(&format!("b:1@{digest}")).expect("both may be given");
    assert_eq!(both.to_string(), format!("docker.io/library/b:1@{digest}"));
    assert_eq!(both.repository(), "docker.io/library/b");
    let id = &digest[7..];
    assert_eq!(
        Reference::parse(id).expect_err("an id").to_string(),
        format!("invalid repository name ({id}), cannot specify 64-byte hexadecimal strings")
    );
    let long = format!("a.io/{}", "x".repeat(251));
    assert_eq!(
        Reference::parse(&long).expect_err("too long").to_string(),
        "repository name must not be more than 255 characters"
    );
}
