use serde_json::{Value, json};

use super::*;

#[test]
fn headers_tell_who_asks_and_nothing_that_a_client_claims() {
    let mut headers = HeaderMap::new();
    for name in ["x-remote-user", "x-remote-uid", "x-remote-group", "x-remote-extra-scope", "accept"] {
        headers.insert(name, HeaderValue::from_static("claimed"));
    }
    let extra = [("example.com/Key%".to_owned(), vec!["a".to_owned(), "b".to_owned()])].into();
    let groups = vec!["dev".to_owned(), "system:authenticated".to_owned()];
    let user = UserInfo { name: "jane".to_owned(), uid: "7".to_owned(), groups, extra };
    identify(&mut headers, &user).expect("all can be said");
    let mut told: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("it is text"))).collect();
    told.sort();
    let wanted = [
        "accept: claimed",
        "x-remote-extra-example.com%2fkey%25: a",
        "x-remote-extra-example.com%2fkey%25: b",
        "x-remote-group: dev",
        "x-remote-group: system:authenticated",
        "x-remote-uid: 7",
        "x-remote-user: jane",
    ];
    assert_eq!(told, wanted);
    assert!(identify(&mut headers, &UserInfo::new("two\nlines", &[])).is_err());
}

#[test]
fn the_older_form_of_discovery_is_made_the_newer_one() {
    let list = json!({"resources": [
        {"name": "flunders", "singularName": "flunder", "namespaced": true, "kind": "Flunder", "verbs": ["get"], "shortNames": ["fl"]},
        {"name": "flunders/status", "namespaced": true, "kind": "Flunder", "verbs": ["update"]},
        {"name": "flunders/scale", "namespaced": true, "group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get"]},
        {"name": "lost/log", "namespaced": false, "kind": "", "verbs": ["get"]},
    ]});
    let of = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let wanted = json!([
        {
            "resource": "flunders", "responseKind": of("", "", "Flunder"), "scope": "Namespaced", "singularResource": "flunder",
            "verbs": ["get"], "shortNames": ["fl"], "subresources": [
                {"subresource": "status", "responseKind": of("", "", "Flunder"), "verbs": ["update"]},
                {"subresource": "scale", "responseKind": of("autoscaling", "v1", "Scale"), "verbs": ["get"]},
            ],
        },
        {
            "resource": "lost", "responseKind": of("", "", ""), "scope": "Cluster", "singularResource": "", "verbs": [],
            "subresources": [{"subresource": "log", "responseKind": of("", "", ""), "verbs": ["get"]}],
        },
    ]);
    assert_eq!(resources::resources_of(&list).map(Value::from), Ok(wanted));
}
