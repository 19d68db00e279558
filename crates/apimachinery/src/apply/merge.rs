//! Applying a configuration: it is merged into the object, what its manager no longer asks for goes, and what others own
//! is only changed by force.

use serde_json::{Map, Value};

use super::managers::{Manager, Managers, without_nobodys};
use super::place::{Merge, Place};
use super::set::{FieldSet, PathElement};
use super::walk::{compare, fields_of, items_by_step, step_of};

/// Fields of another manager that the configuration would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Whose they are.
    pub manager: Manager,
    /// The fields.
    pub fields: FieldSet,
}

/// Why a configuration can't be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplyError {
    /// It says what the schema does not know.
    Mistyped(Vec<String>),
    /// Others own what it would change.
    Conflicts(Vec<Conflict>),
}

/// What an apply makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The object.
    pub object: Value,
    /// Who owns what from now on.
    pub managers: Managers,
}

/// Applies `config` to `live` as `writer`, whose `fields` are not read. `ignored` are fields that this door does not
/// write, such as the status.
pub fn apply(
    place: &Place<'_>,
    live: &Value,
    managers: &Managers,
    config: &Value,
    mut writer: Manager,
    ignored: &FieldSet,
    force: bool,
) -> Result<Applied, ApplyError> {
    let mut wanted = fields_of(place, config).map_err(ApplyError::Mistyped)?;
    without_nobodys(&mut wanted);
    wanted.subtract_whole(ignored);
    let mut managers = managers.clone();
    let last = managers.find(&writer).map(|own| own.fields.clone()).unwrap_or_default();
    let mut object = merged(place, live, config);
    let mut kept = managers.of_others(&writer);
    kept.add(&wanted);
    prune(place, &mut object, &last, &kept);
    let mut comparison = compare(place, live, &object);
    for set in [&mut comparison.added, &mut comparison.modified, &mut comparison.removed] {
        without_nobodys(set);
        set.subtract_whole(ignored);
    }
    let conflicts = managers.conflicts(&writer, &comparison);
    if !conflicts.is_empty() && !force {
        return Err(ApplyError::Conflicts(conflicts));
    }
    managers.take(&writer, &comparison);
    writer.fields = wanted;
    managers.set(writer);
    Ok(Applied { object, managers })
}

/// `live` with what `config` says, whoever owns it. Errors name fields that the schema does not know.
pub fn merge(place: &Place<'_>, live: &Value, config: &Value) -> Result<Value, Vec<String>> {
    fields_of(place, config)?;
    Ok(merged(place, live, config))
}

/// The paths of what `config` would replace as a whole: lists and maps whose items the schema does not tell apart.
pub fn atomics(place: &Place<'_>, config: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    let whole = matches!(config, Value::Object(_) | Value::Array(_)) && place.merge(config) == Merge::Whole;
    if whole {
        found.push(path.to_owned());
    }
    match config {
        Value::Object(fields) => {
            for (name, value) in fields {
                let below = place.field(name).unwrap_or(Place::Unknown);
                found.extend(atomics(&below, value, &format!("{path}.{name}")));
            }
        }
        Value::Array(items) => {
            let of = place.item();
            let each = items.iter().enumerate();
            found.extend(each.flat_map(|(at, item)| atomics(&of, item, &format!("{path}[{at}]"))));
        }
        _ => {}
    }
    found
}

/// `live` with what `config` says.
fn merged(place: &Place<'_>, live: &Value, config: &Value) -> Value {
    match (place.merge(config), live, config) {
        (Merge::Fields, Value::Object(live), Value::Object(config)) => {
            let mut fields = live.clone();
            for (name, value) in config {
                let below = place.field(name).unwrap_or(Place::Unknown);
                let value = match live.get(name) {
                    Some(before) => merged(&below, before, value),
                    None => merged(&below, &Value::Null, value),
                };
                fields.insert(name.clone(), value);
            }
            Value::Object(fields)
        }
        (merge @ (Merge::Set | Merge::Keys(_)), live, Value::Array(config)) => {
            let before = live.as_array().map_or(&[][..], Vec::as_slice);
            merged_list(&merge, place, before, config)
        }
        (Merge::Fields, _, Value::Object(config)) => {
            let of = |(name, value): (&String, &Value)| {
                (name.clone(), merged(&place.field(name).unwrap_or(Place::Unknown), &Value::Null, value))
            };
            Value::Object(config.iter().map(of).collect::<Map<String, Value>>())
        }
        _ => config.clone(),
    }
}

/// The items of the object in their order, changed as the configuration says, and then its new ones in theirs.
fn merged_list(merge: &Merge, place: &Place<'_>, live: &[Value], config: &[Value]) -> Value {
    let (Ok(before), Ok(wanted)) = (items_by_step(merge, place, live), items_by_step(merge, place, config)) else {
        return Value::Array(config.to_vec());
    };
    let of = place.item();
    let mut items: Vec<(PathElement, Value)> = before.into_iter().map(|(step, item)| (step, item.clone())).collect();
    for (step, item) in wanted {
        match items.iter_mut().find(|(known, _)| *known == step) {
            Some((_, known)) => *known = merged(&of, known, item),
            None => items.push((step, merged(&of, &Value::Null, item))),
        }
    }
    Value::Array(items.into_iter().map(|(_, item)| item).collect())
}

/// Takes out of `value` what is in `last` and not in `kept`. What becomes empty by that goes too.
fn prune(place: &Place<'_>, value: &mut Value, last: &FieldSet, kept: &FieldSet) {
    let merge = place.merge(value);
    let nothing = FieldSet::default();
    match (&merge, value) {
        (Merge::Fields, Value::Object(fields)) => {
            for step in last.steps() {
                let PathElement::Field(name) = step else { continue };
                let Some(field) = fields.get_mut(name) else { continue };
                let (below, kept_below) = (last.below(step).unwrap_or(&nothing), kept.below(step).unwrap_or(&nothing));
                let keeps = kept.has(step) || !kept_below.is_empty();
                if last.has(step) && below.is_empty() && !keeps {
                    fields.remove(name);
                    continue;
                }
                prune(&place.field(name).unwrap_or(Place::Unknown), field, below, kept_below);
                if !keeps && is_empty(field) {
                    fields.remove(name);
                }
            }
        }
        (Merge::Set | Merge::Keys(_), Value::Array(items)) => {
            let of = place.item();
            items.retain_mut(|item| {
                let Ok(step) = step_of(&merge, place, item) else { return true };
                let kept_below = kept.below(&step).unwrap_or(&nothing);
                if last.has(&step) && !kept.has(&step) && kept_below.is_empty() {
                    return false;
                }
                if let Some(below) = last.below(&step) {
                    prune(&of, item, below, kept_below);
                }
                true
            });
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}
