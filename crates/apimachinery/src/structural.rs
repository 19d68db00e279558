//! Structural schemas: what the objects of a custom resource may hold, as its definition says
//! (upstream: `apiextensions-apiserver/pkg/apiserver/schema`).
//!
//! A schema is parsed once, when its definition is accepted, and then prunes, defaults and validates objects. It is
//! pure.

use std::collections::BTreeMap;

use serde_json::Value;

mod check;
mod defaulting;
mod merging;
mod prune;
mod rules;
mod validate;

#[cfg(test)]
mod tests;

/// What `additionalProperties` says.
#[derive(Debug, Clone)]
enum Additional {
    /// `true`: anything; or `false`, which upstream's structural form reads the same way when it prunes.
    Anything,
    /// Values of this schema.
    Of(Box<StructuralSchema>),
}

/// How the items of a list are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ListKind {
    #[default]
    Atomic,
    Set,
    Map,
}

/// A schema, or a part of one.
#[derive(Debug, Clone, Default)]
pub struct StructuralSchema {
    /// `object`, `array`, `string`, `integer`, `number`, `boolean`; empty if nothing is said.
    ty: String,
    nullable: bool,
    default: Option<Value>,
    properties: BTreeMap<String, StructuralSchema>,
    additional: Option<Additional>,
    items: Option<Box<StructuralSchema>>,
    preserve_unknown_fields: bool,
    embedded_resource: bool,
    int_or_string: bool,
    list_kind: ListKind,
    /// Apply replaces the object as a whole.
    map_atomic: bool,
    list_map_keys: Vec<String>,
    rules: Rules,
    cel_rules: Vec<rules::Rule>,
    /// Whether this part or one below it has rules in CEL.
    has_rules: bool,
}

/// Validations of values.
#[derive(Debug, Clone, Default)]
struct Rules {
    format: String,
    maximum: Option<f64>,
    exclusive_maximum: bool,
    minimum: Option<f64>,
    exclusive_minimum: bool,
    multiple_of: Option<f64>,
    max_length: Option<u64>,
    min_length: Option<u64>,
    pattern: Option<regex::Regex>,
    max_items: Option<u64>,
    min_items: Option<u64>,
    unique_items: bool,
    max_properties: Option<u64>,
    min_properties: Option<u64>,
    required: Vec<String>,
    enumeration: Vec<Value>,
    all_of: Vec<StructuralSchema>,
    any_of: Vec<StructuralSchema>,
    one_of: Vec<StructuralSchema>,
    not: Option<Box<StructuralSchema>>,
}

/// Fields of every object that no schema has to name.
const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

impl StructuralSchema {
    /// Reads an `openAPIV3Schema` that [`check`](Self::check) finds no fault in; of another one it takes what it
    /// understands.
    pub fn parse(schema: &Value) -> Self {
        let text = |key: &str| schema[key].as_str().unwrap_or_default().to_owned();
        let flag = |key: &str| schema[key].as_bool().unwrap_or(false);
        let all = |key: &str| schema[key].as_array().into_iter().flatten().map(Self::parse).collect();
        let words = |key: &str| -> Vec<String> {
            schema[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let boxed = |value: &Value| value.is_object().then(|| Box::new(Self::parse(value)));
        let properties = schema["properties"].as_object().into_iter().flatten();
        let cel_rules: Vec<rules::Rule> = schema["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(rules::Rule::parse)
            .collect();
        let mut parsed = Self {
            ty: text("type"),
            nullable: flag("nullable"),
            default: schema.get("default").filter(|d| !d.is_null()).cloned(),
            properties: properties.map(|(name, property)| (name.clone(), Self::parse(property))).collect(),
            additional: match &schema["additionalProperties"] {
                Value::Null => None,
                Value::Bool(_) => Some(Additional::Anything),
                other => Some(Additional::Of(Box::new(Self::parse(other)))),
            },
            items: boxed(&schema["items"]),
            preserve_unknown_fields: flag("x-kubernetes-preserve-unknown-fields"),
            embedded_resource: flag("x-kubernetes-embedded-resource"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            list_kind: match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => ListKind::Set,
                Some("map") => ListKind::Map,
                _ => ListKind::Atomic,
            },
            map_atomic: schema["x-kubernetes-map-type"] == "atomic",
            list_map_keys: words("x-kubernetes-list-map-keys"),
            rules: Rules {
                format: text("format"),
                maximum: schema["maximum"].as_f64(),
                exclusive_maximum: flag("exclusiveMaximum"),
                minimum: schema["minimum"].as_f64(),
                exclusive_minimum: flag("exclusiveMinimum"),
                multiple_of: schema["multipleOf"].as_f64(),
                max_length: schema["maxLength"].as_u64(),
                min_length: schema["minLength"].as_u64(),
                pattern: schema["pattern"].as_str().and_then(|pattern| regex::Regex::new(pattern).ok()),
                max_items: schema["maxItems"].as_u64(),
                min_items: schema["minItems"].as_u64(),
                unique_items: flag("uniqueItems"),
                max_properties: schema["maxProperties"].as_u64(),
                min_properties: schema["minProperties"].as_u64(),
                required: words("required"),
                enumeration: schema["enum"].as_array().cloned().unwrap_or_default(),
                all_of: all("allOf"),
                any_of: all("anyOf"),
                one_of: all("oneOf"),
                not: boxed(&schema["not"]),
            },
            has_rules: !cel_rules.is_empty(),
            cel_rules,
        };
        parsed.has_rules |= parsed.properties.values().any(|below| below.has_rules)
            || parsed.items.as_ref().is_some_and(|below| below.has_rules)
            || parsed.additional_schema().is_some_and(|below| below.has_rules);
        parsed
    }

    /// The schema of the values of a map's key or of an object's further fields.
    fn additional_schema(&self) -> Option<&StructuralSchema> {
        match &self.additional {
            Some(Additional::Of(schema)) => Some(schema),
            _ => None,
        }
    }
}
