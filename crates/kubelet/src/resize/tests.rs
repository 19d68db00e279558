use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerResizePolicy, PodSpec};
use registry::resource_list;
use serde_json::{Value, json};

use super::{Allocations, Step, event_text, lower_memory_limit, pod_requests, same, step, with_allocated};
use crate::actions::{ContainerView, Views};

#[test]
fn the_node_gives_what_it_has_and_tells_when_it_gets_something_back() {
    let node = BTreeMap::from([("cpu".to_owned(), "4".to_owned()), ("memory".to_owned(), "1Gi".to_owned())]);
    let ask = |cpu: &str, memory: &str| resource_list::read(&json!({"cpu": cpu, "memory": memory}));
    let all = Allocations::new();
    all.note("a", ask("3", "512Mi"));
    all.note("b", ask("500m", "128Mi"));
    assert_eq!(all.grant("b", ask("1", "512Mi"), &node), Ok(()));
    assert_eq!(
        all.grant("b", ask("1001m", "512Mi"), &node).unwrap_err(),
        "Node didn't have enough resource: cpu, requested: 1001, used: 3000, capacity: 4000"
    );
    assert_eq!(
        all.grant("b", ask("1", "513Mi"), &node).unwrap_err(),
        "Node didn't have enough resource: memory, requested: 537919488, used: 536870912, capacity: 1073741824"
    );
    let freed = all.freed();
    let count = |freed: &component_base::watch::Receiver<u64>| *freed.borrow();
    assert_eq!(count(&freed), 0);
    assert_eq!(all.grant("a", ask("2", "512Mi"), &node), Ok(()));
    all.release("b");
    all.release("b");
    assert_eq!(count(&freed), 2);
}

#[test]
fn a_container_is_updated_unless_it_wants_to_be_started_anew() {
    let of = |cpu: &str, memory: &str| json!({"requests": {"cpu": cpu}, "limits": {"memory": memory}});
    let policy = |resource: &str| -> ContainerResizePolicy {
        serde_json::from_value(json!({"resourceName": resource, "restartPolicy": "RestartContainer"}))
            .expect("a policy")
    };
    let policies = vec![policy("memory")];
    for (allocated, actuated, plain, with_policy) in [
        (of("1", "1Gi"), of("1000m", "1024Mi"), Step::Keep, Step::Keep),
        (of("2", "1Gi"), of("1", "1Gi"), Step::Update, Step::Update),
        (of("1", "2Gi"), of("1", "1Gi"), Step::Update, Step::Restart),
        (of("1", "2Gi"), json!({"requests": {"cpu": "1"}}), Step::Update, Step::Restart),
    ] {
        assert_eq!(step(None, &allocated, &actuated), plain, "{allocated} {actuated}");
        assert_eq!(step(Some(&policies), &allocated, &actuated), with_policy, "{allocated} {actuated}");
    }
}

#[test]
fn only_limits_that_go_down_are_compared_with_what_is_used() {
    let limit = |memory: &str| json!({"limits": {"memory": memory}});
    assert_eq!(lower_memory_limit(&limit("1Ki"), &limit("2Ki")), Some(1024));
    assert_eq!(lower_memory_limit(&limit("1Ki"), &json!({})), Some(1024));
    assert_eq!(lower_memory_limit(&limit("2Ki"), &limit("1Ki")), None);
    assert_eq!(lower_memory_limit(&json!({}), &limit("1Ki")), None);
}

#[test]
fn a_pod_counts_by_what_it_was_granted() {
    let pod = json!({"spec": {"overhead": {"cpu": "10m"}, "containers": [
        {"name": "a", "resources": {"requests": {"cpu": "5"}}}, {"name": "b", "resources": {"requests": {"cpu": "1"}}},
    ]}});
    let granted = Some(json!({"requests": {"cpu": "2"}}));
    let views: Views = [("a".to_owned(), ContainerView { allocated: granted, ..ContainerView::default() })].into();
    let shown = |pod: &Value| resource_list::write(&pod_requests(pod));
    assert_eq!(shown(&pod), json!({"cpu": "6010m"}));
    assert_eq!(shown(&with_allocated(pod, &views)), json!({"cpu": "3010m"}));
    assert!(same(&json!({"requests": {"cpu": "1"}}), &json!({"requests": {"cpu": "1000m"}, "limits": {}})));
}

#[test]
fn events_say_what_is_asked_for() {
    let spec: PodSpec = serde_json::from_value(json!({"containers": [
        {"name": "c", "resources": {"requests": {"cpu": "1"}}},
    ]}))
    .expect("a spec");
    assert_eq!(
        event_text("Pod resize Deferred", &spec, 2, "no room"),
        "Pod resize Deferred: {\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"1\"}}}],\"generation\":2,\
         \"error\":\"no room\"}"
    );
}
