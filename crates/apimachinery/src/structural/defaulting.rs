//! Defaults that a schema declares (upstream: `schema/defaulting`).

use serde_json::Value;

use super::StructuralSchema;

impl StructuralSchema {
    /// Fills in the defaults of fields that are absent, or null and not nullable. A null without a default that may not
    /// be null counts as absent and goes. Idempotent.
    pub fn default(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|key, field| {
                    let of = self.properties.get(key).or_else(|| self.additional_schema());
                    !(field.is_null() && of.is_some_and(|s| !s.nullable && s.default.is_none()))
                });
                for (name, property) in &self.properties {
                    let Some(default) = &property.default else { continue };
                    match fields.get(name) {
                        Some(Value::Null) if property.nullable => {}
                        None | Some(Value::Null) => drop(fields.insert(name.clone(), default.clone())),
                        Some(_) => {}
                    }
                }
                for (key, field) in fields.iter_mut() {
                    if let Some(schema) = self.properties.get(key).or_else(|| self.additional_schema()) {
                        schema.default_element(field);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.default_element(item));
                }
            }
            _ => {}
        }
    }

    fn default_element(&self, value: &mut Value) {
        if value.is_null()
            && !self.nullable
            && let Some(default) = &self.default
        {
            *value = default.clone();
        }
        self.default(value);
    }
}
