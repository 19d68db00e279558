use std::sync::Arc;

use serde_json::json;

use super::*;

#[test]
fn items_of_a_list_get_the_lists_kind() {
    let resource =
        ResourceType { version: "v1".into(), kind: "Pod".into(), namespaced: true, ..ResourceType::default() };
    let list = json!({"kind": "PodList", "apiVersion": "v1", "items": [
        {"metadata": {"name": "a", "namespace": "n"}}, {"metadata": {"name": "b", "namespace": "m"}, "kind": "Other"}]});
    let info = Info {
        resource: Arc::new(resource),
        namespace: String::new(),
        name: String::new(),
        source: String::new(),
        object: list,
    };
    let items = flatten(info);
    let shown: Vec<String> = items
        .iter()
        .map(|i| format!("{}/{} {} {}", i.namespace, i.name, i.object["kind"], i.object["apiVersion"]))
        .collect();
    assert_eq!(shown, ["n/a \"Pod\" \"v1\"", "m/b \"Other\" \"v1\""]);
}
