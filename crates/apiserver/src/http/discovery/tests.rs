use std::sync::Arc;

use super::Discovery;
use crate::catalog::CustomResources;

fn built_in() -> Discovery {
    Discovery::new(Arc::new(CustomResources::default()), Vec::new())
}

#[test]
fn pods_are_discovered_with_their_subresources() {
    let list = built_in().resource_list("", "v1").unwrap();
    let names: Vec<&str> = list["resources"].as_array().unwrap().iter().filter_map(|r| r["name"].as_str()).collect();
    assert!(names.contains(&"pods") && names.contains(&"pods/log") && names.contains(&"namespaces/finalize"));
    assert!(built_in().resource_list("apps", "v2").is_none());
}
