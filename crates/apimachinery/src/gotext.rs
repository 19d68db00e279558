//! Values and their text as Go's `fmt`, `strconv` and `encoding/json` print them: what `-o jsonpath`, `-o go-template` and
//! their error messages show to the byte. Pure.

mod duration;
mod errno;
mod json;
mod number;
mod print;
mod quote;

pub use duration::duration;
pub use errno::{dial_error, io_error};
pub use json::{json, json_indented};
pub use number::float_with;
pub use print::{sprint, sprintf, sprintln, value};
pub use quote::{is_printable, quote, unquote, unquote_char};

use serde_json::Value;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A value as Go's `any` holds it. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub enum Any {
    /// Go's untyped nil; JSON's null.
    Nil,
    /// `bool`
    Bool(bool),
    /// `int`: constants of a template and lengths.
    Int(i64),
    /// `int64`: whole numbers of an object.
    Int64(i64),
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

impl Any {
    /// A decoded JSON value: whole numbers are `int64`, others `float64`, as apimachinery decodes unstructured objects.
    pub fn from_json(value: &Value) -> Any {
        match value {
            Value::Null => Any::Nil,
            Value::Bool(b) => Any::Bool(*b),
            Value::Number(n) => match n.as_i64() {
                Some(whole) => Any::Int64(whole),
                None => Any::Float(n.as_f64().unwrap_or_default()),
            },
            Value::String(s) => Any::Text(s.as_str().into()),
            Value::Array(items) => Any::List(items.iter().map(Any::from_json).collect()),
            Value::Object(fields) => Any::Map(Rc::new(
                fields.iter().map(|(key, field)| (key.as_str().into(), Any::from_json(field))).collect(),
            )),
        }
    }

    /// The name of its type, as `%T` prints it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Any::Nil => "<nil>",
            Any::Bool(_) => "bool",
            Any::Int(_) => "int",
            Any::Int64(_) => "int64",
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
