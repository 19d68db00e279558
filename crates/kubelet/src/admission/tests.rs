use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use super::{Share, Taken, check, dotted};

fn node() -> Node {
    serde_json::from_value(json!({
        "metadata": {"name": "node-1", "labels": {"disk": "ssd"}},
        "spec": {"taints": [{"key": "gone", "effect": "NoExecute"}, {"key": "soft", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "4", "memory": "1Gi", "pods": "3", "example.org/gpu": "1"}},
    }))
    .expect("a node")
}

/// A Pod that bears the node's taint, with `spec` in it.
fn pod(spec: &Value) -> (Pod, Value) {
    let mut value = json!({"metadata": {"name": "p"}, "spec": {
        "containers": [{"name": "c"}], "tolerations": [{"key": "gone", "operator": "Exists"}],
    }});
    for (key, field) in spec.as_object().into_iter().flatten() {
        value["spec"][key] = field.clone();
    }
    (serde_json::from_value(value.clone()).expect("a Pod"), value)
}

fn asks(requests: Value) -> Value {
    json!({"containers": [{"name": "c", "resources": {"requests": requests}}]})
}

fn taken(specs: &[Value]) -> Taken {
    let mut taken = Taken::default();
    for spec in specs {
        let (pod, value) = pod(spec);
        taken.add(&Share::asked(&pod, &value));
    }
    taken
}

fn port(number: u16, protocol: &str, address: &str) -> Value {
    let port = json!({"containerPort": 80, "hostPort": number, "protocol": protocol, "hostIP": address});
    json!({"containers": [{"name": "c", "ports": [port]}]})
}

#[test]
fn the_node_says_why_it_refuses_a_pod() {
    let others = [asks(json!({"cpu": "3", "memory": "512Mi"})), port(80, "TCP", "")];
    let sysctl = |name: &str| json!({"sysctls": [{"name": name, "value": "1"}]});
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "disk", "operator": "NotIn", "values": ["ssd"]}]},
    ]}}});
    let cases = [
        (json!({}), ""),
        (asks(json!({"cpu": "1", "memory": "512Mi", "example.org/gpu": "1", "example.org/none": "5"})), ""),
        (
            asks(json!({"cpu": "1001m"})),
            "OutOfcpu: Node didn't have enough resource: cpu, requested: 1001, used: 3000, capacity: 4000",
        ),
        (
            asks(json!({"memory": "513Mi", "example.org/gpu": "2"})),
            "OutOfmemory: Node didn't have enough resource: memory, requested: 537919488, used: 536870912, \
             capacity: 1073741824",
        ),
        (
            asks(json!({"example.org/gpu": "2"})),
            "OutOfexample.org/gpu: Node didn't have enough resource: example.org/gpu, requested: 2, used: 0, capacity: 1",
        ),
        (
            json!({"nodeSelector": {"disk": "hdd"}}),
            "NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
        (
            json!({"affinity": affinity}),
            "NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
        (
            port(80, "TCP", "192.0.2.1"),
            "NodePorts: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
        ),
        (port(80, "UDP", ""), ""),
        (port(81, "TCP", ""), ""),
        (
            json!({"tolerations": []}),
            "TaintToleration: Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate",
        ),
        (
            json!({"os": {"name": "windows"}}),
            "PodOSNotSupported: Failed to admit pod as the OS field doesn't match node OS",
        ),
        (json!({"securityContext": sysctl("net/ipv4/tcp_syncookies")}), ""),
        (
            json!({"securityContext": sysctl("kernel.msgmax")}),
            "SysctlForbidden: forbidden sysctl: \"kernel.msgmax\" not allowlisted",
        ),
        (
            json!({"securityContext": sysctl("net.ipv4.tcp_rmem"), "hostNetwork": true}),
            "SysctlForbidden: forbidden sysctl: \"net.ipv4.tcp_rmem\" not allowed with host Net enabled",
        ),
    ];
    for (spec, expected) in cases {
        let (pod, value) = pod(&spec);
        let verdict = check(&pod, &Share::asked(&pod, &value), &node(), &taken(&others));
        let said = verdict.err().map(|refusal| format!("{}: {}", refusal.reason, refusal.message));
        assert_eq!(said.unwrap_or_default(), expected, "{spec}");
    }
}

#[test]
fn a_node_takes_as_many_pods_as_it_says() {
    let (pod, value) = pod(&json!({}));
    let check = |others: &[Value]| check(&pod, &Share::asked(&pod, &value), &node(), &taken(others));
    assert_eq!(check(&[json!({}), json!({})]), Ok(()));
    let refusal = check(&[json!({}), json!({}), json!({})]).expect_err("the node is full");
    assert_eq!(refusal.reason, "OutOfpods");
    assert_eq!(refusal.message, "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3");
}

#[test]
fn a_pod_that_runs_has_what_it_was_granted() {
    let (pod, mut value) = pod(&asks(json!({"cpu": "2", "memory": "1Gi"})));
    value["status"] = json!({"containerStatuses": [{"name": "c", "allocatedResources": {"cpu": "1"}}]});
    let granted = Share::granted(&pod, value);
    assert_eq!(registry::resource_list::write(&granted.requests), json!({"cpu": "1"}));
}

#[test]
fn names_of_sysctls_have_dots() {
    for (name, same) in [
        ("net.ipv4.conf.eno2/100.rp_filter", "net.ipv4.conf.eno2/100.rp_filter"),
        ("net/ipv4/conf/eno2.100/rp_filter", "net.ipv4.conf.eno2/100.rp_filter"),
        ("kernel", "kernel"),
    ] {
        assert_eq!(dotted(name), same);
    }
}
