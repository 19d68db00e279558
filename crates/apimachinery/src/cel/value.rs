//! Values of expressions. What comes from an object stays where it is and is read in place.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::Quantity;

/// A value.
#[derive(Debug, Clone)]
pub enum Cel<'a> {
    /// `null`
    Null,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `uint`
    Uint(u64),
    /// `double`
    Double(f64),
    /// `string`
    Text(Cow<'a, str>),
    /// `bytes`
    Bytes(Rc<[u8]>),
    /// `list`
    List(Rc<[Cel<'a>]>),
    /// `map`, by the key's text; keys of other types than text are texts here.
    Map(Rc<BTreeMap<String, Cel<'a>>>),
    /// A list or map of an object.
    Json(&'a Value),
    /// `google.protobuf.Timestamp`
    Timestamp(Timestamp),
    /// `google.protobuf.Duration`
    Duration(SignedDuration),
    /// `kubernetes.Quantity`
    Quantity(Rc<Quantity>),
    /// The type of a value.
    Type(&'static str),
    /// What could not be computed; an error when it is used.
    Failed(Rc<str>),
}

impl<'a> From<&'a Value> for Cel<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Self::Int(whole),
                None => Self::Double(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            container => Self::Json(container),
        }
    }
}

impl<'a> Cel<'a> {
    /// The name of its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) | Self::Json(Value::Array(_)) => "list",
            Self::Map(_) | Self::Json(_) => "map",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Type(_) => "type",
            Self::Failed(_) => "error",
        }
    }

    /// The items of a list.
    pub fn items(&self) -> Option<Vec<Cel<'a>>> {
        match self {
            Self::List(items) => Some(items.to_vec()),
            Self::Json(Value::Array(items)) => Some(items.iter().map(Cel::from).collect()),
            _ => None,
        }
    }

    /// The keys of a map.
    pub(super) fn keys(&self) -> Option<Vec<Cel<'a>>> {
        match self {
            Self::Map(fields) => Some(fields.keys().map(|key| Cel::Text(key.clone().into())).collect()),
            Self::Json(Value::Object(fields)) => {
                Some(fields.keys().map(|key| Cel::Text(Cow::Borrowed(key.as_str()))).collect())
            }
            _ => None,
        }
    }

    /// The value at a key of a map.
    pub(super) fn get(&self, key: &str) -> Option<Cel<'a>> {
        match self {
            Self::Map(fields) => fields.get(key).cloned(),
            Self::Json(Value::Object(fields)) => fields.get(key).map(Cel::from),
            _ => None,
        }
    }

    /// How many items or characters there are.
    pub(super) fn size(&self) -> Option<usize> {
        Some(match self {
            Self::Text(text) => text.chars().count(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(items) => items.len(),
            Self::Map(fields) => fields.len(),
            Self::Json(Value::Array(items)) => items.len(),
            Self::Json(Value::Object(fields)) => fields.len(),
            _ => return None,
        })
    }

    /// The key of a map that this value stands for.
    pub(super) fn as_key(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone().into_owned()),
            Self::Int(number) => Some(number.to_string()),
            Self::Uint(number) => Some(number.to_string()),
            Self::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// Whether two values are equal. Numbers of different types are compared by what they are worth.
    pub fn equals(&self, other: &Cel<'a>) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::Json(a), Self::Json(b)) if std::ptr::eq(*a, *b) => true,
            _ => {
                if let (Some(a), Some(b)) = (self.items(), other.items()) {
                    return a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.equals(b));
                }
                if let (Some(keys), Some(others)) = (self.keys(), other.keys()) {
                    let same = |key: &Cel<'a>| {
                        let key = key.as_key().unwrap_or_default();
                        matches!((self.get(&key), other.get(&key)), (Some(a), Some(b)) if a.equals(&b))
                    };
                    return keys.len() == others.len() && keys.iter().all(same);
                }
                self.compare(other) == Some(Ordering::Equal)
            }
        }
    }

    /// The order of two values, if they have one.
    pub(super) fn compare(&self, other: &Cel<'a>) -> Option<Ordering> {
        #[allow(clippy::cast_precision_loss, reason = "comparing with a double is comparing doubles")]
        Some(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Uint(a), Self::Uint(b)) => a.cmp(b),
            (Self::Int(a), Self::Uint(b)) => i128::from(*a).cmp(&i128::from(*b)),
            (Self::Uint(a), Self::Int(b)) => i128::from(*a).cmp(&i128::from(*b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b)?,
            (Self::Double(a), Self::Int(b)) => a.partial_cmp(&(*b as f64))?,
            (Self::Int(a), Self::Double(b)) => (*a as f64).partial_cmp(b)?,
            (Self::Double(a), Self::Uint(b)) => a.partial_cmp(&(*b as f64))?,
            (Self::Uint(a), Self::Double(b)) => (*a as f64).partial_cmp(b)?,
            (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            (Self::Duration(a), Self::Duration(b)) => a.cmp(b),
            (Self::Quantity(a), Self::Quantity(b)) => a.cmp(b),
            _ => return None,
        })
    }

    /// As JSON: what a patch or a message is made of.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Null | Self::Failed(_) => Value::Null,
            Self::Bool(b) => (*b).into(),
            Self::Int(number) => (*number).into(),
            Self::Uint(number) => (*number).into(),
            Self::Double(number) => (*number).into(),
            Self::Text(text) => text.as_ref().into(),
            Self::Bytes(bytes) => {
                use base64::Engine as _;
                base64::prelude::BASE64_STANDARD.encode(bytes).into()
            }
            Self::List(items) => items.iter().map(Cel::to_json).collect(),
            Self::Map(fields) => Value::Object(fields.iter().map(|(k, v)| (k.clone(), v.to_json())).collect()),
            Self::Json(value) => (*value).clone(),
            Self::Timestamp(at) => at.to_string().into(),
            Self::Duration(duration) => format!("{}s", duration.as_secs_f64()).into(),
            Self::Quantity(quantity) => quantity.to_string().into(),
            Self::Type(name) => (*name).into(),
        }
    }
}
