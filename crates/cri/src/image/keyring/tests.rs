use super::{Auth, Keyring, KeyringError};

fn keyring(entries: &str) -> Keyring {
    let mut keyring = Keyring::default();
    keyring.add_docker_config_json(format!(r#"{{"auths": {{{entries}}}}}"#).as_bytes()).expect("valid");
    keyring
}

fn users(keyring: &Keyring, repository: &str) -> Vec<String> {
    let auths = keyring.lookup(repository).into_iter();
    auths
        .map(|auth| match auth {
            Auth::Basic { username, password } => format!("{username}:{}", password.0),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn entries_match_by_host_port_and_path() {
    let cases = [
        ("a.io", "a.io/b", true),
        ("https://a.io", "a.io/b", true),
        ("http://a.io/v1/", "a.io/b", true),
        ("https://a.io/v2/b", "a.io/b/c", true),
        ("a.io/b", "a.io/bc", true),
        ("a.io/b", "a.io/c", false),
        ("a.io:5000", "a.io/b", false),
        ("a.io:5000", "a.io:5000/b", true),
        ("*.a.io", "x.a.io/b", true),
        ("*.a.io", "x.y.a.io/b", false),
        ("*.a.io", "a.io/b", false),
        ("x*z.a.io", "xyz.a.io/b", true),
        ("x[a-c].io", "xb.io/b", true),
        ("x[^a-c].io", "xb.io/b", false),
        ("[::1]:5000", "[::1]:5000/b", true),
        ("https://index.docker.io/v1/", "docker.io/library/nginx", true),
        ("index.docker.io", "docker.io/a/b", true),
        ("docker.io", "docker.io/a/b", true),
        ("index.docker.io", "quay.io/a/b", false),
    ];
    for (key, repository, expected) in cases {
        let keyring = keyring(&format!(r#""{key}": {{"username": "u", "password": "p"}}"#));
        assert_eq!(!users(&keyring, repository).is_empty(), expected, "{key} for {repository}");
    }
}

#[test]
fn the_most_specific_comes_first_and_none_is_left_out() {
    let mut keyring = keyring(
        r#""a.io": {"auth": "aG9zdDpw"}, "a.io/team": {"auth": "dGVhbTpwOnE="}, "*.io": {"username": "any", "password": "p"}"#,
    );
    keyring.add_dockercfg(br#"{"a.io": {"username": "second", "password": "p", "email": "x"}}"#).expect("valid");
    assert_eq!(users(&keyring, "a.io/team/app"), ["team:p:q", "host:p", "second:p", "any:p"]);
    assert_eq!(users(&keyring, "a.io/other"), ["host:p", "second:p", "any:p"]);
}

#[test]
fn what_cannot_be_read_is_named_but_not_shown() {
    let mut keyring = Keyring::default();
    assert_eq!(keyring.add_docker_config_json(b"[secret"), Err(KeyringError::Json));
    let error = keyring.add_dockercfg(br#"{"a.io": {"auth": "c2VjcmV0"}}"#).expect_err("no colon");
    assert_eq!(
        error.to_string(),
        r#"unable to parse auth field of "a.io", must be formatted as base64(username:password)"#
    );
    assert!(
        !format!("{:?}", super::tests::keyring(r#""a.io": {"username": "u", "password": "hidden"}"#))
            .contains("hidden")
    );
    assert_eq!(keyring.add_docker_config_json(b"{}"), Ok(()));
}
