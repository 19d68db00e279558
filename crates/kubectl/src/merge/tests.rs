use serde_json::Value;

use super::*;

fn yaml(text: &str) -> Value {
    apimachinery::yaml::parse(text).expect("YAML").value
}

/// Deployments as upstream's `strategicpatch` patches them: three documents are what was applied last, what shall be and
/// what is; two are before and after. `xtask/golden/kubectl/merge` makes the patches.
#[test]
fn patches_are_upstreams() {
    let ty = api::schemas().find("io.k8s.api.apps.v1.Deployment").expect("a built-in type");
    let cases = include_str!("../../golden/merge-cases.yaml").split("====\n");
    let mut patches = include_str!("../../golden/merge-patches.txt").lines();
    for case in cases {
        let documents: Vec<Value> = case.split("---\n").map(yaml).collect();
        let patch = match documents.as_slice() {
            [original, modified, current] => three_way(ty, original, modified, current),
            [before, after] => two_way(ty, before, after),
            _ => panic!("a case has two or three documents:\n{case}"),
        };
        let patch = patch.unwrap_or_else(|error| panic!("{error}:\n{case}"));
        assert_eq!(Some(patch.to_string().as_str()), patches.next(), "{case}");
    }
    assert_eq!(patches.next(), None);
}

#[test]
fn custom_resources_merge_as_json() {
    let (original, modified, current) =
        (yaml("{spec: {a: 1, b: [1]}}"), yaml("{spec: {b: [2], e: {}}}"), yaml("{spec: {a: 1, b: [1], x: 1}}"));
    let patch = json_three_way(&original, &modified, &current).expect("a patch");
    assert_eq!(patch.to_string(), r#"{"spec":{"a":null,"b":[2],"e":{}}}"#);
    let renamed = json_three_way(&yaml("{kind: A}"), &yaml("{kind: B}"), &yaml("{kind: A}"));
    assert_eq!(renamed.unwrap_err(), "At least one of apiVersion, kind and name was changed");
}
