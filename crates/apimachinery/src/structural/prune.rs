//! Fields that a schema does not name go (upstream: `schema/pruning`).

use serde_json::Value;

use super::{META_FIELDS, StructuralSchema};
use crate::schema::StrictError;

impl StructuralSchema {
    /// Takes the fields away that no part of the schema names, but for `apiVersion`, `kind` and `metadata` of the
    /// object itself and of embedded ones. Gives what was taken.
    pub fn prune(&self, object: &mut Value) -> Vec<StrictError> {
        let mut pruner = Pruner { path: String::new(), gone: Vec::new() };
        let Value::Object(fields) = object else { return Vec::new() };
        let kept = META_FIELDS.map(|name| (name, fields.remove(name)));
        pruner.prune(object, Some(self), false);
        if let Value::Object(fields) = object {
            fields.extend(kept.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        }
        pruner.gone.sort_by_cached_key(ToString::to_string);
        pruner.gone
    }
}

struct Pruner {
    path: String,
    gone: Vec<StrictError>,
}

impl Pruner {
    /// Without a schema everything that has a name goes, unless `lenient`: so are the items of a list whose schema keeps
    /// unknown fields.
    fn prune(&mut self, value: &mut Value, schema: Option<&StructuralSchema>, lenient: bool) {
        let keeps_unknown = lenient || schema.is_some_and(|s| s.preserve_unknown_fields);
        match value {
            Value::Object(fields) => {
                let mut gone = Vec::new();
                for (key, field) in fields.iter_mut() {
                    if schema.is_some_and(|s| s.embedded_resource) && META_FIELDS.contains(&key.as_str()) {
                        continue;
                    }
                    let known = schema.and_then(|s| s.properties.get(key));
                    let below = self.path.len();
                    self.step(key);
                    match (known, schema.and_then(|s| s.additional.as_ref())) {
                        (Some(property), _) => self.prune(field, Some(property), false),
                        (None, Some(_)) => {
                            self.prune(field, schema.and_then(StructuralSchema::additional_schema), false);
                        }
                        (None, None) if keeps_unknown => {}
                        (None, None) => {
                            self.gone.push(StrictError::Unknown(self.path.clone()));
                            gone.push(key.clone());
                        }
                    }
                    self.path.truncate(below);
                }
                for key in gone {
                    fields.remove(&key);
                }
            }
            Value::Array(items) => {
                let of_items = schema.and_then(|s| s.items.as_deref());
                for (at, item) in items.iter_mut().enumerate() {
                    let below = self.path.len();
                    self.path.push_str(&format!("[{at}]"));
                    self.prune(item, of_items, keeps_unknown);
                    self.path.truncate(below);
                }
            }
            _ => {}
        }
    }

    fn step(&mut self, key: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(key);
    }
}
