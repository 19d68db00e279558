use serde_json::{Value, json};

use super::difference::differences;
use super::kind_and_name;

#[track_caller]
fn check(before: Value, now: Value, text: &str) {
    assert_eq!(differences(&before, &now), text);
}

#[test]
fn a_change_is_told_by_path() {
    check(json!({"spec": {"replicas": 2}}), json!({"spec": {"replicas": 4}}), "spec.replicas: 4");
    check(json!({"a": 1, "b": 2}), json!({"a": 1}), "b: gone");
    check(json!({"a": 1}), json!({"a": 1}), "nothing");
    check(
        json!({"conditions": [{"type": "Ready", "status": "False"}, {"type": "Old"}]}),
        json!({"conditions": [{"type": "Ready", "status": "True"}]}),
        "conditions[Ready].status: \"True\", conditions[Old]: gone",
    );
    check(
        json!({}),
        json!({"conditions": [{"type": "Ready", "status": "False", "reason": "Why"}, {"type": "Up", "status": "True"}]}),
        "conditions[Ready]: False (Why), conditions[Up]: True",
    );
    check(json!({"lastHeartbeatTime": 1}), json!({"lastHeartbeatTime": 2}), "times");
    let long = "x".repeat(100);
    check(json!({}), json!({"a": long}), &format!("a: \"{}…", "x".repeat(59)));
    let many: serde_json::Map<String, Value> = (0..10).map(|n| (format!("k{n}"), json!(n))).collect();
    let text = differences(&json!({}), &Value::Object(many));
    assert!(text.ends_with("k7: 7, and 2 more"), "{text}");
}

#[test]
fn keys_are_read_as_kinds() {
    assert_eq!(kind_and_name("/registry/pods/default/web"), ("Pod", "default/web"));
    assert_eq!(kind_and_name("/registry/services/specs/default/web"), ("Service", "default/web"));
    assert_eq!(kind_and_name("/registry/minions/node-0"), ("Node", "node-0"));
    assert_eq!(kind_and_name("/registry/endpointslices/default/web-x"), ("EndpointSlice", "default/web-x"));
}
