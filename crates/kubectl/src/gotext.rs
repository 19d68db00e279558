//! Values and their text as Go's `fmt`, `strconv` and `encoding/json` print them: what `-o jsonpath`, `-o go-template` and
//! their error messages show to the byte. Pure.

mod json;
mod number;
mod print;
mod quote;

pub(crate) use json::{json, json_indented};
pub(crate) use number::{float, float_with};
pub(crate) use print::{Verbs, sprint, sprintf, sprintln, value};
pub(crate) use quote::{is_printable, quote, unquote, unquote_char};

use serde_json::Value;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A value as Go's `any` holds it. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Any {
    /// Go's untyped nil; JSON's null.
    Nil,
    /// `bool`
    Bool(bool),
    /// `int`: constants of a template, lengths, and JSON's whole numbers where [`Numbers::Whole`] is asked for.
    Int(i64),
    /// `uint8`: an element of a string.
    Byte(u8),
    /// `float64`
    Float(f64),
    /// `string`
    Text(Rc<str>),
    /// `[]interface {}`
    List(Rc<[Any]>),
    /// `map[string]interface {}`
    Map(Rc<BTreeMap<Rc<str>, Any>>),
}

/// How numbers of JSON are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Whole numbers as `int64`, as apimachinery's decoder of unstructured objects does.
    Whole,
    /// All as `float64`, as `encoding/json` does.
    Float,
}

impl Any {
    /// A decoded JSON value.
    pub(crate) fn from_json(value: &Value, numbers: Numbers) -> Any {
        match value {
            Value::Null => Any::Nil,
            Value::Bool(b) => Any::Bool(*b),
            Value::Number(n) => match (numbers, n.as_i64()) {
                (Numbers::Whole, Some(whole)) => Any::Int(whole),
                _ => Any::Float(n.as_f64().unwrap_or_default()),
            },
            Value::String(s) => Any::Text(s.as_str().into()),
            Value::Array(items) => Any::List(items.iter().map(|item| Any::from_json(item, numbers)).collect()),
            Value::Object(fields) => Any::Map(Rc::new(
                fields.iter().map(|(key, field)| (key.as_str().into(), Any::from_json(field, numbers))).collect(),
            )),
        }
    }

    /// The name of its type, as `%T` prints it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Any::Nil => "<nil>",
            Any::Bool(_) => "bool",
            Any::Int(_) => "int",
            Any::Byte(_) => "uint8",
            Any::Float(_) => "float64",
            Any::Text(_) => "string",
            Any::List(_) => "[]interface {}",
            Any::Map(_) => "map[string]interface {}",
        }
    }
}

impl From<&str> for Any {
    fn from(text: &str) -> Any {
        Any::Text(text.into())
    }
}

#[cfg(test)]
mod tests;
