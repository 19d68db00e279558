mod served;

use http::header::ACCEPT;

use super::*;

fn asked(method: &Method, rest: &str, query: &str) -> String {
    let rest: Vec<&str> = rest.split('/').collect();
    let a = attributes::of_resource(method, "example.com", "v1", &rest, &Query::parse(query));
    format!("{} {}/{} {}/{}", a.verb, a.resource, a.subresource, a.namespace, a.name)
}

#[test]
fn what_a_path_asks_for_is_read_as_upstream_does() {
    for (method, rest, query, wanted) in [
        (Method::GET, "flunders", "", "list flunders/ /"),
        (Method::GET, "flunders", "watch=1", "watch flunders/ /"),
        (Method::GET, "flunders", "fieldSelector=metadata.name%3Da", "list flunders/ /a"),
        (Method::GET, "watch/flunders", "", "watch flunders/ /"),
        (Method::GET, "namespaces/dev/flunders", "", "list flunders/ dev/"),
        (Method::GET, "namespaces/dev/flunders/a", "", "get flunders/ dev/a"),
        (Method::PUT, "namespaces/dev/flunders/a/status", "", "update flunders/status dev/a"),
        (Method::POST, "namespaces/dev/flunders", "", "create flunders/ dev/"),
        (Method::DELETE, "namespaces/dev/flunders", "", "deletecollection flunders/ dev/"),
        (Method::DELETE, "namespaces/dev/flunders/a", "", "delete flunders/ dev/a"),
        (Method::GET, "namespaces/dev", "", "get namespaces/ dev/dev"),
        (Method::PUT, "namespaces/dev/finalize", "", "update namespaces/finalize dev/dev"),
        (Method::GET, "namespaces", "", "list namespaces/ /"),
        (Method::OPTIONS, "flunders/a/b/c", "", " flunders/b /a"),
    ] {
        assert_eq!(asked(&method, rest, query), wanted, "{method} {rest}?{query}");
    }
}

#[test]
fn credentials_and_what_concerns_the_connection_stay_here() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "127.0.0.1:6443"),
        ("authorization", "Bearer secret"),
        ("impersonate-user", "jane"),
        ("impersonate-extra-scopes", "x"),
        ("transfer-encoding", "chunked"),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("accept", "application/json"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let path = "/apis/example.com/v1/flunders";
    for_another(&mut headers, "10.96.0.7:443", path, &UserInfo::new("jane", &[])).expect("it can be passed on");
    let all = |name: &str| -> Vec<&str> { headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).collect() };
    for (name, wanted) in [
        ("host", &["10.96.0.7:443"][..]),
        ("x-forwarded-host", &["127.0.0.1:6443"]),
        ("x-forwarded-uri", &[path]),
        ("x-forwarded-proto", &["https"]),
        ("x-remote-user", &["jane"]),
        ("connection", &["Upgrade"]),
        ("upgrade", &["websocket"]),
        (ACCEPT.as_str(), &["application/json"]),
        ("authorization", &[]),
        ("impersonate-user", &[]),
        ("impersonate-extra-scopes", &[]),
        ("transfer-encoding", &[]),
    ] {
        assert_eq!(all(name), wanted, "{name}");
    }
}
