//! Whether a schema is structural: the faults that keep a definition from being accepted
//! (upstream: `schema/validation.go`, `schema/complete.go`).

use std::collections::BTreeMap;

use serde_json::Value;

use super::StructuralSchema;
use crate::{FieldError, FieldPath};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

impl StructuralSchema {
    /// All faults of an `openAPIV3Schema` at `path`.
    pub fn check(path: &FieldPath, schema: &Value) -> Vec<FieldError> {
        let mut faults = Vec::new();
        invariants(schema, Level::Root, path, &mut faults);
        faults.sort_by_cached_key(ToString::to_string);
        faults
    }
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema[key].as_str().unwrap_or_default()
}

fn flag(schema: &Value, key: &str) -> bool {
    schema[key].as_bool().unwrap_or(false)
}

fn invariants(schema: &Value, level: Level, path: &FieldPath, faults: &mut Vec<FieldError>) {
    let ty = text(schema, "type");
    let embedded = flag(schema, "x-kubernetes-embedded-resource");
    let preserves = flag(schema, "x-kubernetes-preserve-unknown-fields");
    let int_or_string = flag(schema, "x-kubernetes-int-or-string");
    if ty == "array" && schema["items"].is_null() {
        faults.push(FieldError::required(&path.child("items"), "must be specified"));
    }
    if schema["items"].is_object() {
        invariants(&schema["items"], Level::Item, &path.child("items"), faults);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let below = path.child("properties").key(name);
        if name == "metadata" && level == Level::Root {
            root_metadata(property, &below, faults);
        } else {
            invariants(property, Level::Field, &below, faults);
        }
    }
    let additional = &schema["additionalProperties"];
    if !additional.is_null() {
        let here = path.child("additionalProperties");
        if level == Level::Root {
            faults.push(FieldError::forbidden(&here, "must not be used at the root"));
        }
        if embedded {
            faults.push(FieldError::forbidden(&here, "must not be used if x-kubernetes-embedded-resource is set"));
        }
        if additional.is_object() {
            if schema["properties"].as_object().is_some_and(|p| !p.is_empty()) {
                faults.push(FieldError::forbidden(&here, "additionalProperties and properties are mutual exclusive"));
            }
            invariants(additional, Level::Field, &here, faults);
        }
    }
    extensions(schema, ty, path, faults);
    if embedded && ty != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        faults.push(match ty {
            "" => FieldError::required(&path.child("type"), why),
            other => FieldError::invalid(&path.child("type"), other, why),
        });
    } else if ty.is_empty() && !int_or_string && !preserves {
        let why = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        faults.push(FieldError::required(&path.child("type"), why));
    }
    if level == Level::Root && !ty.is_empty() && ty != "object" {
        faults.push(FieldError::invalid(&path.child("type"), ty, "must be object at the root"));
    }
    if embedded && !preserves && schema["properties"].as_object().is_none_or(serde_json::Map::is_empty) {
        let why =
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        faults.push(FieldError::required(&path.child("properties"), why));
    }
    values(schema, path, faults);
    super::rules::check(schema, path, faults);
    for (combination, nested) in combined(schema, path) {
        let skips = int_or_string && (combination == "anyOf" || combination == "allOf");
        for (below, part) in nested {
            nested_values(part, skips, &below, faults);
        }
    }
    if let Some(default) = schema.get("default").filter(|d| !d.is_null()) {
        let fits = StructuralSchema::parse(schema).validate(default);
        faults.extend(fits.into_iter().map(|fault| FieldError { path: path.child("default"), ..fault }));
    }
}

/// What may be said of the object's own metadata: its names.
fn root_metadata(schema: &Value, path: &FieldPath, faults: &mut Vec<FieldError>) {
    let ty = text(schema, "type");
    if ty != "object" {
        faults.push(FieldError::invalid(&path.child("type"), ty, "must be object"));
    }
    let known = |name: &String| name == "name" || name == "generateName";
    let properties = schema["properties"].as_object();
    let others = schema
        .as_object()
        .into_iter()
        .flatten()
        .any(|(key, _)| !matches!(key.as_str(), "type" | "properties" | "description" | "title"));
    if others || properties.is_some_and(|p| !p.keys().all(known)) {
        let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        faults.push(FieldError::forbidden(path, why));
    }
}

fn extensions(schema: &Value, ty: &str, path: &FieldPath, faults: &mut Vec<FieldError>) {
    if flag(schema, "x-kubernetes-int-or-string") {
        for other in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
            if flag(schema, other) {
                let why = "must be false if x-kubernetes-int-or-string is true";
                faults.push(FieldError::invalid(&path.child(other), true, why));
            }
        }
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == false {
        let here = path.child("x-kubernetes-preserve-unknown-fields");
        faults.push(FieldError::invalid(&here, false, "must be true or undefined"));
    }
    let list_type = text(schema, "x-kubernetes-list-type");
    if !list_type.is_empty() {
        let here = path.child("x-kubernetes-list-type");
        if !matches!(list_type, "atomic" | "set" | "map") {
            faults.push(FieldError::not_supported(&here, list_type, &["atomic", "map", "set"]));
        } else if ty != "array" {
            faults.push(FieldError::invalid(
                &path.child("type"),
                ty,
                "must be array if x-kubernetes-list-type is specified",
            ));
        }
        let keys = schema["x-kubernetes-list-map-keys"].as_array().map_or(0, Vec::len);
        if list_type == "map" && keys == 0 {
            let why = "must not be empty if x-kubernetes-list-type is map";
            faults.push(FieldError::required(&path.child("x-kubernetes-list-map-keys"), why));
        }
    }
    let map_type = text(schema, "x-kubernetes-map-type");
    if !map_type.is_empty() && !matches!(map_type, "atomic" | "granular") {
        faults.push(FieldError::not_supported(&path.child("x-kubernetes-map-type"), map_type, &["atomic", "granular"]));
    }
}

/// Faults of validations of values.
fn values(schema: &Value, path: &FieldPath, faults: &mut Vec<FieldError>) {
    if flag(schema, "uniqueItems") {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        faults.push(FieldError::forbidden(&path.child("uniqueItems"), why));
    }
    let pattern = text(schema, "pattern");
    if let Err(error) = regex::Regex::new(pattern) {
        let why = format!("must be a valid regular expression, but isn't: {error}");
        faults.push(FieldError::invalid(&path.child("pattern"), pattern, why));
    }
    let ty = text(schema, "type");
    if !matches!(ty, "" | "object" | "array" | "string" | "integer" | "number" | "boolean") {
        let all = ["array", "boolean", "integer", "number", "object", "string"];
        faults.push(FieldError::not_supported(&path.child("type"), ty, &all));
    }
    for reference in ["$ref", "definitions", "dependencies", "id", "patternProperties"] {
        if schema.get(reference).is_some_and(|v| !v.is_null()) {
            faults.push(FieldError::forbidden(&path.child(reference), format!("{reference} is not supported")));
        }
    }
}

type Nested<'a> = Vec<(FieldPath, &'a Value)>;

/// The parts that `allOf` and its sisters combine.
fn combined<'a>(schema: &'a Value, path: &FieldPath) -> BTreeMap<&'static str, Nested<'a>> {
    let mut all: BTreeMap<&'static str, Nested<'a>> = BTreeMap::new();
    for key in ["allOf", "anyOf", "oneOf"] {
        let parts = schema[key].as_array().into_iter().flatten().enumerate();
        all.insert(key, parts.map(|(at, part)| (path.child(key).index(at), part)).collect());
    }
    if schema["not"].is_object() {
        all.insert("not", vec![(path.child("not"), &schema["not"])]);
    }
    all
}

/// Below `allOf` and its sisters only validations may stand.
fn nested_values(schema: &Value, skips_type: bool, path: &FieldPath, faults: &mut Vec<FieldError>) {
    values(schema, path, faults);
    let mut forbid = |key: &str, why: &str| {
        let said = |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && value.as_str() != Some("");
        if schema.get(key).is_some_and(said) {
            faults.push(FieldError::forbidden(&path.child(key), why));
        }
    };
    if !skips_type {
        forbid("type", "must be empty to be structural");
    }
    forbid("additionalProperties", "must be undefined to be structural");
    forbid("default", "must be undefined to be structural");
    forbid("title", "must be empty to be structural");
    forbid("description", "must be empty to be structural");
    forbid("nullable", "must be false to be structural");
    for extension in ["preserve-unknown-fields", "embedded-resource", "int-or-string"] {
        forbid(&format!("x-kubernetes-{extension}"), "must be false to be structural");
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        nested_values(property, false, &path.child("properties").key(name), faults);
    }
    if schema["items"].is_object() {
        nested_values(&schema["items"], false, &path.child("items"), faults);
    }
    for (combination, nested) in combined(schema, path) {
        for (below, part) in nested {
            nested_values(part, skips_type && combination == "anyOf", &below, faults);
        }
    }
}
