//! How a kind's rules are written down, and the strategy that is made of them.

use std::collections::HashMap;
use std::sync::LazyLock;

use apimachinery::{FieldError, Object, Resource, Strategy, Subresource, TypeId, WriteContext};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::value::{child, has, int, put};
use crate::{defaults, kinds, metadata};

/// When `metadata.generation` grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    /// The kind has none.
    Unused,
    /// It is 1 for ever.
    Constant,
    /// When the field changes.
    Of(&'static str),
    /// When the spec or an annotation changes.
    SpecAndAnnotations,
    /// When anything but metadata, or a label, changes.
    ContentAndLabels,
}

/// Fields that field selectors may name.
#[derive(Clone, Copy)]
pub(crate) struct Selectable {
    pub(crate) names: &'static [&'static str],
    /// The value of one of them.
    pub(crate) read: fn(&Value, &str) -> String,
}

/// The value at a dotted path, as a field selector compares it.
pub(crate) fn at_path(object: &Value, path: &str) -> String {
    match path.split('.').fold(object, |value, step| &value[step]) {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The rules of one kind. The default is a kind without rules.
pub(crate) struct Rules {
    /// The names that it takes.
    pub(crate) name: fn(&str, bool) -> Vec<String>,
    pub(crate) generation: Generation,
    /// Whether create empties the status, if the kind has a status subresource.
    pub(crate) resets_status: bool,
    pub(crate) prepare_create: fn(&mut Value, &WriteContext<'_>),
    /// Called after status and spec are kept apart.
    pub(crate) prepare_update: fn(&mut Value, &Value, &WriteContext<'_>),
    pub(crate) validate: fn(&Value) -> Vec<FieldError>,
    pub(crate) validate_update: fn(&Value, &Value, Subresource<'_>) -> Vec<FieldError>,
    pub(crate) warnings: fn(&Value, Option<&Value>) -> Vec<String>,
    pub(crate) create_on_update: bool,
    pub(crate) unconditional_update: bool,
    pub(crate) orphans_dependants: bool,
    pub(crate) grace_period_seconds: fn(&Value, Option<i64>) -> Option<i64>,
    pub(crate) begin_deletion: fn(&mut Value),
    pub(crate) keeps_deleted: fn(&Value) -> bool,
    pub(crate) selectable: Selectable,
    pub(crate) row: Option<fn(&Value, Timestamp) -> Vec<Value>>,
}

impl Rules {
    pub(crate) const NONE: Self = Self {
        name: |name, _| apimachinery::names::path_segment(name),
        generation: Generation::Unused,
        resets_status: true,
        prepare_create: |_, _| {},
        prepare_update: |_, _, _| {},
        validate: |_| Vec::new(),
        validate_update: |_, _, _| Vec::new(),
        warnings: |_, _| Vec::new(),
        create_on_update: false,
        unconditional_update: true,
        orphans_dependants: false,
        grace_period_seconds: |_, _| None,
        begin_deletion: |_| {},
        keeps_deleted: |_| false,
        selectable: Selectable { names: &[], read: |_, _| String::new() },
        row: None,
    };
}

/// Rules, bound to the resource that they are for.
struct Bound {
    rules: &'static Rules,
    ty: Option<TypeId>,
    has_status: bool,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").field("type", &self.ty).finish_non_exhaustive()
    }
}

impl Bound {
    fn new(resource: &Resource) -> Self {
        let rules = kinds::rules(resource.group, resource.kind);
        Self { rules, ty: api::schemas().find(resource.schema), has_status: resource.subresource("status").is_some() }
    }

    /// Brings the object into the form in which upstream would read it back: with defaults, printed as Go does. A
    /// value that does not fit its type was refused when the request was decoded, so nothing is left to report here.
    fn canonicalize(&self, object: &mut Value) {
        if let Some(ty) = self.ty {
            defaults::apply(object, ty);
            let _ = api::schemas().decode_fix(object, ty);
        }
    }
}

/// The strategy of a built-in resource. Another one gets that of a kind without rules; a custom resource's is its
/// [`CustomType`](crate::CustomType).
pub fn strategy(resource: &Resource) -> &'static dyn Strategy {
    type Key = (&'static str, &'static str, &'static str);
    static ALL: LazyLock<HashMap<Key, Bound>> =
        LazyLock::new(|| api::RESOURCES.iter().map(|r| ((r.group, r.version, r.plural), Bound::new(r))).collect());
    static NONE: Bound = Bound { rules: &Rules::NONE, ty: None, has_status: true };
    ALL.get(&(resource.group, resource.version, resource.plural)).unwrap_or(&NONE)
}

/// The faults, each once: several rules may find the same one.
fn without_doubles(faults: Vec<FieldError>) -> Vec<FieldError> {
    let mut once: Vec<FieldError> = Vec::with_capacity(faults.len());
    for fault in faults {
        if !once.contains(&fault) {
            once.push(fault);
        }
    }
    once
}

impl Strategy for Bound {
    fn begin_deletion(&self, object: &mut Value) {
        (self.rules.begin_deletion)(object);
    }

    fn keeps_deleted(&self, object: &Value) -> bool {
        (self.rules.keeps_deleted)(object)
    }

    fn default(&self, object: &mut Value) {
        self.canonicalize(object);
    }

    fn prepare_for_create(&self, object: &mut Value, context: &WriteContext<'_>) {
        if self.has_status && self.rules.resets_status {
            put(object, "status", json!({}));
        }
        if self.rules.generation != Generation::Unused {
            child(object, "metadata")["generation"] = json!(1);
        }
        (self.rules.prepare_create)(object, context);
        self.canonicalize(object);
    }

    fn prepare_for_update(&self, new: &mut Value, old: &Value, context: &WriteContext<'_>) {
        metadata::keep_system_fields(new, old);
        match context.subresource {
            Subresource::None if self.has_status => put(new, "status", old["status"].clone()),
            Subresource::Status => {
                // All but the status is as it was, whatever the fields are called.
                let others: Vec<String> = old
                    .as_object()
                    .into_iter()
                    .chain(new.as_object())
                    .flat_map(|o| o.keys())
                    .filter(|k| !matches!(k.as_str(), "status" | "metadata" | "apiVersion" | "kind"))
                    .cloned()
                    .collect();
                for key in others {
                    put(new, &key, old[&key].clone());
                }
            }
            _ => {}
        }
        (self.rules.prepare_update)(new, old, context);
        self.canonicalize(new);
        // Where a Pod runs is decided for it, not asked for.
        let asked = !matches!(context.subresource, Subresource::Status | Subresource::Other("binding"));
        if asked && self.grows(new, old) {
            let generation = int(&old["metadata"], "generation").unwrap_or_default() + 1;
            child(new, "metadata")["generation"] = json!(generation);
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        without_doubles((self.rules.validate)(object))
    }

    fn validate_update(&self, new: &Value, old: &Value, subresource: Subresource<'_>) -> Vec<FieldError> {
        without_doubles((self.rules.validate_update)(new, old, subresource))
    }

    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        (self.rules.name)(name, prefix)
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        (self.rules.warnings)(new, old)
    }

    fn allow_create_on_update(&self) -> bool {
        self.rules.create_on_update
    }

    fn allow_unconditional_update(&self) -> bool {
        self.rules.unconditional_update
    }

    fn orphans_dependants(&self) -> bool {
        self.rules.orphans_dependants
    }

    fn grace_period_seconds(&self, object: &Value, requested: Option<i64>) -> Option<i64> {
        (self.rules.grace_period_seconds)(object, requested)
    }

    fn selects_by(&self, field: &str) -> bool {
        self.rules.selectable.names.contains(&field)
    }

    fn selected_value(&self, object: &Value, field: &str) -> String {
        (self.rules.selectable.read)(object, field)
    }

    fn row(&self, object: &Object, now: Timestamp) -> Option<Vec<Value>> {
        self.rules.row.map(|row| row(&object.value(), now))
    }
}

impl Bound {
    fn grows(&self, new: &Value, old: &Value) -> bool {
        let differs = |key: &str| new[key] != old[key];
        match self.rules.generation {
            Generation::Unused | Generation::Constant => false,
            Generation::Of(field) => differs(field),
            Generation::SpecAndAnnotations => {
                differs("spec") || new["metadata"]["annotations"] != old["metadata"]["annotations"]
            }
            Generation::ContentAndLabels => {
                let content = |object: &Value| {
                    let mut copy = object.clone();
                    put(&mut copy, "metadata", Value::Null);
                    copy
                };
                content(new) != content(old) || new["metadata"]["labels"] != old["metadata"]["labels"]
            }
        }
    }
}

/// Whether the object is being deleted.
pub(crate) fn is_deleting(object: &Value) -> bool {
    has(&object["metadata"], "deletionTimestamp")
}
