use serde_json::{Value, json};

use super::StructuralSchema;
use crate::FieldPath;

fn schema() -> Value {
    json!({"type": "object", "properties": {
        "spec": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 9},
            "colour": {"type": "string", "enum": ["red", "blue"], "default": "red"},
            "code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 3},
            "port": {"x-kubernetes-int-or-string": true},
            "notes": {"type": "object", "additionalProperties": {"type": "string"}},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                "closed": {"type": "object", "properties": {"a": {"type": "string"}}},
            }},
            "template": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {
                "spec": {"type": "object", "properties": {"b": {"type": "integer", "default": 2}}},
            }},
            "parts": {"type": "array", "maxItems": 2, "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"], "items": {"type": "object", "properties": {
                    "name": {"type": "string"}, "weight": {"type": "number", "default": 0.5}, "off": {"type": "boolean", "nullable": true, "default": true},
                }}},
        }},
    }})
}

#[test]
fn fields_that_are_not_named_go_and_are_told() {
    let mut object = json!({"apiVersion": "a/v1", "kind": "K", "metadata": {"name": "x", "odd": 1}, "extra": 1, "spec": {
        "size": 1, "notes": {"any": "text"}, "more": {"deep": 1},
        "open": {"free": {"deep": 1}, "closed": {"a": "b", "c": 1}},
        "template": {"kind": "K", "metadata": {"labels": {}}, "spec": {"b": 1, "c": 1}},
        "parts": [{"name": "a", "other": 1}],
    }});
    let gone: Vec<String> =
        StructuralSchema::parse(&schema()).prune(&mut object).iter().map(ToString::to_string).collect();
    let wanted = ["extra", "spec.more", "spec.open.closed.c", "spec.parts[0].other", "spec.template.spec.c"];
    assert_eq!(gone, wanted.map(|path| format!("unknown field {path:?}")));
    assert_eq!(
        object,
        json!({"apiVersion": "a/v1", "kind": "K", "metadata": {"name": "x", "odd": 1}, "spec": {
            "size": 1, "notes": {"any": "text"}, "open": {"free": {"deep": 1}, "closed": {"a": "b"}},
            "template": {"kind": "K", "metadata": {"labels": {}}, "spec": {"b": 1}}, "parts": [{"name": "a"}],
        }})
    );
}

#[test]
fn defaults_fill_what_is_absent_or_null_but_not_what_may_be_null() {
    let schema = StructuralSchema::parse(&schema());
    let mut object = json!({"spec": {"size": null, "colour": null, "template": {"spec": {}}, "parts": [{"off": null}, {"weight": null}]}});
    schema.default(&mut object);
    let wanted = json!({"spec": {"colour": "red", "template": {"spec": {"b": 2}}, "parts": [
        {"weight": 0.5, "off": null}, {"weight": 0.5, "off": true},
    ]}});
    assert_eq!(object, wanted);
    schema.default(&mut object);
    assert_eq!(object, wanted, "once is enough");
}

#[test]
fn faults_are_told_in_upstreams_words() {
    let schema = StructuralSchema::parse(&schema());
    let faults = |spec: Value| -> Vec<String> {
        schema.validate(&json!({"metadata": {}, "spec": spec})).iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        faults(json!({"size": 1, "port": "http", "code": "abc", "parts": [{"name": "a"}, {"name": "b"}]})),
        [""; 0]
    );
    let cases = [
        (json!({}), "spec.size: Required value"),
        (
            json!({"size": "x"}),
            "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\"",
        ),
        (json!({"size": 0}), "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"),
        (json!({"size": 10}), "spec.size: Invalid value: 10: spec.size in body should be less than or equal to 9"),
        (
            json!({"size": 1, "colour": "green"}),
            "spec.colour: Unsupported value: \"green\": supported values: \"red\", \"blue\"",
        ),
        (json!({"size": 1, "code": "A"}), "spec.code: Invalid value: \"A\": spec.code in body should match '^[a-z]+$'"),
        (json!({"size": 1, "code": "abcd"}), "spec.code: Too long: may not be more than 3 bytes"),
        (
            json!({"size": 1, "port": 1.5}),
            "spec.port: Invalid value: \"number\": spec.port in body must be of type integer,string: \"number\"",
        ),
        (
            json!({"size": 1, "parts": [{"name": "a"}, {"name": "a"}]}),
            "spec.parts[1]: Duplicate value: {\"name\":\"a\"}",
        ),
        (
            json!({"size": 1, "parts": [{}, {"name": "a"}, {"name": "b"}]}),
            "spec.parts: Too many: 3: must have at most 2 items",
        ),
    ];
    for (spec, wanted) in cases {
        assert_eq!(faults(spec.clone()), [wanted], "{spec}");
    }
}

#[test]
fn a_fault_that_was_there_before_does_not_stand_in_the_way() {
    let schema = StructuralSchema::parse(&schema());
    let old = json!({"spec": {"size": 1, "code": "ABC"}});
    assert!(schema.validate_update(&json!({"spec": {"size": 2, "code": "ABC"}}), &old).is_empty());
    assert_eq!(schema.validate_update(&json!({"spec": {"size": 2, "code": "ABD"}}), &old).len(), 1);
}

#[test]
fn schemas_that_are_not_structural_are_refused() {
    let faults = |schema: Value| -> Vec<String> {
        StructuralSchema::check(&FieldPath::new("schema"), &schema).iter().map(ToString::to_string).collect()
    };
    assert_eq!(faults(schema()), [""; 0]);
    let cases = [
        (json!({}), "schema.type: Required value: must not be empty at the root"),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            "schema.type: Invalid value: \"array\": must be object at the root",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "array"}}}),
            "schema.properties[a].items: Required value: must be specified",
        ),
        (
            json!({"type": "object", "properties": {"a": {}}}),
            "schema.properties[a].type: Required value: must not be empty for specified object fields",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}),
            "schema.properties[a].pattern: Invalid value: \"(\": must be a valid regular expression",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "integer", "default": "x"}}}),
            "schema.properties[a].default: Invalid value: \"string\"",
        ),
        (
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
            "schema.properties[metadata]: Forbidden: must not specify anything other",
        ),
        (
            json!({"type": "object", "anyOf": [{"type": "object"}]}),
            "schema.anyOf[0].type: Forbidden: must be empty to be structural",
        ),
    ];
    for (schema, wanted) in cases {
        let found = faults(schema.clone());
        assert!(found.len() == 1 && found[0].starts_with(wanted), "{schema}: {found:?}");
    }
}

fn with_rules() -> StructuralSchema {
    StructuralSchema::parse(&json!({"type": "object", "properties": {"spec": {"type": "object",
        "x-kubernetes-validations": [
            {"rule": "self.min <= self.max", "messageExpression": "'min ' + string(self.min) + ' is above max'"},
            {"rule": "self.min >= oldSelf.min", "message": "may only grow", "fieldPath": ".min", "reason": "FieldValueForbidden"},
        ],
        "properties": {
            "min": {"type": "integer"}, "max": {"type": "integer", "x-kubernetes-validations": [{"rule": "self < 10"}]},
            "max-age": {"type": "integer"},
        },
    }}}))
}

#[test]
fn rules_are_asked_of_values_and_of_changes() {
    let schema = with_rules();
    let texts = |faults: Vec<crate::FieldError>| -> Vec<String> { faults.iter().map(ToString::to_string).collect() };
    let spec = |min: i64, max: i64| json!({"spec": {"min": min, "max": max}});
    assert_eq!(texts(schema.validate(&spec(1, 2))), [""; 0]);
    assert_eq!(texts(schema.validate(&spec(3, 2))), ["spec: Invalid value: min 3 is above max"]);
    assert_eq!(texts(schema.validate(&spec(3, 20))), ["spec.max: Invalid value: 20: failed rule: self < 10"]);
    assert_eq!(texts(schema.validate_update(&spec(1, 4), &spec(2, 4))), ["spec.min: Forbidden: may only grow"]);
    assert_eq!(texts(schema.validate_update(&spec(3, 20), &spec(2, 20))), [""; 0], "it was so before");
}

#[test]
fn rules_that_do_not_compile_are_refused() {
    let schema = json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.a >"}, {"rule": ""}, {"rule": "true", "reason": "No"}]});
    let faults = StructuralSchema::check(&FieldPath::new("s"), &schema);
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(
        texts[0].starts_with("s.x-kubernetes-validations[0].rule: Invalid value: ")
            && texts[0].contains("compilation failed")
    );
    assert_eq!(texts[1], "s.x-kubernetes-validations[1].rule: Required value: rule is not specified");
    assert!(texts[2].starts_with("s.x-kubernetes-validations[2].reason: Unsupported value: \"No\""));
}
