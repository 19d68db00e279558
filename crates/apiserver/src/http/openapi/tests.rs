use registry::CustomType;
use registry::custom::types_of;
use serde_json::{Value, json};

use super::{Version, definition, operations, shared_schemas};

fn boat(schema: &Value) -> CustomType {
    let definition = json!({
        "spec": {
            "group": "sea.example.com", "scope": "Namespaced", "names": {"plural": "boats", "singular": "boat", "kind": "Boat"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": schema}}],
        },
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    });
    types_of(&definition).remove(0)
}

#[test]
fn a_kind_gets_a_schema_with_its_metadata_in_both_versions() {
    let schema = json!({"type": "object", "description": "A boat.", "required": ["spec"], "properties": {"spec": {
        "type": "object", "properties": {"any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
        "anyOf": [{"required": ["any"]}],
    }}});
    let ty = boat(&schema);
    let three = &definition::of_type(&ty, Version::Three)["com.example.sea.v1.Boat"];
    assert_eq!(three["properties"]["spec"], schema["properties"]["spec"]);
    assert_eq!(three["description"], "A boat.");
    assert_eq!(
        three["x-kubernetes-group-version-kind"],
        json!([{"group": "sea.example.com", "kind": "Boat", "version": "v1"}])
    );
    let two = definition::of_type(&ty, Version::Two);
    let spec = &two["com.example.sea.v1.Boat"]["properties"]["spec"];
    assert_eq!(*spec, json!({"type": "object", "properties": {"any": {"x-kubernetes-preserve-unknown-fields": true}}}));
    assert!(two.contains_key("com.example.sea.v1.BoatList"));
    let open = boat(&json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    let open = &definition::of_type(&open, Version::Two)["com.example.sea.v1.Boat"];
    assert!(open["properties"].is_null(), "a schema with fields would forbid all others");
}

#[test]
fn operations_say_what_kubectl_looks_for() {
    let ty = boat(&json!({"type": "object"}));
    let paths = operations::of_type(&ty, Version::Three);
    let names: Vec<&str> = paths.keys().map(String::as_str).collect();
    let root = "/apis/sea.example.com/v1";
    let wanted = [
        "/boats",
        "/namespaces/{namespace}/boats",
        "/namespaces/{namespace}/boats/{name}",
        "/namespaces/{namespace}/boats/{name}/status",
    ];
    assert_eq!(names, wanted.map(|path| format!("{root}{path}")));
    let patch = &paths[&format!("{root}/namespaces/{{namespace}}/boats/{{name}}")]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Boat");
    let parameters = patch["parameters"].as_array().expect("a list");
    assert!(parameters.iter().any(|p| p["name"] == "fieldValidation" && p["in"] == "query"));
}

#[test]
fn what_the_schemas_refer_to_is_there() {
    let shared = shared_schemas().expect("the built-in document is readable");
    for name in ["ObjectMeta", "ListMeta", "Status", "DeleteOptions", "Patch"] {
        assert!(shared.contains_key(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{name}")), "{name}");
    }
    assert!(shared.contains_key("io.k8s.api.autoscaling.v1.Scale"));
}
