use serde::Deserialize as _;
use serde_json::json;

use super::*;

fn service(group: &str, version: &str, priorities: [i64; 2], remote: bool) -> ApiService {
    let service = if remote { json!({"name": "api", "namespace": "default", "port": 443}) } else { Value::Null };
    let value = json!({
        "metadata": {"name": format!("{version}.{group}")},
        "spec": {
            "group": group, "version": version, "service": service,
            "groupPriorityMinimum": priorities[0], "versionPriority": priorities[1],
        },
    });
    ApiService::deserialize(&value).expect("it is an APIService")
}

fn groups(services: &[ApiService]) -> Vec<GroupVersions> {
    group_versions(&CustomResources::default(), services.iter())
}

#[test]
fn built_in_groups_are_in_upstreams_order() {
    let all = groups(&[]);
    let names: Vec<&str> = all.iter().map(|group| group.group.as_str()).collect();
    assert_eq!(names[..4], ["apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io"]);
    assert_eq!(names.last(), Some(&"storagemigration.k8s.io"));
    let mut order: Vec<&str> = Vec::new();
    for (group, _) in api::GROUP_VERSIONS.iter().filter(|(group, _)| !group.is_empty()) {
        if !order.contains(group) {
            order.push(group);
        }
    }
    assert_eq!(names, order);
    let scaling = all.iter().find(|group| group.group == "autoscaling").expect("it is served");
    assert_eq!(scaling.versions, ["v2", "v1"]);
}

#[test]
fn other_servers_groups_are_where_their_priorities_put_them() {
    let all = groups(&[
        service("low.example.com", "v1", [100, 10], true),
        service("high.example.com", "v1", [19000, 10], true),
        service("high.example.com", "v2alpha1", [19000, 20], true),
        service("high.example.com", "v2", [19000, 10], true),
        service("a.example.com", "v1", [100, 10], true),
        service("local.example.com", "v1", [100, 10], false),
        service("apiregistration.k8s.io", "v1", [1, 10], true),
    ]);
    let names: Vec<&str> = all.iter().map(|group| group.group.as_str()).collect();
    assert_eq!(names[..3], ["apiregistration.k8s.io", "high.example.com", "apps"]);
    assert_eq!(names[names.len() - 2..], ["a.example.com", "low.example.com"]);
    assert_eq!(all[1].versions, ["v2alpha1", "v2", "v1"]);
    assert!(!names.contains(&"local.example.com"), "what nobody serves is not told");
}

#[test]
fn versions_are_preferred_as_upstream_does() {
    let mut versions = ["v1alpha1", "foo10", "v2", "v10", "v1", "v2beta1", "v11alpha2", "v3beta1", "foo1", "v11beta2"];
    versions.sort_by_key(|version| Reverse(rank(version)));
    let wanted = ["v10", "v2", "v1", "v11beta2", "v3beta1", "v2beta1", "v11alpha2", "v1alpha1", "foo1", "foo10"];
    assert_eq!(versions, wanted);
}
