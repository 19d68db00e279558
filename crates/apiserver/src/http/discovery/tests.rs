use super::{aggregated, group_list, resource_list};

#[test]
fn pods_are_discovered_with_their_subresources() {
    let list = resource_list("", "v1").unwrap();
    let names: Vec<&str> = list["resources"].as_array().unwrap().iter().filter_map(|r| r["name"].as_str()).collect();
    assert!(names.contains(&"pods") && names.contains(&"pods/log") && names.contains(&"namespaces/finalize"));
    assert!(resource_list("apps", "v2").is_none());
}

#[test]
fn both_forms_name_the_same_groups() {
    let old: Vec<String> =
        group_list()["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap().to_owned()).collect();
    let new: Vec<String> = aggregated(false)["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(old, new);
}
