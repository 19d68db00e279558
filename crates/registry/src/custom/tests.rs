use apimachinery::{Object, Strategy, Subresource, WriteContext};
use component_base::Random;
use serde_json::{Value, json};

use super::{CustomType, types_of, watched_resource};

fn definition() -> Value {
    json!({
        "metadata": {"name": "boats.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "boats", "singular": "boat", "kind": "Boat", "listKind": "BoatList", "shortNames": ["bt"]},
            "versions": [
                {"name": "v1", "served": true, "storage": false, "deprecated": true, "schema": {"openAPIV3Schema": {"type": "object"}}},
                {"name": "v2", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                        "spec": {"type": "object", "properties": {"masts": {"type": "integer"}, "sail": {"type": "string", "default": "white"}}},
                        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    }}},
                    "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.masts", "statusReplicasPath": ".status.masts"}},
                    "selectableFields": [{"jsonPath": ".spec.sail"}],
                    "additionalPrinterColumns": [
                        {"name": "Masts", "type": "integer", "jsonPath": ".spec.masts"},
                        {"name": "Afloat", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Afloat\")].status"},
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    ]},
                {"name": "v3", "served": false, "storage": false, "schema": {"openAPIV3Schema": {"type": "object"}}},
            ],
        },
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    })
}

fn v2() -> CustomType {
    types_of(&definition()).remove(1)
}

#[test]
fn a_definition_serves_its_served_versions_once_it_is_established() {
    let types = types_of(&definition());
    let versions: Vec<_> = types.iter().map(|ty| (ty.resource.version, ty.storage_version.as_str())).collect();
    assert_eq!(versions, [("v1", "example.com/v2"), ("v2", "example.com/v2")]);
    assert_eq!(types[0].deprecation_warning.as_deref(), Some("example.com/v1 Boat is deprecated"));
    assert_eq!(watched_resource(&definition()).map(|r| r.version), Some("v2"));
    assert!(std::ptr::eq(types[1].resource, v2().resource), "a resource is made once");
    let mut young = definition();
    young["status"] = json!({});
    assert!(types_of(&young).is_empty());
}

#[test]
fn writes_keep_spec_and_status_apart_and_count_generations() {
    let random = Random::from_seed(1);
    let context = |subresource| WriteContext {
        now: "2026-06-01T12:00:00Z".parse().expect("a time"),
        random: &random,
        subresource,
        user: "",
    };
    let ty = v2();
    let mut old = json!({"metadata": {"name": "a"}, "spec": {"masts": 1}, "status": {"masts": 9}});
    ty.prepare_for_create(&mut old, &context(Subresource::None));
    ty.default(&mut old);
    assert_eq!(old, json!({"metadata": {"name": "a", "generation": 1}, "spec": {"masts": 1, "sail": "white"}}));
    let mut new = old.clone();
    new["spec"]["masts"] = json!(2);
    new["status"] = json!({"masts": 1});
    ty.prepare_for_update(&mut new, &old, &context(Subresource::None));
    assert_eq!((&new["metadata"]["generation"], &new["status"]), (&json!(2), &Value::Null));
    let mut status = new.clone();
    status["spec"]["masts"] = json!(3);
    status["status"] = json!({"masts": 1});
    ty.prepare_for_update(&mut status, &new, &context(Subresource::Status));
    assert_eq!(
        (&status["spec"], &status["status"], &status["metadata"]),
        (&new["spec"], &json!({"masts": 1}), &new["metadata"])
    );
}

#[test]
fn rows_and_selectors_read_the_declared_paths() {
    let ty = v2();
    let object = json!({
        "apiVersion": "example.com/v2", "kind": "Boat",
        "metadata": {"name": "ark", "creationTimestamp": "2026-06-01T11:00:00Z"}, "spec": {"masts": 2, "sail": "red"},
        "status": {"conditions": [{"type": "Built", "status": "x"}, {"type": "Afloat", "status": "True"}]},
    });
    let row = ty.row(&Object::from_value(&object).expect("an object"), "2026-06-01T12:00:00Z".parse().expect("a time"));
    assert_eq!(row, Some(vec![json!("ark"), json!(2), json!("True"), json!("60m")]));
    assert_eq!(ty.columns().iter().map(|c| c.name.as_ref()).collect::<Vec<_>>(), ["Name", "Masts", "Afloat", "Age"]);
    assert!(ty.selects_by("spec.sail") && !ty.selects_by("spec.masts"));
    assert_eq!(ty.selected_value(&object, "spec.sail"), "red");
}

#[test]
fn what_was_stored_before_is_served_by_the_schema_of_now() {
    let mut object =
        json!({"apiVersion": "example.com/v1", "kind": "Boat", "metadata": {"name": "a"}, "spec": {"oars": 2}});
    v2().serve(&mut object);
    assert_eq!(
        object,
        json!({"apiVersion": "example.com/v2", "kind": "Boat", "metadata": {"name": "a"}, "spec": {"sail": "white"}})
    );
}
