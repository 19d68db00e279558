use serde_json::{Value, json};

use super::Resources;

/// What a Pod needs, and by what it is scored: thousandths of a CPU and MiB.
fn of(pod: &Value) -> String {
    let (needs, scored) = Resources::of_pod(pod);
    let text = |amounts: &Resources| format!("{}m {}Mi", amounts.milli_cpu, amounts.memory >> 20);
    format!("{} / {}", text(&needs), text(&scored))
}

fn container(name: &str, cpu: &str) -> Value {
    json!({"name": name, "resources": {"requests": {"cpu": cpu, "memory": "100Mi"}}})
}

fn sidecar(name: &str, cpu: &str) -> Value {
    let mut sidecar = container(name, cpu);
    sidecar["restartPolicy"] = json!("Always");
    sidecar
}

#[test]
fn containers_sidecars_and_overhead_count_together_or_the_largest_init_container() {
    let spec = |init: Value| {
        json!({"spec": {"containers": [container("a", "100m"), container("b", "200m")], "initContainers": init,
            "overhead": {"cpu": "10m"}}})
    };
    for (init, expected) in [
        (json!([]), "310m 200Mi / 310m 200Mi"),
        (json!([sidecar("s", "50m")]), "360m 300Mi / 360m 300Mi"),
        (json!([container("i", "1")]), "1010m 200Mi / 1010m 200Mi"),
        (json!([sidecar("s", "50m"), container("i", "1")]), "1060m 300Mi / 1060m 300Mi"),
        (json!([container("i", "1"), sidecar("s", "50m")]), "1010m 300Mi / 1010m 300Mi"),
    ] {
        assert_eq!(of(&spec(init.clone())), expected, "{init}");
    }
}

#[test]
fn a_container_that_says_nothing_is_scored_as_if_it_did() {
    let one = json!({"name": "c"});
    assert_eq!(of(&json!({"spec": {"containers": [one]}})), "0m 0Mi / 100m 200Mi");
    let zero = json!({"name": "c", "resources": {"requests": {"cpu": "0"}}});
    assert_eq!(of(&json!({"spec": {"containers": [zero, one]}})), "0m 0Mi / 100m 400Mi");
}

#[test]
fn the_pod_as_a_whole_counts_before_its_containers() {
    let spec = json!({"containers": [container("c", "2"), {"name": "d"}], "resources": {"requests": {"cpu": "3"}}});
    assert_eq!(of(&json!({"spec": spec})), "3000m 100Mi / 3000m 100Mi");
    let spec = json!({"containers": [{"name": "c"}], "resources": {"requests": {"cpu": "3"}}});
    assert_eq!(of(&json!({"spec": spec})), "3000m 0Mi / 3000m 200Mi");
}

#[test]
fn a_resize_on_its_way_counts_by_the_larger_side() {
    let mut pod = json!({
        "spec": {"containers": [container("c", "1")]},
        "status": {"containerStatuses": [{"name": "c", "allocatedResources": {"cpu": "3", "memory": "100Mi"},
            "resources": {"requests": {"cpu": "2", "memory": "100Mi"}}}]},
    });
    assert_eq!(of(&pod), "3000m 100Mi / 3000m 100Mi");
    pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("9");
    assert_eq!(of(&pod), "9000m 100Mi / 9000m 100Mi");
    pod["status"]["conditions"] = json!([{"type": "PodResizePending", "reason": "Infeasible"}]);
    assert_eq!(of(&pod), "3000m 100Mi / 3000m 100Mi");
    pod["spec"]["resources"] = json!({"requests": {"cpu": "20"}});
    pod["status"]["resources"] = json!({"requests": {"cpu": "4"}});
    pod["status"]["allocatedResources"] = json!({"cpu": "5"});
    assert_eq!(of(&pod), "5000m 0Mi / 5000m 0Mi");
    pod["status"]["conditions"] = json!([]);
    assert_eq!(of(&pod), "20000m 100Mi / 20000m 100Mi");
}

/// Pods made by chance, with what upstream says that they request (`xtask/golden/scheduler`).
#[test]
fn upstream_would_count_the_same() {
    for (number, line) in include_str!("../../golden/requests.jsonl").lines().enumerate() {
        let case: Value = serde_json::from_str(line).expect("a case");
        let (needs, scored) = Resources::of_pod(&case["pod"]);
        let found = json!({
            "cpu": needs.milli_cpu, "memory": needs.memory,
            "other": if needs.other.is_empty() { Value::Null } else { json!(needs.other) },
            "scoredCpu": scored.milli_cpu, "scoredMemory": scored.memory,
        });
        assert_eq!(found, case["asked"], "case {number}");
    }
}
