//! Walks through values by their schema: which fields there are, and in what two objects differ.

use serde_json::{Map, Value};

use super::place::{Merge, Place};
use super::set::{FieldSet, PathElement};

/// In what two objects differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Only in the second.
    pub added: FieldSet,
    /// In both, with other values.
    pub modified: FieldSet,
    /// Only in the first.
    pub removed: FieldSet,
}

/// The items of a list by what tells them apart.
pub(super) fn items_by_step<'v>(
    merge: &Merge,
    place: &Place<'_>,
    items: &'v [Value],
) -> Result<Vec<(PathElement, &'v Value)>, String> {
    items.iter().map(|item| Ok((step_of(merge, place, item)?, item))).collect()
}

/// What tells an item of a list apart.
pub(super) fn step_of(merge: &Merge, place: &Place<'_>, item: &Value) -> Result<PathElement, String> {
    let Merge::Keys(keys) = merge else { return Ok(PathElement::Value(item.to_string())) };
    let of = place.item();
    let mut fields = Map::new();
    let mut missing = Vec::new();
    for key in keys {
        match item.get(key).filter(|value| !value.is_null()).or_else(|| of.default_of(key)) {
            Some(value) => drop(fields.insert(key.clone(), value.clone())),
            None => missing.push(key),
        }
    }
    // A key that has no default may be left out as long as another one is there.
    if fields.is_empty() {
        let all = missing.iter().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(", ");
        return Err(format!(
            "associative list with keys has an element that omits key field {all} (and doesn't have default value)"
        ));
    }
    Ok(PathElement::Key(Value::Object(fields).to_string()))
}

/// All fields that `value` sets, the places that hold others not counted, as an applied configuration owns them. Errors
/// name fields that the schema does not know.
pub fn fields_of(place: &Place<'_>, value: &Value) -> Result<FieldSet, Vec<String>> {
    let (mut set, mut errors) = (FieldSet::default(), Vec::new());
    collect(place, value, "", &mut set, &mut errors);
    if errors.is_empty() { Ok(set) } else { Err(errors) }
}

fn collect(place: &Place<'_>, value: &Value, path: &str, set: &mut FieldSet, errors: &mut Vec<String>) {
    let mut add = |step: PathElement, place: &Place<'_>, value: &Value, is_item: bool| {
        let here = format!("{path}{step}");
        let mut below = FieldSet::default();
        collect(place, value, &here, &mut below, errors);
        if is_item || below.is_empty() {
            set.insert(step.clone());
        }
        set.insert_below(step, below);
    };
    match (place.merge(value), value) {
        (Merge::Fields, Value::Object(fields)) => {
            let mut unknown = Vec::new();
            for (name, field) in fields {
                match place.field(name) {
                    Some(below) => add(PathElement::Field(name.clone()), &below, field, false),
                    None => unknown.push(format!("{path}.{name}: field not declared in schema")),
                }
            }
            errors.extend(unknown);
        }
        (merge @ (Merge::Set | Merge::Keys(_)), Value::Array(items)) => match items_by_step(&merge, place, items) {
            Ok(items) => items.into_iter().for_each(|(step, item)| add(step, &place.item(), item, true)),
            Err(error) => errors.push(format!("{path}: {error}")),
        },
        _ => {}
    }
}

/// In what `new` differs from `old`. A field that the schema does not know is compared as one whose type is not known.
pub fn compare(place: &Place<'_>, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    differ(place, old, new, &mut comparison);
    comparison
}

fn differ(place: &Place<'_>, old: &Value, new: &Value, out: &mut Comparison) {
    let mut one = |step: PathElement, place: &Place<'_>, old: Option<&Value>, new: Option<&Value>, is_item: bool| match (
        old, new,
    ) {
        (Some(old), Some(new)) if old == new => {}
        (Some(old), Some(new)) => {
            let merges = place.merge(old);
            if merges == Merge::Whole || merges != place.merge(new) {
                out.modified.insert(step);
                return;
            }
            let mut below = Comparison::default();
            differ(place, old, new, &mut below);
            out.added.insert_below(step.clone(), below.added);
            out.modified.insert_below(step.clone(), below.modified);
            out.removed.insert_below(step, below.removed);
        }
        (None, Some(new)) => whole(&mut out.added, step, place, new, is_item),
        (Some(old), None) => whole(&mut out.removed, step, place, old, is_item),
        (None, None) => {}
    };
    match (place.merge(old), old, new) {
        (Merge::Fields, Value::Object(before), Value::Object(after)) => {
            let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
            for name in names {
                let below = place.field(name).unwrap_or(Place::Unknown);
                one(PathElement::Field(name.clone()), &below, before.get(name), after.get(name), false);
            }
        }
        (merge @ (Merge::Set | Merge::Keys(_)), Value::Array(before), Value::Array(after)) => {
            let (Ok(before), Ok(after)) = (items_by_step(&merge, place, before), items_by_step(&merge, place, after))
            else {
                return;
            };
            let of = |all: &[(PathElement, &'_ Value)], step: &PathElement| all.iter().position(|(s, _)| s == step);
            for (step, item) in &before {
                one(step.clone(), &place.item(), Some(item), of(&after, step).map(|at| after[at].1), true);
            }
            for (step, item) in after.iter().filter(|(step, _)| of(&before, step).is_none()) {
                one(step.clone(), &place.item(), None, Some(item), true);
            }
        }
        _ => {}
    }
}

/// A whole value that came or went: its fields, and the maps and items on the way.
fn whole(set: &mut FieldSet, step: PathElement, place: &Place<'_>, value: &Value, is_item: bool) {
    let mut below = FieldSet::default();
    let mut unknown = Vec::new();
    containers(place, value, &mut below);
    collect(place, value, "", &mut below, &mut unknown);
    if is_item || below.is_empty() || place.is_map() {
        set.insert(step.clone());
    }
    set.insert_below(step, below);
}

/// The maps and lists below a value, as places of their own.
fn containers(place: &Place<'_>, value: &Value, set: &mut FieldSet) {
    if let (Merge::Fields, Value::Object(fields)) = (place.merge(value), value) {
        for (name, field) in fields {
            let of = place.field(name).unwrap_or(Place::Unknown);
            if of.merge(field) == Merge::Whole {
                continue;
            }
            let step = PathElement::Field(name.clone());
            let mut below = FieldSet::default();
            containers(&of, field, &mut below);
            if of.is_map() {
                set.insert(step.clone());
            }
            set.insert_below(step, below);
        }
    }
}
