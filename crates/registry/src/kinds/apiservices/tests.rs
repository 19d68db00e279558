use component_base::Random;

use super::*;
use crate::strategy;
use apimachinery::WriteContext;

fn made(spec: Value) -> Value {
    let strategy = strategy(api::resources::APISERVICES);
    let mut object = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.metrics.example.com"},
        "spec": spec,
    });
    let random = Random::from_seed(1);
    let now = "2026-01-02T03:04:05Z".parse().expect("a time");
    strategy.default(&mut object);
    let context = WriteContext { now, random: &random, subresource: Subresource::None, user: "" };
    strategy.prepare_for_create(&mut object, &context);
    object
}

fn spec(change: impl Fn(&mut Value)) -> Value {
    let mut spec = json!({
        "group": "metrics.example.com", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
        "service": {"namespace": "kube-system", "name": "metrics"},
    });
    change(&mut spec);
    spec
}

fn faults(change: impl Fn(&mut Value)) -> Vec<String> {
    let strategy = strategy(api::resources::APISERVICES);
    strategy.validate(&made(spec(change))).iter().map(ToString::to_string).collect()
}

#[test]
fn a_service_has_a_port_and_what_is_local_is_available() {
    let remote = made(spec(|_| {}));
    assert_eq!((remote["spec"]["service"]["port"].as_u64(), &remote["status"]), (Some(443), &json!({})));
    let local = made(spec(|spec| spec["service"] = Value::Null));
    let wanted = json!([{
        "type": "Available", "status": "True", "reason": "Local", "message": "Local APIServices are always available",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }]);
    assert_eq!(local["status"]["conditions"], wanted);
}

#[test]
fn faults_are_told_in_upstreams_words() {
    type Change = fn(&mut Value);
    let cases: [(Change, &[&str]); 10] = [
        (|_| {}, &[]),
        (
            |spec| spec["version"] = json!("v1"),
            &[
                "metadata.name: Invalid value: \"v1beta1.metrics.example.com\": must be `spec.version+\".\"+spec.group`: \
               \"v1.metrics.example.com\"",
            ],
        ),
        (
            |spec| spec["groupPriorityMinimum"] = json!(20001),
            &["spec.groupPriorityMinimum: Invalid value: 20001: must be positive and less than 20000"],
        ),
        (
            |spec| spec["versionPriority"] = json!(0),
            &["spec.versionPriority: Invalid value: 0: must be positive and less than 1000"],
        ),
        (|spec| spec["service"]["name"] = json!(""), &["spec.service.name: Required value"]),
        (|spec| spec["service"]["namespace"] = json!(""), &["spec.service.namespace: Required value"]),
        (
            |spec| spec["service"]["port"] = json!(65536),
            &["spec.service.port: Invalid value: 65536: port is not valid: must be between 1 and 65535, inclusive"],
        ),
        (
            |spec| {
                spec["insecureSkipTLSVerify"] = json!(true);
                spec["caBundle"] = json!("YWJj");
            },
            &["spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present"],
        ),
        (
            |spec| {
                spec["service"] = Value::Null;
                spec["caBundle"] = json!("YWJj");
            },
            &["spec.caBundle: Invalid value: \"3 bytes\": local APIServices may not have a caBundle"],
        ),
        (
            |spec| {
                spec["service"] = Value::Null;
                spec["insecureSkipTLSVerify"] = json!(true);
            },
            &["spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify"],
        ),
    ];
    for (change, wanted) in cases {
        assert_eq!(faults(change), wanted);
    }
}
