//! Reading and writing dynamic objects. Absent and null are the same, as in Go.

use apimachinery::Quantity;
use jiff::Timestamp;
use serde_json::{Map, Value};

pub(crate) type Object = Map<String, Value>;

/// The text at `key`; empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The items at `key`.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// The entries at `key`.
pub(crate) fn entries<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    value[key].as_object().into_iter().flatten()
}

/// The number at `key`.
pub(crate) fn int(value: &Value, key: &str) -> Option<i64> {
    value[key].as_i64()
}

/// Whether `key` holds true.
pub(crate) fn flag(value: &Value, key: &str) -> bool {
    value[key].as_bool().unwrap_or(false)
}

/// Whether there is anything at `key`.
pub(crate) fn has(value: &Value, key: &str) -> bool {
    !value[key].is_null()
}

/// The amount at `key`.
pub(crate) fn quantity(value: &Value, key: &str) -> Option<Quantity> {
    as_quantity(&value[key])
}

/// The value as an amount.
pub(crate) fn as_quantity(value: &Value) -> Option<Quantity> {
    value.as_str().and_then(|text| text.parse().ok())
}

/// The time at `key`.
pub(crate) fn time(value: &Value, key: &str) -> Option<Timestamp> {
    value[key].as_str().and_then(|text| text.parse().ok())
}

/// The object at `key`, made if there is none.
pub(crate) fn child<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = Value::Object(Object::new());
    }
    let slot = &mut value[key];
    if !slot.is_object() {
        *slot = Value::Object(Object::new());
    }
    slot
}

/// The items at `key`, to change.
pub(crate) fn items_mut<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    value.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Sets `key`; null takes it away.
pub(crate) fn put(value: &mut Value, key: &str, new: Value) {
    if let Some(object) = value.as_object_mut() {
        if new.is_null() {
            object.remove(key);
        } else {
            object.insert(key.to_owned(), new);
        }
    }
}

/// Whether Go would call the value of a field that is no pointer zero.
pub(crate) fn is_zero(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Number(n)) => n.as_f64() == Some(0.0),
        Some(Value::Bool(b)) => !b,
        Some(_) => false,
    }
}

/// Sets `key` unless it is there (for pointers).
pub(crate) fn default_absent(object: &mut Object, key: &str, new: impl Into<Value>) {
    if object.get(key).is_none_or(Value::is_null) {
        object.insert(key.to_owned(), new.into());
    }
}

/// Sets `key` unless it is there and not zero (for plain values).
pub(crate) fn default_zero(object: &mut Object, key: &str, new: impl Into<Value>) {
    if is_zero(object.get(key)) {
        object.insert(key.to_owned(), new.into());
    }
}
