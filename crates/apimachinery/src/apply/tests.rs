use serde_json::{Value, json};

use super::{ApplyError, FieldSet, Manager, Managers, Operation, Place, apply, compare, fields_of};
use crate::StructuralSchema;

fn schema() -> StructuralSchema {
    StructuralSchema::parse(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "replicas": {"type": "integer"}, "image": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "args": {"type": "array", "items": {"type": "string"}},
        "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {"type": "object", "properties": {
                "port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}, "name": {"type": "string"},
            }}},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "integer"}}},
    }}}}))
}

fn manager(name: &str, operation: Operation) -> Manager {
    Manager {
        name: name.to_owned(),
        operation,
        api_version: "a/v1".to_owned(),
        subresource: String::new(),
        time: None,
        fields: FieldSet::default(),
    }
}

/// Applies configurations one after the other to an object that is not there yet.
fn applied(steps: &[(&str, Value)]) -> Result<(Value, Managers), ApplyError> {
    let schema = schema();
    let place = Place::Structural(&schema);
    let (mut object, mut managers) = (json!({}), Managers::default());
    for (name, spec) in steps {
        let (name, force) = name.strip_suffix('!').map_or((*name, false), |name| (name, true));
        let config = json!({"spec": spec});
        let writer = manager(name, Operation::Apply);
        let made = apply(&place, &object, &managers, &config, writer, &FieldSet::default(), force)?;
        (object, managers) = (made.object, made.managers);
    }
    Ok((object["spec"].clone(), managers))
}

#[test]
fn sets_are_written_and_read_as_fields_v1() {
    let schema = schema();
    let value = json!({"spec": {"replicas": 1, "labels": {"a": "b"}, "tags": ["x"], "args": ["-v"], "ports": [{"port": 80}], "whole": {"a": 1}}});
    let set = fields_of(&Place::Structural(&schema), &value).expect("it fits");
    let wanted = json!({"f:spec": {
        "f:replicas": {}, "f:labels": {"f:a": {}}, "f:tags": {"v:\"x\"": {}}, "f:args": {},
        "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}, "f:whole": {},
    }});
    assert_eq!(set.to_json(), wanted);
    assert_eq!(FieldSet::from_json(&wanted), set);
    assert!(set.paths().contains(&".spec.ports[port=80,protocol=\"TCP\"].port".to_owned()), "{:?}", set.paths());
}

#[test]
fn what_the_schema_does_not_know_is_named() {
    let error = applied(&[("a", json!({"replicas": 1, "odd": 1}))]).expect_err("it is refused");
    assert_eq!(error, ApplyError::Mistyped(vec![".spec.odd: field not declared in schema".to_owned()]));
}

#[test]
fn configurations_merge_and_what_is_no_longer_asked_for_goes() {
    let both = [
        ("a", json!({"image": "x", "labels": {"a": "1"}, "tags": ["a"], "ports": [{"port": 80, "name": "web"}]})),
        ("b", json!({"replicas": 2, "labels": {"b": "2"}, "tags": ["b"], "ports": [{"port": 443}]})),
    ];
    let (spec, _) = applied(&both).expect("they agree");
    assert_eq!(
        spec,
        json!({
            "image": "x", "replicas": 2, "labels": {"a": "1", "b": "2"}, "tags": ["a", "b"],
            "ports": [{"port": 80, "name": "web"}, {"port": 443}],
        })
    );
    let [first, second] = both;
    let (spec, managers) = applied(&[first, second, ("a", json!({"image": "y"}))]).expect("it is a's own");
    assert_eq!(
        spec,
        json!({"image": "y", "replicas": 2, "labels": {"b": "2"}, "tags": ["b"], "ports": [{"port": 443}]})
    );
    assert_eq!(managers.to_json().as_array().map(Vec::len), Some(2));
}

#[test]
fn what_others_own_is_changed_only_by_force() {
    let steps = [("a", json!({"replicas": 1})), ("b", json!({"replicas": 2}))];
    let Err(ApplyError::Conflicts(conflicts)) = applied(&steps) else { panic!("there is a conflict") };
    assert_eq!(
        (conflicts[0].manager.name.as_str(), conflicts[0].fields.paths()),
        ("a", vec![".spec.replicas".to_owned()])
    );
    let [first, (_, second)] = steps;
    let (spec, managers) = applied(&[first.clone(), ("b!", second.clone())]).expect("it is forced");
    assert_eq!(spec, json!({"replicas": 2}));
    assert_eq!(managers.to_json()[0]["manager"], "b");
    // The same value is no conflict: both own it, and it stays when one lets go.
    let shared = [("a", json!({"replicas": 1})), ("b", json!({"replicas": 1})), ("a", json!({"image": "x"}))];
    assert_eq!(applied(&shared).expect("they agree").0, json!({"replicas": 1, "image": "x"}));
}

#[test]
fn other_writers_own_what_they_change() {
    let schema = schema();
    let place = Place::Structural(&schema);
    let (spec, mut managers) = applied(&[("a", json!({"replicas": 1, "labels": {"a": "1"}}))]).expect("it is new");
    let (old, new) = (json!({"spec": spec}), json!({"spec": {"replicas": 3, "args": ["x"]}}));
    managers.update(manager("k", Operation::Update), &compare(&place, &old, &new));
    let owned = managers.to_json();
    let of = |name: &str| {
        owned.as_array().into_iter().flatten().find(|m| m["manager"] == name).map(|m| m["fieldsV1"].clone())
    };
    assert_eq!(of("k"), Some(json!({"f:spec": {"f:replicas": {}, "f:args": {}}})));
    assert_eq!(of("a"), None, "it has lost all that it had");
}

#[test]
fn many_writers_are_put_together() {
    let mut managers = Managers::default();
    let schema = schema();
    let place = Place::Structural(&schema);
    for n in 0..15_u8 {
        let labels = |count: u8| json!({"spec": {"labels": (0..count).map(|n| (n.to_string(), "x")).collect::<std::collections::BTreeMap<_, _>>()}});
        let mut writer = manager(&format!("m{n:02}"), Operation::Update);
        writer.time = jiff::Timestamp::from_second(i64::from(n)).ok();
        managers.update(writer, &compare(&place, &labels(n), &labels(n + 1)));
    }
    let names: Vec<String> = managers
        .to_json()
        .as_array()
        .into_iter()
        .flatten()
        .map(|m| m["manager"].as_str().unwrap_or("").to_owned())
        .collect();
    assert_eq!(names.len(), 10);
    assert_eq!((names[0].as_str(), names[9].as_str()), ("ancient-changes", "m14"));
}
