//! Defaults of absent fields (upstream's `SetDefaults_*` and generated defaulters). The walk goes down the schema, so a
//! pod template gets a pod's defaults wherever it is embedded.

mod core;
mod groups;

use std::collections::HashMap;
use std::sync::LazyLock;

use apimachinery::TypeId;
use apimachinery::schema::{Field, FieldType};
use serde_json::Value;

use crate::value::{Object, default_absent, default_zero};

/// What is set in an object of one type before its fields are visited.
type Rule = fn(&mut Object);

static RULES: LazyLock<HashMap<TypeId, Rule>> = LazyLock::new(|| {
    core::RULES
        .iter()
        .chain(groups::RULES)
        .filter_map(|(name, rule)| {
            let long = if name.starts_with("io.") { (*name).to_owned() } else { format!("io.k8s.api.{name}") };
            Some((api::schemas().find(&long)?, *rule))
        })
        .collect()
});

/// Fills in the defaults of an object of type `ty`. Idempotent.
pub(crate) fn apply(value: &mut Value, ty: TypeId) {
    if let Some(object) = value.as_object_mut() {
        walk(object, ty);
    }
}

fn walk(object: &mut Object, ty: TypeId) {
    if let Some(rule) = RULES.get(&ty) {
        rule(object);
    }
    for field in &api::schemas().get(ty).fields {
        declared(object, field);
        if let Some(value) = object.get_mut(field.name) {
            visit(value, &field.ty);
        }
    }
}

fn visit(value: &mut Value, ty: &FieldType) {
    match (ty, value) {
        (FieldType::Struct(ty), Value::Object(object)) => walk(object, *ty),
        (FieldType::Array(item), Value::Array(items)) => items.iter_mut().for_each(|value| visit(value, item)),
        (FieldType::Map(item), Value::Object(entries)) => entries.values_mut().for_each(|value| visit(value, item)),
        _ => {}
    }
}

/// The default that the type declares for a scalar field.
fn declared(object: &mut Object, field: &Field) {
    let Some(default) = field.default.as_ref().filter(|d| !d.is_object() && !d.is_array() && !d.is_null()) else {
        return;
    };
    if field.pointer {
        default_absent(object, field.name, default.clone());
    } else if !crate::value::is_zero(Some(default)) {
        default_zero(object, field.name, default.clone());
    }
}
