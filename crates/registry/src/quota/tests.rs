use std::collections::BTreeSet;

use api::resources::{CONFIGMAPS, DEPLOYMENTS, EVENTS, NODES, PERSISTENTVOLUMECLAIMS, PODS, SERVICES};
use apimachinery::Operation;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Evaluator, used};
use crate::resource_list::{self, ResourceList};

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().expect("a time")
}

fn shown(list: &ResourceList) -> String {
    list.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>().join(" ")
}

fn usage(resource: &'static apimachinery::Resource, object: &Value) -> String {
    shown(&Evaluator::of(resource).expect("it is counted").usage(object, now()))
}

#[test]
fn pods_are_charged_by_what_they_ask_for() {
    let container = |cpu: &str, limit: &str| json!({"name": "c", "resources": {"requests": {"cpu": cpu}, "limits": {"cpu": limit}}});
    let pod = |status: Value, metadata: Value| {
        json!({"metadata": metadata, "status": status, "spec": {
            "containers": [container("100m", "1"), container("200m", "1")], "initContainers": [container("1", "2")],
            "overhead": {"cpu": "10m"},
        }})
    };
    let running = "count/pods=1 cpu=1010m limits.cpu=2010m pods=1 requests.cpu=1010m";
    assert_eq!(usage(PODS, &pod(json!({"phase": "Running"}), json!({}))), running);
    assert_eq!(usage(PODS, &pod(json!({"phase": "Succeeded"}), json!({}))), "count/pods=1");
    let deleted = |at: &str| json!({"deletionTimestamp": at, "deletionGracePeriodSeconds": 30});
    assert_eq!(usage(PODS, &pod(json!({}), deleted("2026-01-01T11:59:45Z"))), running);
    assert_eq!(usage(PODS, &pod(json!({}), deleted("2026-01-01T11:59:15Z"))), "count/pods=1");
}

#[test]
fn extended_resources_and_huge_pages_count_as_requests() {
    let pod = json!({"spec": {"containers": [{"name": "c", "resources": {
        "requests": {"example.com/dongle": "2", "hugepages-2Mi": "4Mi"}, "limits": {"example.com/dongle": "2"},
    }}]}});
    assert_eq!(
        usage(PODS, &pod),
        "count/pods=1 hugepages-2Mi=4Mi pods=1 requests.example.com/dongle=2 requests.hugepages-2Mi=4Mi"
    );
    let counts = |name: &str| Evaluator::Pods.counts(name);
    assert!(counts("requests.example.com/dongle") && counts("hugepages-2Mi") && counts("limits.memory"));
    assert!(!counts("example.com/dongle") && !counts("services") && !counts("requests.storage"));
}

#[test]
fn a_resize_on_its_way_counts_by_the_larger_side() {
    let mut pod = json!({
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
        "status": {"containerStatuses": [{"name": "c", "allocatedResources": {"cpu": "3"}, "resources": {"requests": {"cpu": "2"}}}]},
    });
    assert!(usage(PODS, &pod).contains(" cpu=3 "));
    pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("9");
    assert!(usage(PODS, &pod).contains(" cpu=9 "));
    pod["status"]["conditions"] = json!([{"type": "PodResizePending", "reason": "Infeasible"}]);
    assert!(usage(PODS, &pod).contains(" cpu=3 "));
}

#[test]
fn services_count_the_node_ports_that_they_mean_to_have() {
    let service = |spec: Value| usage(SERVICES, &json!({"spec": spec}));
    let ports = json!([{"port": 1}, {"port": 2, "nodePort": 30002}]);
    let text = |balancers: i64, node: i64| {
        format!("count/services=1 services=1 services.loadbalancers={balancers} services.nodeports={node}")
    };
    assert_eq!(service(json!({"ports": ports})), text(0, 0));
    assert_eq!(service(json!({"type": "NodePort", "ports": ports})), text(0, 2));
    assert_eq!(service(json!({"type": "LoadBalancer", "ports": ports})), text(1, 2));
    let without = json!({"type": "LoadBalancer", "ports": ports, "allocateLoadBalancerNodePorts": false});
    assert_eq!(service(without), text(1, 1));
}

#[test]
fn claims_count_by_class_too() {
    let claim = json!({"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}}});
    assert_eq!(
        usage(PERSISTENTVOLUMECLAIMS, &claim),
        "count/persistentvolumeclaims=1 gold.storageclass.storage.k8s.io/persistentvolumeclaims=1 \
         gold.storageclass.storage.k8s.io/requests.storage=1Gi persistentvolumeclaims=1 requests.storage=1Gi"
    );
    assert!(Evaluator::Claims.counts("gold.storageclass.storage.k8s.io/requests.storage"));
    assert!(!Evaluator::Claims.counts("gold.storageclass.storage.k8s.io/pods"));
}

#[test]
fn other_kinds_are_only_counted() {
    assert_eq!(usage(CONFIGMAPS, &json!({})), "configmaps=1 count/configmaps=1");
    assert_eq!(usage(DEPLOYMENTS, &json!({})), "count/deployments.apps=1");
    assert_eq!([Evaluator::of(EVENTS), Evaluator::of(NODES)], [None, None]);
}

#[test]
fn what_a_quota_counts_must_be_stated() {
    let names: BTreeSet<String> =
        ["limits.cpu", "memory", "pods", "requests.ephemeral-storage"].map(str::to_owned).into();
    let pod = json!({"spec": {
        "containers": [{"name": "b"}, {"name": "a", "resources": {"requests": {"memory": "1Mi"}}}],
        "initContainers": [{"name": "i", "resources": {"limits": {"cpu": "1"}}}],
    }});
    assert_eq!(
        Evaluator::Pods.missing(&names, &pod).as_deref(),
        Some("must specify limits.cpu for: a,b; memory for: b,i")
    );
    let whole = json!({"spec": {"containers": [{"name": "b"}], "resources": {"requests": {"cpu": "1"}}}});
    assert_eq!(Evaluator::Pods.missing(&names, &whole), None);
}

#[test]
fn scopes_narrow() {
    let scoped = |spec: Value, pod: &Value| Evaluator::Pods.in_scope(&json!({"spec": spec}), pod);
    let plain = json!({"spec": {"containers": [{"name": "c"}]}});
    let other = json!({"spec": {
        "activeDeadlineSeconds": 5, "priorityClassName": "high",
        "containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}],
        "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": ["x"]}]}},
    }});
    for (scope, holds_plain) in [
        ("Terminating", false),
        ("NotTerminating", true),
        ("BestEffort", true),
        ("NotBestEffort", false),
        ("PriorityClass", false),
        ("CrossNamespacePodAffinity", false),
    ] {
        let quota = json!({"scopes": [scope]});
        assert_eq!([scoped(quota.clone(), &plain), scoped(quota, &other)], [holds_plain, !holds_plain], "{scope}");
    }
    let class = |operator: &str| {
        json!({"scopeSelector": {"matchExpressions": [
            {"scopeName": "PriorityClass", "operator": operator, "values": ["high"]},
        ]}})
    };
    assert!(scoped(class("In"), &other) && !scoped(class("In"), &plain));
    assert!(!scoped(class("NotIn"), &other) && scoped(class("NotIn"), &plain));
    assert!(!Evaluator::Services.in_scope(&json!({"spec": {"scopes": ["BestEffort"]}}), &json!({})));
}

#[test]
fn only_some_writes_charge() {
    let (plain, ends) = (json!({"spec": {}}), json!({"spec": {"activeDeadlineSeconds": 1}}));
    let pods =
        |operation, sub: &str, new: &Value, old: Option<&Value>| Evaluator::Pods.charges(operation, sub, new, old);
    assert!(pods(Operation::Create, "", &plain, None));
    assert!(pods(Operation::Update, "", &ends, Some(&plain)));
    assert!(!pods(Operation::Update, "", &plain, Some(&plain)));
    assert!(pods(Operation::Update, "resize", &plain, Some(&plain)));
    assert!(!pods(Operation::Update, "status", &plain, Some(&plain)));
    assert!(Evaluator::Services.charges(Operation::Update, "", &plain, Some(&plain)));
    assert!(!Evaluator::Count(CONFIGMAPS).charges(Operation::Update, "", &plain, Some(&plain)));
}

#[test]
fn a_quota_is_used_by_what_it_counts_and_nothing_else() {
    let quota = json!({"spec": {"hard": {"pods": "5", "configmaps": "2", "cpu": "4", "example.com/unknown": "1"}}});
    let object = |value: Value| std::sync::Arc::new(apimachinery::Object::from_value(&value).expect("an object"));
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1500m"}}}]}});
    let kinds = [Evaluator::Pods, Evaluator::Services, Evaluator::Count(CONFIGMAPS)];
    let found = used(
        &quota,
        &kinds,
        |kind| match kind {
            Evaluator::Pods => vec![object(pod.clone()), object(pod.clone())],
            Evaluator::Services => panic!("the quota counts no Services"),
            _ => vec![],
        },
        now(),
    );
    assert_eq!(resource_list::write(&found), json!({"configmaps": "0", "cpu": "3", "pods": "2"}));
}
