use expect_test::{Expect, expect};

use super::*;
use crate::rest::Credentials;

const FILE: &str = "
apiVersion: v1
kind: Config
current-context: dev
clusters:
- name: one
  cluster: {server: 'https://127.0.0.1:6443', insecure-skip-tls-verify: true}
- name: plain
  cluster: {server: 'http://127.0.0.1:8080'}
users:
- name: alice
  user: {token: secret-a}
- name: both
  user: {token: t, username: u}
contexts:
- name: dev
  context: {cluster: one, user: alice, namespace: team}
- name: plain
  context: {cluster: plain, user: alice}
- name: both
  context: {cluster: one, user: both}
";

fn parse(texts: &[&str]) -> Kubeconfig {
    let mut merged = Kubeconfig::default();
    for text in texts {
        let value = apimachinery::yaml::parse(text).expect("YAML").value;
        merged.add(Path::new("/home/me/.kube/config"), value).expect("a kubeconfig");
    }
    merged
}

fn check(overrides: Overrides, expected: Expect) {
    let shown = match parse(&[FILE]).resolve(&overrides, &Environment::default()) {
        Ok(resolved) => format!(
            "{} {} namespace={} explicit={} as={}",
            resolved.rest.server.text(),
            match &resolved.rest.credentials {
                Credentials::None => "none".to_owned(),
                Credentials::Bearer(token) => format!("bearer {}", token.0),
                Credentials::Basic { username, .. } => format!("basic {username}"),
            },
            resolved.namespace,
            resolved.namespace_is_explicit,
            resolved.rest.impersonation.user,
        ),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&shown);
}

#[test]
fn contexts_and_overrides() {
    check(Overrides::default(), expect!["https://127.0.0.1:6443 bearer secret-a namespace=team explicit=false as="]);
    let context = Context { namespace: "other".into(), ..Context::default() };
    let user = User { token: "mine".into(), impersonate: "bob".into(), ..User::default() };
    check(
        Overrides { context, user, ..Overrides::default() },
        expect!["https://127.0.0.1:6443 bearer mine namespace=other explicit=true as=bob"],
    );
    // Nothing secret goes over plain HTTP.
    check(
        Overrides { current_context: "plain".into(), ..Overrides::default() },
        expect!["http://127.0.0.1:8080 none namespace=default explicit=false as="],
    );
    let cluster = Cluster { server: "https://10.0.0.1".into(), ..Cluster::default() };
    check(
        Overrides { cluster, ..Overrides::default() },
        expect!["https://10.0.0.1 bearer secret-a namespace=team explicit=false as="],
    );
}

#[test]
fn faults_in_upstreams_words() {
    check(
        Overrides { current_context: "x".into(), ..Overrides::default() },
        expect!["invalid configuration: context was not found for specified context: x"],
    );
    let context = Context { user: "x".into(), ..Context::default() };
    check(Overrides { context, ..Overrides::default() }, expect![[r#"auth info "x" does not exist"#]]);
    check(
        Overrides { current_context: "both".into(), ..Overrides::default() },
        expect![
            "invalid configuration: more than one authentication method found for both; found [token basicAuth], only one is allowed"
        ],
    );
    let user = User { impersonate_groups: vec!["g".into()], ..User::default() };
    check(
        Overrides { user, ..Overrides::default() },
        expect!["invalid configuration: requesting uid, groups or user-extra for alice without impersonating a user"],
    );
    let missing = LoadingRules::new(Some("/nonexistent/config".into()), &Environment::default());
    assert_eq!(
        Kubeconfig::load(&missing).unwrap_err().to_string(),
        "stat /nonexistent/config: no such file or directory"
    );
}

#[test]
fn the_first_file_wins() {
    let second = "
current-context: other
clusters: [{name: one, cluster: {server: 'https://ignored'}}]
contexts: [{name: more, context: {cluster: one, user: alice}}]
users: null
";
    let merged = parse(&[FILE, second]);
    assert_eq!(merged.current_context, "dev");
    assert_eq!(merged.clusters["one"].server, "https://127.0.0.1:6443");
    assert!(merged.contexts.contains_key("more"));
}

#[test]
fn paths_are_meant_from_the_file() {
    let merged = parse(&["users: [{name: u, user: {client-certificate: tls/c.pem, client-key: /k.pem}}]"]);
    assert_eq!(merged.users["u"].client_certificate, "/home/me/.kube/tls/c.pem");
    assert_eq!(merged.users["u"].client_key, "/k.pem");
}

#[test]
fn without_any_configuration_localhost_is_asked() {
    let resolved = Kubeconfig::default().resolve(&Overrides::default(), &Environment::default()).expect("resolved");
    assert_eq!(resolved.rest.server.text(), "http://localhost:8080");
    assert_eq!(resolved.namespace, "default");
}

#[test]
fn a_plugin_gives_a_token() {
    let plugin = |script: &str| {
        let text = format!(
            "users: [{{name: alice, user: {{exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, \
             interactiveMode: Never, args: ['-c', '{script}']}}}}}}]"
        );
        parse(&[&text, FILE]).resolve(&Overrides::default(), &Environment::default())
    };
    let given =
        plugin(r#"echo "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":{\"token\":\"from-plugin\"}}""#);
    assert_eq!(given.expect("resolved").rest.credentials, Credentials::Bearer(crate::Secret("from-plugin".into())));
    assert_eq!(
        plugin("exit 3").unwrap_err().to_string(),
        "getting credentials: exec: executable sh failed with exit code 3"
    );
}
