//! Strategic merge patch, driven by the schema: lists merge by key where the type says so; directives in the patch
//! delete, replace and order (upstream: `apimachinery/pkg/util/strategicpatch`, function for function).

use std::mem::{discriminant, take};

use serde_json::{Map, Value};

use super::PatchError;
use super::place::{DELETE_FROM_PRIMITIVE_LIST, DIRECTIVE, Member, Place, RETAIN_KEYS, SET_ELEMENT_ORDER};
use crate::schema::{Schemas, TypeId};

const BAD_PRIMITIVE_LIST: &str = "invalid patch format of primitive list";
const BAD_RETAIN_KEYS: &str = "invalid patch format of retainKeys";
const BAD_ELEMENT_ORDER: &str = "invalid patch format of setElementOrder list";

type Object = Map<String, Value>;

/// Merges `patch` into `document`, an object of type `ty`. The document is left half changed on an error.
pub fn apply_strategic_patch(
    schemas: &Schemas,
    ty: TypeId,
    document: &mut Value,
    patch: Value,
) -> Result<(), PatchError> {
    let Value::Object(patch) = patch else {
        return Err(PatchError::Malformed("invalid JSON document".to_owned()));
    };
    let Value::Object(original) = document.take() else {
        return Err(PatchError::Malformed("invalid JSON document".to_owned()));
    };
    let merged = Merger { schemas }.merge_map(original, patch, &Place::Struct(ty)).map_err(PatchError::Rejected)?;
    *document = Value::Object(merged);
    Ok(())
}

struct Merger<'a> {
    schemas: &'a Schemas,
}

impl<'a> Merger<'a> {
    fn look_up(&self, at: &Place<'a>, key: &str) -> Result<Member<'a>, String> {
        at.member(self.schemas, key).ok_or_else(|| {
            let ty = match at {
                Place::Struct(id) => self.schemas.get(*id).short_name(),
                Place::Map(_) | Place::Free => "",
            };
            format!("unable to find api field in struct {ty} for the json field {key:?}")
        })
    }

    fn merge_map(&self, mut original: Object, mut patch: Object, at: &Place<'a>) -> Result<Object, String> {
        if let Some(directive) = patch.get(DIRECTIVE) {
            return match directive.as_str() {
                Some("replace") => {
                    patch.remove(DIRECTIVE);
                    Ok(patch)
                }
                Some("delete") => Ok(Object::new()),
                _ => Err(bad_patch_type(directive, &patch)),
            };
        }
        retain_keys(&mut original, &mut patch)?;
        self.merge_ordered_lists(&mut original, &mut patch, at)?;
        for (key, value) in patch {
            let (key, deletes) = match key.strip_prefix(DELETE_FROM_PRIMITIVE_LIST) {
                Some(rest) => (rest.strip_prefix('/').ok_or(BAD_PRIMITIVE_LIST)?.to_owned(), true),
                None => (key, false),
            };
            if value.is_null() {
                original.remove(&key);
                continue;
            }
            let same_kind = original.get(&key).is_some_and(|old| discriminant(old) == discriminant(&value));
            if !same_kind {
                if !deletes {
                    put(&mut original, key, value);
                }
                continue;
            }
            match (original.get_mut(&key).map(Value::take), value) {
                (Some(Value::Object(old)), Value::Object(new)) => {
                    let found = self.look_up(at, &key)?;
                    let merged = self.merge_map(old, new, &found.place)?;
                    original.insert(key, Value::Object(merged));
                }
                (Some(Value::Array(old)), Value::Array(new)) => {
                    let found = self.look_up(at, &key)?;
                    let merged = if found.merge || deletes { self.merge_list(old, new, &found, deletes)? } else { new };
                    original.insert(key, Value::Array(merged));
                }
                (_, value) => put(&mut original, key, value),
            }
        }
        Ok(original)
    }

    /// Merges the lists that come with a `$setElementOrder` and takes both out of the patch.
    fn merge_ordered_lists(&self, original: &mut Object, patch: &mut Object, at: &Place<'a>) -> Result<(), String> {
        let directives: Vec<String> = patch.keys().filter(|k| k.starts_with(SET_ELEMENT_ORDER)).cloned().collect();
        for directive in directives {
            let order = match patch.remove(&directive) {
                Some(Value::Array(order)) => order,
                other => return Err(bad_list(other.as_ref())),
            };
            let key = directive
                .strip_prefix(SET_ELEMENT_ORDER)
                .and_then(|rest| rest.strip_prefix('/'))
                .ok_or(BAD_ELEMENT_ORDER)?;
            let as_list = |value: Option<&Value>| match value {
                None => Ok(None),
                Some(Value::Array(items)) => Ok(Some(items.clone())),
                other => Err(bad_list(other)),
            };
            let old = as_list(original.get(key))?;
            let new = as_list(patch.get(key))?;
            let found = self.look_up(at, key)?;
            check_order(new.as_deref().unwrap_or_default(), &order, found.merge_key)?;
            let kinds = (old.clone().unwrap_or_default(), new.clone().unwrap_or_default());
            let merged = match (old.clone(), new) {
                (None, None) => continue,
                (Some(old), None) => old,
                (None, Some(new)) => new.into_iter().filter_map(without_directives).collect(),
                (Some(old), Some(new)) if found.merge => self.merge_list(old, new, &found, false)?,
                (Some(_), Some(new)) => new,
            };
            let maps = items_are_maps(&kinds.0, &kinds.1)?;
            let (ours, theirs) = partition(merged, &order, found.merge_key)?;
            let ordered = in_order(ours, theirs, &order, &old.unwrap_or_default(), found.merge_key, maps)?;
            original.insert(key.to_owned(), Value::Array(ordered));
            patch.remove(key);
        }
        Ok(())
    }

    fn merge_list(
        &self,
        original: Vec<Value>,
        patch: Vec<Value>,
        found: &Member<'a>,
        deletes: bool,
    ) -> Result<Vec<Value>, String> {
        if original.is_empty() && patch.is_empty() {
            return Ok(original);
        }
        let maps = items_are_maps(&original, &patch)?;
        if !maps {
            if deletes {
                return Ok(original.into_iter().filter(|v| !patch.contains(v)).collect());
            }
            let merged = without_doubles(original.iter().chain(&patch).cloned().collect());
            let (ours, theirs) = partition(merged, &patch, "")?;
            return in_order(ours, theirs, &patch, &original, "", false);
        }
        if found.merge_key.is_empty() {
            return Err("cannot merge lists without merge key for struct".to_owned());
        }
        let (original, patch) = obey_item_directives(original, patch, found.merge_key)?;
        let mut merged = original.clone();
        for item in &patch {
            let key = merge_key_of(item, found.merge_key)?.clone();
            match position(&merged, found.merge_key, &key)? {
                Some(at) => {
                    let (old, new) = (merged[at].take(), item.clone());
                    let (Value::Object(old), Value::Object(new)) = (old, new) else {
                        continue;
                    };
                    merged[at] = Value::Object(self.merge_map(old, new, &found.place)?);
                }
                None => merged.push(item.clone()),
            }
        }
        let (ours, theirs) = partition(merged, &patch, found.merge_key)?;
        in_order(ours, theirs, &patch, &original, found.merge_key, true)
    }
}

/// Sets a field to a value that is only in the patch.
fn put(original: &mut Object, key: String, mut value: Value) {
    discard_nulls(&mut value);
    match without_directives(value) {
        Some(value) => {
            original.insert(key, value);
        }
        None => {
            original.remove(&key);
        }
    }
}

fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|_, v| !v.is_null());
            entries.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// The value without objects that hold a `$patch`; `None` if it is one itself.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(entries) => {
            if entries.contains_key(DIRECTIVE) {
                return None;
            }
            Some(entries.into_iter().filter_map(|(k, v)| Some((k, without_directives(v)?))).collect())
        }
        Value::Array(items) => Some(items.into_iter().filter_map(without_directives).collect()),
        other => Some(other),
    }
}

fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), String> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let keys: Vec<&str> = keys.as_array().ok_or(BAD_RETAIN_KEYS)?.iter().filter_map(Value::as_str).collect();
    for (key, value) in &*patch {
        let directive = key.starts_with(DELETE_FROM_PRIMITIVE_LIST) || key.starts_with(SET_ELEMENT_ORDER);
        if !value.is_null() && !directive && !keys.contains(&key.as_str()) {
            return Err(BAD_RETAIN_KEYS.to_owned());
        }
    }
    original.retain(|key, _| keys.contains(&key.as_str()));
    Ok(())
}

/// Whether the items are maps; an error unless all are of one kind.
fn items_are_maps(left: &[Value], right: &[Value]) -> Result<bool, String> {
    let mut items = left.iter().chain(right);
    let Some(first) = items.next() else {
        return Err("no elements in any of the given slices".to_owned());
    };
    if first.is_array() {
        return Err("lists of lists are not supported".to_owned());
    }
    if items.any(|item| discriminant(item) != discriminant(first)) {
        let both = [left, right].map(|list| go_text(&Value::Array(list.to_vec()))).join(" ");
        return Err(format!("list element types are not identical: [{both}]"));
    }
    Ok(first.is_object())
}

/// Carries out `$patch: delete` and `$patch: replace` items; returns the lists without them.
fn obey_item_directives(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    merge_key: &str,
) -> Result<(Vec<Value>, Vec<Value>), String> {
    let (mut plain, mut replaces) = (Vec::new(), false);
    for item in patch {
        let Some(directive) = item.get(DIRECTIVE) else {
            plain.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let key = merge_key_of(&item, merge_key)?;
                while let Some(at) = position(&original, merge_key, key)? {
                    original.remove(at);
                }
            }
            Some("replace") => replaces = true,
            Some("merge") => return Err("merging lists cannot yet be specified in the patch".to_owned()),
            _ => return Err(bad_patch_type(directive, item.as_object().unwrap_or(&Object::new()))),
        }
    }
    Ok(if replaces { (plain, Vec::new()) } else { (original, plain) })
}

fn merge_key_of<'v>(item: &'v Value, merge_key: &str) -> Result<&'v Value, String> {
    item.get(merge_key)
        .ok_or_else(|| format!("map: {} does not contain declared merge key: {merge_key}", go_text(item)))
}

fn position(items: &[Value], merge_key: &str, key: &Value) -> Result<Option<usize>, String> {
    if let Some(at) = items.iter().position(|item| !item.is_object()) {
        return Err(format!("value for key {at} is not a map"));
    }
    Ok(items.iter().position(|item| item.get(merge_key) == Some(key)))
}

/// Go's way to drop doubles: the last item takes the place of each double.
fn without_doubles(mut items: Vec<Value>) -> Vec<Value> {
    let mut i = 0;
    while i + 1 < items.len() {
        let mut j = i + 1;
        while j < items.len() {
            if items[i] == items[j] {
                items.swap_remove(j);
            } else {
                j += 1;
            }
        }
        i += 1;
    }
    items
}

/// Splits `items` into those that are in `by` and the others.
fn partition(items: Vec<Value>, by: &[Value], merge_key: &str) -> Result<(Vec<Value>, Vec<Value>), String> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for item in items {
        let inside = if merge_key.is_empty() {
            by.contains(&item)
        } else {
            position(by, merge_key, merge_key_of(&item, merge_key)?)?.is_some()
        };
        if inside { ours.push(item) } else { theirs.push(item) }
    }
    Ok((ours, theirs))
}

/// The items that the patch names in the order that it gives, between them the others in the order of the server.
fn in_order(
    ours: Vec<Value>,
    theirs: Vec<Value>,
    patch_order: &[Value],
    server_order: &[Value],
    merge_key: &str,
    maps: bool,
) -> Result<Vec<Value>, String> {
    let ours = sorted(ours, patch_order, merge_key, maps)?;
    let theirs = sorted(theirs, server_order, merge_key, maps)?;
    let place = |item: &Value| rank(item, server_order, merge_key, maps);
    let mut all = Vec::with_capacity(ours.len() + theirs.len());
    let mut theirs = theirs.into_iter().peekable();
    for item in ours {
        while let Some(other) = theirs.peek() {
            match (place(other), place(&item)) {
                (Some(left), Some(right)) if left < right => all.extend(theirs.next()),
                _ => break,
            }
        }
        all.push(item);
    }
    all.extend(theirs);
    Ok(all)
}

/// The place of `item` in `order`.
fn rank(item: &Value, order: &[Value], merge_key: &str, maps: bool) -> Option<usize> {
    if maps {
        order.iter().position(|o| o.get(merge_key) == item.get(merge_key))
    } else {
        order.iter().position(|o| o == item)
    }
}

fn sorted(mut items: Vec<Value>, order: &[Value], merge_key: &str, maps: bool) -> Result<Vec<Value>, String> {
    let mut deletions = Vec::new();
    if maps {
        for item in items.iter().chain(order) {
            merge_key_of(item, merge_key)?;
        }
        let (delete, keep): (Vec<Value>, Vec<Value>) =
            take(&mut items).into_iter().partition(|i| i.get(DIRECTIVE).is_some_and(|d| d == "delete"));
        items = keep;
        deletions = delete;
    }
    let mut ranked: Vec<(Option<usize>, Value)> =
        items.into_iter().map(|item| (rank(&item, order, merge_key, maps), item)).collect();
    // Go sorts with a comparison that calls any item without a place smaller, which moves it to the front: only an
    // insertion sort gives the same result.
    for i in 1..ranked.len() {
        let mut j = i;
        while j > 0 && ranked[j].0.zip(ranked[j - 1].0).is_none_or(|(a, b)| a < b) {
            ranked.swap(j, j - 1);
            j -= 1;
        }
    }
    Ok(ranked.into_iter().map(|(_, item)| item).chain(deletions).collect())
}

/// Refuses an order that contradicts the list in the patch.
fn check_order(patch: &[Value], order: &[Value], merge_key: &str) -> Result<(), String> {
    if order.is_empty() || patch.is_empty() {
        return Ok(());
    }
    let deletes = |item: &&Value| item.get(DIRECTIVE).is_some_and(|d| d == "delete");
    let kept: Vec<&Value> = patch.iter().filter(|item| merge_key.is_empty() || !deletes(item)).collect();
    let (mut i, mut j) = (0, 0);
    while i < kept.len() && j < order.len() {
        if kept[i].get(DIRECTIVE).is_some() {
            i += 1;
            continue;
        }
        let equal = if merge_key.is_empty() {
            *kept[i] == order[j]
        } else {
            merge_key_of(kept[i], merge_key)? == merge_key_of(&order[j], merge_key)?
        };
        if equal {
            i += 1;
        }
        j += 1;
    }
    if i < kept.len() && j >= order.len() {
        return Err(format!(
            "The order in patch list:\n{}\n doesn't match {SET_ELEMENT_ORDER} list:\n{}\n",
            go_text(&Value::Array(patch.to_vec())),
            go_text(&Value::Array(order.to_vec()))
        ));
    }
    Ok(())
}

fn bad_patch_type(directive: &Value, map: &Object) -> String {
    format!("unknown patch type: {} in map: {}", go_text(directive), go_text(&Value::Object(map.clone())))
}

fn bad_list(value: Option<&Value>) -> String {
    let kind = match value {
        None | Some(Value::Null) => "%!s(<nil>)",
        Some(Value::Bool(_)) => "bool",
        Some(Value::Number(n)) if n.is_f64() => "float64",
        Some(Value::Number(_)) => "int64",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "[]interface {}",
        Some(Value::Object(_)) => "map[string]interface {}",
    };
    format!("expected a []interface {{}}, but received a {kind}")
}

/// A value as Go's `%v` prints it.
fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::Object(entries) => {
            let entries: Vec<String> = entries.iter().map(|(k, v)| format!("{k}:{}", go_text(v))).collect();
            format!("map[{}]", entries.join(" "))
        }
        other => other.to_string(),
    }
}
