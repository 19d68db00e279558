use expect_test::{Expect, expect};

use super::names::{in_hosts, plan};
use super::*;

fn check(text: &str, secure: bool, expected: Expect) {
    let shown = match ServerUrl::parse(text, secure) {
        Ok(url) => format!("{} host={} port={}", url.text(), url.host, url.port),
        Err(error) => error,
    };
    expected.assert_eq(&shown);
}

#[test]
fn server_urls() {
    check("https://10.0.0.1:6443", false, expect!["https://10.0.0.1:6443 host=10.0.0.1 port=6443"]);
    check("https://example.test/prefix/", false, expect!["https://example.test/prefix host=example.test port=443"]);
    check("https://[::1]:6443", false, expect!["https://[::1]:6443 host=::1 port=6443"]);
    check("localhost:8080", false, expect!["http://localhost:8080 host=localhost port=8080"]);
    check("localhost:6443", true, expect!["https://localhost:6443 host=localhost port=6443"]);
    check("ftp://x", false, expect![[r#"unsupported protocol scheme "ftp""#]]);
    check("https://", false, expect![[r#"host must be a URL or a host:port pair: "https://""#]]);
}

#[test]
fn names_in_the_hosts_file() {
    let hosts = "127.0.0.1 localhost\n10.1.2.3 api.test Api # comment\n";
    assert_eq!(in_hosts(hosts, "API"), ["10.1.2.3".parse::<std::net::IpAddr>().unwrap()]);
    assert!(in_hosts(hosts, "comment").is_empty());
    assert_eq!(in_hosts("", "localhost").len(), 2, "localhost needs no file");
}

#[test]
fn names_to_ask_for() {
    let (servers, names) = plan("nameserver 10.0.0.53\nsearch a.test b.test.\noptions ndots:2\n", "api.test");
    assert_eq!(servers, ["10.0.0.53:53".parse().unwrap()]);
    assert_eq!(names, ["api.test.a.test.", "api.test.b.test.", "api.test."]);
    let (servers, names) = plan("", "api.test");
    assert_eq!(servers, ["127.0.0.1:53".parse().unwrap()]);
    assert_eq!(names, ["api.test."]);
}
