use std::sync::Arc;

use super::{Discovery, rank};
use crate::catalog::CustomResources;

fn built_in() -> Discovery {
    Discovery(Arc::new(CustomResources::default()))
}

#[test]
fn pods_are_discovered_with_their_subresources() {
    let list = built_in().resource_list("", "v1").unwrap();
    let names: Vec<&str> = list["resources"].as_array().unwrap().iter().filter_map(|r| r["name"].as_str()).collect();
    assert!(names.contains(&"pods") && names.contains(&"pods/log") && names.contains(&"namespaces/finalize"));
    assert!(built_in().resource_list("apps", "v2").is_none());
}

#[test]
fn both_forms_name_the_same_groups() {
    let old: Vec<String> = built_in().group_list()["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["name"].as_str().unwrap().to_owned())
        .collect();
    let new: Vec<String> = built_in().aggregated(false)["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(old, new);
}

#[test]
fn versions_are_preferred_as_upstream_does() {
    let mut versions = ["v1alpha1", "foo10", "v2", "v10", "v1", "v2beta1", "v11alpha2", "v3beta1", "foo1", "v11beta2"];
    versions.sort_by_key(|version| std::cmp::Reverse(rank(version)));
    let wanted = ["v10", "v2", "v1", "v11beta2", "v3beta1", "v2beta1", "v11alpha2", "v1alpha1", "foo1", "foo10"];
    assert_eq!(versions, wanted);
}
