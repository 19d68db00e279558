//! Strategic merge patches, function for function as upstream makes them. Additions and changes come from the difference
//! between what is and what shall be, deletions from that between what was applied last and what shall be.

use std::mem::discriminant;

use apimachinery::TypeId;
use apimachinery::patch::{DELETE_FROM_PRIMITIVE_LIST, DIRECTIVE, Member, Place, RETAIN_KEYS, SET_ELEMENT_ORDER};
use apimachinery::schema::Schemas;
use serde_json::{Map, Value, json};

use crate::output::columns::cell_text;

type Object = Map<String, Value>;

/// Which parts of a difference are wanted.
#[derive(Clone, Copy)]
struct Wanted {
    changes: bool,
    deletions: bool,
    /// Say in which order lists with keys shall be.
    order: bool,
    /// Say which keys stay.
    retain_keys: bool,
}

struct Differ<'a> {
    schemas: &'a Schemas,
}

fn object(value: &Value) -> Result<&Object, String> {
    value.as_object().ok_or_else(|| "invalid JSON document".to_owned())
}

/// The patch from one object to another.
pub(super) fn two_way(schemas: &Schemas, ty: TypeId, original: &Value, modified: &Value) -> Result<Value, String> {
    let wanted = Wanted { changes: true, deletions: true, order: true, retain_keys: false };
    let patch = Differ { schemas }.maps(object(original)?, object(modified)?, Place::Struct(ty), wanted)?;
    Ok(Value::Object(patch))
}

/// The patch of client-side apply.
pub(super) fn three_way(
    schemas: &Schemas,
    ty: TypeId,
    original: &Value,
    modified: &Value,
    current: &Value,
) -> Result<Value, String> {
    let differ = Differ { schemas };
    let (original, modified, current) = (object(original)?, object(modified)?, object(current)?);
    let wanted = Wanted { changes: true, deletions: false, order: true, retain_keys: false };
    let delta = differ.maps(current, modified, Place::Struct(ty), wanted)?;
    let wanted = Wanted { changes: false, deletions: true, order: true, retain_keys: false };
    let deletions = differ.maps(original, modified, Place::Struct(ty), wanted)?;
    Ok(Value::Object(differ.join(deletions, delta, Place::Struct(ty))?))
}

impl<'a> Differ<'a> {
    /// A field that this table does not know, of a newer server say, is replaced as a whole.
    fn look_up(&self, at: Place<'a>, key: &str) -> Member<'a> {
        at.member(self.schemas, key).unwrap_or(Member::plain(Place::Free))
    }

    fn maps(&self, original: &Object, modified: &Object, at: Place<'a>, wanted: Wanted) -> Result<Object, String> {
        let mut patch = Object::new();
        let mut retained: Vec<&String> = Vec::new();
        for (key, new) in modified {
            if wanted.retain_keys && !new.is_null() {
                retained.push(key);
            }
            let Some(old) = original.get(key) else {
                if wanted.changes {
                    patch.insert(key.clone(), new.clone());
                }
                continue;
            };
            if discriminant(old) != discriminant(new) {
                if wanted.changes {
                    patch.insert(key.clone(), new.clone());
                }
                continue;
            }
            let found = self.look_up(at, key);
            match (old, new) {
                (Value::Object(old), Value::Object(new)) => {
                    let inner = Wanted { retain_keys: found.retain_keys, ..wanted };
                    let inner = self.maps(old, new, found.place, inner)?;
                    if !inner.is_empty() {
                        patch.insert(key.clone(), Value::Object(inner));
                    }
                }
                (Value::Array(old), Value::Array(new)) if found.merge => {
                    let inner = Wanted { retain_keys: found.retain_keys, ..wanted };
                    self.lists(key, (old, new), &found, inner, &mut patch)?;
                }
                (old, new) => {
                    if wanted.changes && old != new {
                        patch.insert(key.clone(), new.clone());
                    }
                }
            }
        }
        if wanted.deletions {
            for key in original.keys().filter(|key| !modified.contains_key(*key)) {
                patch.insert(key.clone(), Value::Null);
            }
        }
        let gone = || original.iter().any(|(key, value)| !value.is_null() && !modified.contains_key(key));
        if !retained.is_empty() && (!patch.is_empty() || gone()) {
            retained.sort();
            patch.insert(RETAIN_KEYS.to_owned(), json!(retained));
        }
        Ok(patch)
    }

    fn lists(
        &self,
        key: &str,
        (original, modified): (&[Value], &[Value]),
        found: &Member<'a>,
        wanted: Wanted,
        patch: &mut Object,
    ) -> Result<(), String> {
        if original.is_empty() {
            if !modified.is_empty() && wanted.changes {
                patch.insert(key.to_owned(), Value::Array(modified.to_vec()));
            }
            return Ok(());
        }
        let mut put = |prefix: &str, list: Vec<Value>| {
            if !list.is_empty() {
                let key = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}/{key}") };
                patch.insert(key, Value::Array(list));
            }
        };
        if are_maps(original, modified)? {
            let (mut changes, deletions) = self.lists_of_maps(original, modified, found, wanted)?;
            changes.sort_by_key(|item| position(modified, found.merge_key, item));
            let same_order = original.len() == modified.len()
                && original.iter().zip(modified).all(|(a, b)| a[found.merge_key] == b[found.merge_key]);
            changes.extend(deletions);
            let any = !changes.is_empty();
            let order = wanted.order && ((wanted.changes && (any || !same_order)) || (wanted.deletions && any));
            put("", changes);
            if order {
                let only_key = |item: &Value| json!({ found.merge_key: item[found.merge_key] });
                put(SET_ELEMENT_ORDER, modified.iter().map(only_key).collect());
            }
            return Ok(());
        }
        let missing = |from: &[Value], other: &[Value]| {
            let mut items: Vec<Value> = from.iter().filter(|item| !other.contains(item)).cloned().collect();
            items.sort_by_key(cell_text);
            items
        };
        let mut additions = if wanted.changes { missing(modified, original) } else { Vec::new() };
        additions.sort_by_key(|item| modified.iter().position(|other| other == item));
        let mut deletions = if wanted.deletions { missing(original, modified) } else { Vec::new() };
        deletions.dedup();
        let order =
            wanted.order && ((wanted.deletions && !deletions.is_empty()) || (wanted.changes && original != modified));
        put("", additions);
        put(DELETE_FROM_PRIMITIVE_LIST, deletions);
        if order {
            put(SET_ELEMENT_ORDER, modified.to_vec());
        }
        Ok(())
    }

    /// Changes and additions, and the deletions.
    fn lists_of_maps(
        &self,
        original: &[Value],
        modified: &[Value],
        found: &Member<'a>,
        wanted: Wanted,
    ) -> Result<(Vec<Value>, Vec<Value>), String> {
        let (old, new) = (by_key(original, found.merge_key)?, by_key(modified, found.merge_key)?);
        let (mut changes, mut deletions) = (Vec::new(), Vec::new());
        let (mut at_old, mut at_new) = (0, 0);
        loop {
            match (old.get(at_old), new.get(at_new)) {
                (None, None) => return Ok((changes, deletions)),
                (Some((left, before)), Some((right, after))) if left == right => {
                    let mut inner = self.maps(before, after, found.place, wanted)?;
                    if !inner.is_empty() {
                        inner.insert(found.merge_key.to_owned(), after[found.merge_key].clone());
                        changes.push(Value::Object(inner));
                    }
                    at_old += 1;
                    at_new += 1;
                }
                (left, Some((right, after))) if left.is_none_or(|(left, _)| left > right) => {
                    if wanted.changes {
                        changes.push(Value::Object((*after).clone()));
                    }
                    at_new += 1;
                }
                (Some((_, before)), _) => {
                    if wanted.deletions {
                        deletions.push(json!({ found.merge_key: before[found.merge_key], DIRECTIVE: "delete" }));
                    }
                    at_old += 1;
                }
                (None, Some(_)) => at_new += 1,
            }
        }
    }

    /// Lays the changes over the deletions. Both are patches.
    fn join(&self, mut deletions: Object, mut delta: Object, at: Place<'a>) -> Result<Object, String> {
        if let Some(directive) = delta.get(DIRECTIVE) {
            return match directive.as_str() {
                Some("replace") => {
                    delta.remove(DIRECTIVE);
                    Ok(delta)
                }
                Some("delete") => Ok(Object::new()),
                _ => Err(format!("unknown patch type: {directive}")),
            };
        }
        if let Some(keys) = delta.remove(RETAIN_KEYS) {
            deletions.insert(RETAIN_KEYS.to_owned(), keys);
        }
        self.join_ordered(&mut deletions, &mut delta, at)?;
        for (key, value) in delta {
            let found = self.look_up(at, &key);
            let joined = match (deletions.remove(&key), value) {
                (Some(Value::Object(old)), Value::Object(new)) => Value::Object(self.join(old, new, found.place)?),
                (Some(Value::Array(old)), Value::Array(new)) if found.merge => {
                    Value::Array(self.join_lists(old, new, &found)?)
                }
                (_, value) => match without_directives(value) {
                    Some(value) => value,
                    None => continue,
                },
            };
            deletions.insert(key, joined);
        }
        Ok(deletions)
    }

    /// Joins the lists that come with an order, and brings them into it; deletions stand last.
    fn join_ordered(&self, deletions: &mut Object, delta: &mut Object, at: Place<'a>) -> Result<(), String> {
        let directives: Vec<String> = delta.keys().filter(|key| key.starts_with(SET_ELEMENT_ORDER)).cloned().collect();
        for directive in directives {
            let Some(Value::Array(order)) = delta.remove(&directive) else { continue };
            let key = directive[SET_ELEMENT_ORDER.len()..].trim_start_matches('/').to_owned();
            deletions.insert(directive, Value::Array(order.clone()));
            let found = self.look_up(at, &key);
            let list = |value: Option<Value>| match value {
                Some(Value::Array(items)) => Some(items),
                _ => None,
            };
            let old = list(deletions.remove(&key));
            let new = list(delta.remove(&key));
            let merged = match (old, new) {
                (None, None) => continue,
                (Some(old), None) => old,
                (None, Some(new)) => new.into_iter().filter_map(without_directives).collect(),
                (Some(old), Some(new)) => self.join_lists(old, new, &found)?,
            };
            let place = |item: &Value| {
                if found.merge_key.is_empty() {
                    order.iter().position(|other| other == item)
                } else {
                    position(&order, found.merge_key, item)
                }
            };
            let (mut listed, others): (Vec<Value>, Vec<Value>) =
                merged.into_iter().partition(|item| place(item).is_some());
            listed.sort_by_key(|item| (is_deletion(item), place(item)));
            listed.extend(others);
            deletions.insert(key, Value::Array(listed));
        }
        Ok(())
    }

    fn join_lists(&self, mut old: Vec<Value>, new: Vec<Value>, found: &Member<'a>) -> Result<Vec<Value>, String> {
        if !are_maps(&old, &new)? {
            old.extend(new);
            return Ok(old);
        }
        for item in new {
            match position(&old, found.merge_key, &item) {
                Some(at) => {
                    let before = std::mem::take(&mut old[at]);
                    let (Value::Object(before), Value::Object(after)) = (before, item) else { continue };
                    old[at] = Value::Object(self.join(before, after, found.place)?);
                }
                None => old.push(item),
            }
        }
        Ok(old)
    }
}

fn is_deletion(item: &Value) -> bool {
    item.get(DIRECTIVE).is_some_and(|directive| directive == "delete")
}

fn position(list: &[Value], merge_key: &str, item: &Value) -> Option<usize> {
    list.iter().position(|other| other.get(merge_key) == item.get(merge_key))
}

/// The items with the text of their keys, in its order.
fn by_key<'v>(list: &'v [Value], merge_key: &str) -> Result<Vec<(String, &'v Object)>, String> {
    let mut keyed = Vec::new();
    for item in list {
        let Value::Object(item) = item else { return Err("invalid JSON document".to_owned()) };
        let Some(key) = item.get(merge_key) else {
            let shown = cell_text(&Value::Object(item.clone()));
            return Err(format!("map: {shown} does not contain declared merge key: {merge_key}"));
        };
        keyed.push((cell_text(key), item));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(keyed)
}

/// Whether the items are maps; they must be of one kind.
fn are_maps(left: &[Value], right: &[Value]) -> Result<bool, String> {
    let mut items = left.iter().chain(right);
    let Some(first) = items.next() else { return Ok(false) };
    if items.any(|item| discriminant(item) != discriminant(first)) {
        return Err("list element types are not identical".to_owned());
    }
    if first.is_array() { Err("lists of lists are not supported".to_owned()) } else { Ok(first.is_object()) }
}

fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(DIRECTIVE) => None,
        Value::Object(fields) => {
            let fields = fields.into_iter().filter_map(|(key, value)| Some((key, without_directives(value)?)));
            Some(Value::Object(fields.collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_directives).collect())),
        other => Some(other),
    }
}
