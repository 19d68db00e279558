use cri::{Auth, Reference, Secret};

use super::Registries;

const CONFIG: &str = r#"
mirrors:
  docker.io:
    endpoint:
      - "https://mirror.example:5000"
      - "http://cache.example/proxy/v2/"
    rewrite:
      "^library/(.*)": "hub/$1"
  quiet.example:
  "*":
    endpoint: ["https://all.example"]
configs:
  "mirror.example:5000":
    auth: {username: m, password: n}
    tls: {ca_file: /ca.pem, cert_file: /cert.pem, key_file: /key.pem}
  registry-1.docker.io:
    auth: {auth: "aDpw"}
  insecure.example:
    auth: {identity_token: t}
    tls: {insecure_skip_verify: true}
"#;

fn parse(yaml: &str) -> Result<Registries, String> {
    let read = |path: &std::path::Path| match path.to_str() {
        Some("/missing") => Err(std::io::ErrorKind::NotFound.into()),
        _ => Ok(path.display().to_string().into_bytes()),
    };
    Registries::parse(yaml, &read).map_err(|error| error.to_string())
}

fn show(registries: &Registries, image: &str, auth: Option<Auth>) -> Vec<String> {
    let reference = Reference::parse(image).expect("valid");
    let endpoints = registries.endpoints(&reference, auth.as_ref());
    let show = |endpoint: &super::Endpoint| {
        let url = &endpoint.url;
        let auth = match &endpoint.auth {
            None => "-".to_owned(),
            Some(Auth::Basic { username, password }) => format!("{username}:{}", password.0),
            Some(Auth::IdentityToken(token) | Auth::RegistryToken(token)) => token.0.clone(),
        };
        let tls = match (&endpoint.tls.ca, &endpoint.tls.client, endpoint.fall_back_to_http) {
            (Some(_), Some(_), _) => " own CA and certificate",
            (_, _, true) => " insecure",
            _ => "",
        };
        let namespace = endpoint.namespace.as_deref().unwrap_or("-");
        format!(
            "{}://{}{}/{} ns {namespace} auth {auth}{tls}",
            url.scheme(),
            url.authority(),
            url.path,
            endpoint.repository
        )
    };
    endpoints.iter().map(show).collect()
}

#[test]
fn mirrors_come_first_and_the_registry_last() {
    let registries = parse(CONFIG).expect("valid");
    let pod = Auth::Basic { username: "pod".into(), password: Secret("p".into()) };
    assert_eq!(
        show(&registries, "nginx", None),
        [
            "https://mirror.example:5000/v2/hub/nginx ns docker.io auth m:n own CA and certificate",
            "http://cache.example/proxy/v2/hub/nginx ns docker.io auth -",
            "https://registry-1.docker.io/v2/library/nginx ns - auth h:p",
        ]
    );
    assert_eq!(
        show(&registries, "a/b", Some(pod)),
        [
            "https://mirror.example:5000/v2/a/b ns docker.io auth m:n own CA and certificate",
            "http://cache.example/proxy/v2/a/b ns docker.io auth pod:p",
            "https://registry-1.docker.io/v2/a/b ns - auth pod:p",
        ]
    );
    assert_eq!(show(&registries, "quiet.example/b", None), ["https://quiet.example/v2/b ns - auth -"]);
    assert_eq!(
        show(&registries, "insecure.example/b", None),
        ["https://all.example/v2/b ns insecure.example auth -", "https://insecure.example/v2/b ns - auth t insecure"]
    );
}

#[test]
fn loopback_is_plain() {
    let registries = Registries::default();
    for (image, expected) in [
        ("localhost:5000/b", "http://localhost:5000/v2/b ns - auth -"),
        ("127.0.0.1/b", "http://127.0.0.1/v2/b ns - auth -"),
        ("[::1]:5000/b", "http://[::1]:5000/v2/b ns - auth -"),
        ("localhost:443/b", "https://localhost/v2/b ns - auth -"),
        ("10.0.0.1:5000/b", "https://10.0.0.1:5000/v2/b ns - auth -"),
    ] {
        assert_eq!(show(&registries, image, None), [expected]);
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (yaml, expected) in [
        (
            "mirrors: {a: {endpoint: [\"ftp://b\"]}}",
            r#"mirror "a": invalid endpoint "ftp://b": the scheme is neither http nor https"#,
        ),
        (
            "mirrors: {a: {endpoint: [\"http://b:x\"]}}",
            r#"mirror "a": invalid endpoint "http://b:x": the port is no number"#,
        ),
        ("configs: {a: {tls: {ca_file: /missing}}}", r#"registry "a": failed to read "/missing": entity not found"#),
    ] {
        assert_eq!(parse(yaml).expect_err("wrong"), expected);
    }
    assert!(
        parse("mirrors: {a: {rewrite: {\"(\": b}}}")
            .expect_err("wrong")
            .starts_with(r#"mirror "a": invalid rewrite "(": "#)
    );
    assert!(parse("mirrors: [").expect_err("wrong").starts_with("failed to read the registry configuration: "));
    assert!(parse("").is_ok() && parse("mirrors:\n").is_ok());
}
