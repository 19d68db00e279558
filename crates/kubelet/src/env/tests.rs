use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use serde_json::{Value, json};

use crate::volumes::TrustBundles;

use super::{PodFacts, Sources, environment, expand, service_variables};

struct None_;

impl Sources for None_ {
    fn config_map(&self, name: &str) -> Option<Arc<ConfigMap>> {
        (name == "conf").then(|| Arc::new(serde_json::from_value(json!({"data": {"a": "1"}})).unwrap()))
    }

    fn secret(&self, _: &str) -> Option<Arc<Secret>> {
        None
    }

    fn trust(&self) -> &TrustBundles {
        unreachable!("the environment has no trust anchors")
    }
}

fn env_of(container: Value) -> Result<BTreeMap<String, String>, String> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "dev", "labels": {"x": "y"}}, "spec": {"containers": [container]},
    }))
    .unwrap();
    let container = pod.spec.as_ref().unwrap().containers[0].clone();
    let facts = PodFacts { pod_ip: "10.0.0.1".into(), ..PodFacts::default() };
    let services = BTreeMap::from([("KUBERNETES_SERVICE_HOST".to_owned(), "10.96.0.1".to_owned())]);
    Ok(environment(&pod, &container, services, &facts, &None_)?.into_iter().map(|kv| (kv.key, kv.value)).collect())
}

#[test]
fn references_expand_and_dollars_escape() {
    let known = BTreeMap::from([("A".to_owned(), "x".to_owned())]);
    for (text, expected) in
        [("$(A)", "x"), ("$$(A)", "$(A)"), ("$(B)", "$(B)"), ("$A", "$A"), ("$(A", "$(A"), ("a$", "a$")]
    {
        assert_eq!(expand(text, &known), expected, "{text}");
    }
}

#[test]
fn variables_come_from_everywhere() {
    let env = env_of(
        json!({"name": "c", "image": "i", "envFrom": [{"prefix": "P_", "configMapRef": {"name": "conf"}}], "env": [
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "URL", "value": "http://$(IP)/$(P_a)"},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['x']"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
        {"name": "GONE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": true}}}],
        "resources": {"limits": {"cpu": "250m"}}}),
    )
    .unwrap();
    assert_eq!(env["URL"], "http://10.0.0.1/1");
    assert_eq!((env["LABEL"].as_str(), env["CPU"].as_str()), ("y", "250"));
    assert_eq!(env["KUBERNETES_SERVICE_HOST"], "10.96.0.1");
    assert!(!env.contains_key("GONE"));
}

#[test]
fn what_is_missing_is_named() {
    let missing = json!({"name": "c", "image": "i", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]});
    assert_eq!(env_of(missing).unwrap_err(), "secret \"s\" not found");
}

#[test]
fn services_tell_where_they_are() {
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": "redis-a", "namespace": "dev"},
        "spec": {"clusterIP": "10.96.0.7", "ports": [{"name": "db", "port": 6379}]},
    }))
    .unwrap();
    let all = [Arc::new(service)];
    let variables = service_variables(&all, "dev", true);
    assert_eq!(variables["REDIS_A_SERVICE_HOST"], "10.96.0.7");
    assert_eq!(variables["REDIS_A_SERVICE_PORT_DB"], "6379");
    assert_eq!(variables["REDIS_A_PORT_6379_TCP_ADDR"], "10.96.0.7");
    assert!(service_variables(&all, "other", true).is_empty());
    assert!(service_variables(&all, "dev", false).is_empty());
}
