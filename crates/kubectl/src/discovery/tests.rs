use serde_json::{Value, json};

use super::*;

fn resource(plural: &str, singular: &str, kind: &str, short: &[&str]) -> Value {
    json!({"resource": plural, "singularResource": singular, "responseKind": {"kind": kind}, "scope": "Namespaced",
        "shortNames": short, "categories": ["all"], "verbs": ["get"], "subresources": [{"subresource": "status"}]})
}

fn mapper() -> Mapper {
    let mut mapper = Mapper::default();
    mapper.add_aggregated(&json!({"items": [
        {"metadata": {}, "versions": [{"version": "v1", "resources": [
            resource("pods", "pod", "Pod", &["po"]), resource("events", "event", "Event", &["ev"])]}]},
        {"metadata": {"name": "apps"}, "versions": [
            {"version": "v1", "resources": [resource("deployments", "deployment", "Deployment", &["deploy"])]}]},
        {"metadata": {"name": "events.k8s.io"}, "versions": [
            {"version": "v1", "resources": [resource("events", "event", "Event", &["ev"])]}]},
        {"metadata": {"name": "example.test"}, "versions": [
            {"version": "v2", "resources": [resource("widgets", "widget", "Widget", &["po"])]},
            {"version": "v1", "resources": [resource("widgets", "widget", "Widget", &[])]}]},
    ]}));
    mapper
}

fn named(name: &str) -> String {
    match mapper().resource(name) {
        Ok(found) => format!("{} {}", found.api_version(), found.plural),
        Err(error) => error.printed(),
    }
}

#[test]
fn names_of_types() {
    for name in ["pods", "pod", "po", "Pod", "PODS"] {
        assert_eq!(named(name), "v1 pods", "{name}");
    }
    assert_eq!(named("deployments.apps"), "apps/v1 deployments");
    assert_eq!(named("deployments.v1.apps"), "apps/v1 deployments");
    assert_eq!(named("deploy.app"), "apps/v1 deployments", "a beginning of the group is enough");
    assert_eq!(named("events"), "v1 events", "the first group wins");
    assert_eq!(named("events.events.k8s.io"), "events.k8s.io/v1 events");
    assert_eq!(named("widgets"), "example.test/v2 widgets", "the preferred version");
    assert_eq!(named("widgets.v1.example.test"), "example.test/v1 widgets");
    assert_eq!(named("x"), "error: the server doesn't have a resource type \"x\"\n");
    assert_eq!(named("x.y"), "error: the server doesn't have a resource type \"x\" in group \"y\"\n");
}

#[test]
fn kinds_categories_paths() {
    let mapper = mapper();
    assert_eq!(
        mapper.kind("apps/v1", "Deployment").map(|r| r.path("a", "b")).as_deref(),
        Some("/apis/apps/v1/namespaces/a/deployments/b")
    );
    assert!(mapper.kind("apps/v2", "Deployment").is_none());
    assert_eq!(mapper.category("all")[..2], ["pods", "events"]);
    assert!(mapper.category("none").is_empty());
    assert_eq!(mapper.resource("pods").unwrap().path("", ""), "/api/v1/pods");
}
