//! What decoding an object into upstream's Go struct and encoding it again does to it: unknown fields go (and are
//! reported, for `fieldValidation`), types are checked, absent and zero fields end as Go prints them.
//!
//! Source of the rules: `sigs.k8s.io/json` (decoding, error texts) and Go's `encoding/json` (what is left out). The
//! Go facts are in the table.

use std::fmt;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimeParser;
use serde_json::{Map, Value};

use super::duplicates::STRICT_ERRORS_MAX;
use super::{Field, FieldType, Schemas, TypeId, zero};
use crate::quantity::Quantity;

/// A fault that only strict decoding reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StrictError {
    /// The type has no such field.
    Unknown(String),
    /// The field occurs twice.
    Duplicate(String),
}

impl fmt::Display for StrictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(path) => write!(f, "unknown field {path:?}"),
            Self::Duplicate(path) => write!(f, "duplicate field {path:?}"),
        }
    }
}

/// A value does not fit its field. The text is that of Go's decoder: `json: cannot unmarshal string into Go struct
/// field DeploymentSpec.spec.replicas of type int32`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TypeMismatch(pub String);

impl Schemas {
    /// Makes `value` what upstream would print after decoding it as type `ty`. Returns the unknown fields, which are
    /// dropped; an error if a value does not fit. Idempotent, so it also serves after defaults and patches have
    /// changed an object.
    pub fn decode_fix(&self, value: &mut Value, ty: TypeId) -> Result<Vec<StrictError>, TypeMismatch> {
        let mut decoder = Decoder { schemas: self, unknown: Vec::new(), path: String::new(), fields: Vec::new() };
        match value {
            Value::Object(object) => decoder.object(object, ty)?,
            Value::Null => {}
            other => {
                return Err(TypeMismatch(format!(
                    "json: cannot unmarshal {} into Go value of type {}",
                    json_kind(other),
                    self.get(ty).go_name()
                )));
            }
        }
        Ok(decoder.unknown)
    }
}

/// One JSON document on its way through the table.
struct Decoder<'a> {
    schemas: &'a Schemas,
    unknown: Vec<StrictError>,
    /// With indexes, as strict faults show it.
    path: String,
    /// Struct and field names from the root, as type faults show them.
    fields: Vec<(TypeId, &'a Field)>,
}

impl<'a> Decoder<'a> {
    fn object(&mut self, object: &mut Map<String, Value>, id: TypeId) -> Result<(), TypeMismatch> {
        let ty = self.schemas.get(id);
        let length = self.path.len();
        let mut gone: Vec<String> = Vec::new();
        for (key, value) in object.iter_mut() {
            if !self.path.is_empty() {
                self.path.push('.');
            }
            self.path.push_str(key);
            match ty.field(key) {
                None => {
                    if self.unknown.len() < STRICT_ERRORS_MAX {
                        self.unknown.push(StrictError::Unknown(self.path.clone()));
                    }
                    gone.push(key.clone());
                }
                Some(field) => {
                    self.fields.push((id, field));
                    if !value.is_null() {
                        self.value(value, &field.ty, go_type(self.schemas, field).as_ref())?;
                    }
                    self.fields.pop();
                    if left_out(value, field) {
                        gone.push(key.clone());
                    }
                }
            }
            self.path.truncate(length);
        }
        for key in gone {
            object.remove(&key);
        }
        self.fill(object, id)
    }

    /// Adds what Go prints of fields that are not set.
    fn fill(&mut self, object: &mut Map<String, Value>, id: TypeId) -> Result<(), TypeMismatch> {
        for field in &self.schemas.get(id).fields {
            let printed = match (&field.ty, field.pointer) {
                _ if field.omit_zero => false,
                (FieldType::Struct(_) | FieldType::Quantity | FieldType::Time | FieldType::MicroTime, false) => true,
                (FieldType::IntOrString, false) => true,
                _ => !field.omit_empty,
            };
            if !printed || object.get(field.name).is_some_and(|v| !v.is_null()) {
                continue;
            }
            let mut value = if field.pointer { Value::Null } else { zero(&field.ty) };
            if let (FieldType::Struct(child), Value::Object(child_object)) = (&field.ty, &mut value) {
                self.fill(child_object, *child)?;
            }
            object.insert(field.name.to_owned(), value);
        }
        Ok(())
    }

    fn value(&mut self, value: &mut Value, ty: &'a FieldType, go: &str) -> Result<(), TypeMismatch> {
        match ty {
            FieldType::String => self.expect(value.is_string(), value, go),
            FieldType::Bool => self.expect(value.is_boolean(), value, go),
            FieldType::Number => self.expect(value.is_number(), value, go),
            FieldType::Int32 => self.integer(value, go, i64::from(i32::MIN)..=i64::from(i32::MAX)),
            FieldType::Int64 => self.integer(value, go, i64::MIN..=i64::MAX),
            FieldType::Bytes => self.bytes(value, go),
            FieldType::IntOrString => int_or_string(value),
            FieldType::Quantity => quantity(value),
            FieldType::Time => time(value, false),
            FieldType::MicroTime => time(value, true),
            FieldType::Any | FieldType::Object => Ok(()),
            FieldType::Struct(id) => match (&self.schemas.get(*id).alias, value) {
                (Some(alias), value) => self.value(value, alias, go),
                (None, Value::Object(object)) => self.object(object, *id),
                (None, other) => Err(self.mismatch(json_kind(other), go)),
            },
            FieldType::StructOrOther(id) => match value {
                Value::Object(object) => self.object(object, *id),
                Value::Array(items) => self.items(items, |decoder, item| match item {
                    Value::Object(object) => decoder.object(object, *id),
                    _ => Ok(()),
                }),
                _ => Ok(()),
            },
            FieldType::Array(item_type) => {
                let Value::Array(items) = value else {
                    return Err(self.mismatch(json_kind(value), go));
                };
                let item_go = go.strip_prefix("[]").map_or_else(|| go_of(self.schemas, item_type), str::to_owned);
                let item_go = item_go.trim_start_matches('*');
                self.items(items, |decoder, item| decoder.nested(item, item_type, item_go))
            }
            FieldType::Map(value_type) => {
                let Value::Object(entries) = value else {
                    return Err(self.mismatch(json_kind(value), go));
                };
                let value_go =
                    go.strip_prefix("map[string]").map_or_else(|| go_of(self.schemas, value_type), str::to_owned);
                let length = self.path.len();
                for (key, value) in entries.iter_mut() {
                    self.path.push('.');
                    self.path.push_str(key);
                    self.nested(value, value_type, &value_go)?;
                    self.path.truncate(length);
                }
                Ok(())
            }
        }
    }

    fn items(
        &mut self,
        items: &mut [Value],
        mut each: impl FnMut(&mut Self, &mut Value) -> Result<(), TypeMismatch>,
    ) -> Result<(), TypeMismatch> {
        let length = self.path.len();
        for (index, item) in items.iter_mut().enumerate() {
            self.path.push_str(&format!("[{index}]"));
            each(self, item)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    /// An item of a list or a value of a map: a null becomes what Go's zero value prints.
    fn nested(&mut self, value: &mut Value, ty: &'a FieldType, go: &str) -> Result<(), TypeMismatch> {
        if value.is_null() {
            *value = zero(ty);
        }
        if value.is_null() { Ok(()) } else { self.value(value, ty, go) }
    }

    fn expect(&self, fits: bool, value: &Value, go: &str) -> Result<(), TypeMismatch> {
        if fits { Ok(()) } else { Err(self.mismatch(json_kind(value), go)) }
    }

    fn integer(&self, value: &Value, go: &str, range: std::ops::RangeInclusive<i64>) -> Result<(), TypeMismatch> {
        match value {
            Value::Number(n) if n.as_i64().is_some_and(|n| range.contains(&n)) => Ok(()),
            Value::Number(n) => Err(self.mismatch(&format!("number {n}"), go)),
            other => Err(self.mismatch(json_kind(other), go)),
        }
    }

    fn bytes(&self, value: &Value, go: &str) -> Result<(), TypeMismatch> {
        let Some(text) = value.as_str() else {
            return Err(self.mismatch(json_kind(value), go));
        };
        match base64_fault(text) {
            None => Ok(()),
            Some(at) => Err(TypeMismatch(format!("illegal base64 data at input byte {at}"))),
        }
    }

    fn mismatch(&self, json: &str, go: &str) -> TypeMismatch {
        let owner = self.fields.last().map(|(id, _)| self.schemas.get(*id).short_name()).unwrap_or_default();
        let names: Vec<&str> = self
            .fields
            .iter()
            .flat_map(|(_, f)| [f.embedded, f.name])
            .filter(|n| !n.is_empty() && *n != "TypeMeta")
            .collect();
        TypeMismatch(format!(
            "json: cannot unmarshal {json} into Go struct field {owner}.{} of type {go}",
            names.join(".")
        ))
    }
}

/// Whether Go prints nothing for the field.
fn left_out(value: &Value, field: &Field) -> bool {
    match value {
        Value::Null => true,
        _ if field.pointer || !(field.omit_empty || field.omit_zero) => false,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0) && field.ty != FieldType::IntOrString,
        Value::String(s) => s.is_empty() && matches!(field.ty, FieldType::String | FieldType::Bytes),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => {
            entries.is_empty() && (matches!(field.ty, FieldType::Map(_) | FieldType::Object) || field.omit_zero)
        }
    }
}

fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn go_type<'f>(schemas: &Schemas, field: &'f Field) -> std::borrow::Cow<'f, str> {
    if field.go_type.is_empty() { go_of(schemas, &field.ty).into() } else { field.go_type.into() }
}

fn go_of(schemas: &Schemas, ty: &FieldType) -> String {
    match ty {
        FieldType::String => "string".to_owned(),
        FieldType::Bytes => "[]uint8".to_owned(),
        FieldType::Bool => "bool".to_owned(),
        FieldType::Int32 => "int32".to_owned(),
        FieldType::Int64 => "int64".to_owned(),
        FieldType::Number => "float64".to_owned(),
        FieldType::IntOrString => "intstr.IntOrString".to_owned(),
        FieldType::Quantity => "resource.Quantity".to_owned(),
        FieldType::Time => "v1.Time".to_owned(),
        FieldType::MicroTime => "v1.MicroTime".to_owned(),
        FieldType::Any | FieldType::Object => "runtime.RawExtension".to_owned(),
        FieldType::Struct(id) | FieldType::StructOrOther(id) => schemas.get(*id).go_name().to_owned(),
        FieldType::Array(item) => format!("[]{}", go_of(schemas, item)),
        FieldType::Map(value) => format!("map[string]{}", go_of(schemas, value)),
    }
}

/// `intstr.IntOrString` decodes itself, so its faults name no field.
fn int_or_string(value: &Value) -> Result<(), TypeMismatch> {
    let what = match value {
        Value::String(_) => return Ok(()),
        Value::Number(n) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => return Ok(()),
        Value::Number(n) => format!("number {n}"),
        other => json_kind(other).to_owned(),
    };
    Err(TypeMismatch(format!("json: cannot unmarshal {what} into Go value of type int32")))
}

/// Quantities end in their canonical form.
fn quantity(value: &mut Value) -> Result<(), TypeMismatch> {
    let text = match &*value {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    let parsed: Quantity = text.parse().map_err(|e: crate::quantity::ParseError| TypeMismatch(e.to_string()))?;
    *value = Value::from(parsed.to_string());
    Ok(())
}

/// Times end in UTC, in seconds or microseconds.
fn time(value: &mut Value, micro: bool) -> Result<(), TypeMismatch> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    let Some(text) = value.as_str() else {
        return Err(TypeMismatch(format!("json: cannot unmarshal {} into Go value of type string", json_kind(value))));
    };
    let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
    let shaped = text.len() >= 20 && text.as_bytes()[10] == b'T';
    let rest = text.get(19..).unwrap_or_default();
    let fraction = rest.strip_prefix('.').map(|f| f.bytes().take_while(u8::is_ascii_digit).count());
    if micro && shaped && fraction != Some(6) {
        // The layout of microseconds asks for all six digits.
        let what = format!("cannot parse {rest:?} as \".000000\"");
        return Err(TypeMismatch(format!("parsing time {text:?} as {layout:?}: {what}")));
    }
    let parsed = PARSER.parse_timestamp(text).ok().filter(|_| shaped);
    let Some(parsed) = parsed else {
        return Err(TypeMismatch(format!("parsing time {text:?} as {layout:?}: cannot parse {text:?} as \"2006\"")));
    };
    *value = Value::from(time_text(parsed, micro));
    Ok(())
}

/// A time as upstream prints it.
fn time_text(time: Timestamp, micro: bool) -> String {
    let format = if micro { "%Y-%m-%dT%H:%M:%S.%6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
    time.strftime(format).to_string()
}

/// Where base64 text (standard alphabet, padded, line breaks ignored) goes wrong, as Go counts it.
fn base64_fault(text: &str) -> Option<usize> {
    let bytes: Vec<(usize, u8)> = text.bytes().enumerate().filter(|(_, b)| !matches!(b, b'\r' | b'\n')).collect();
    let padding = bytes.iter().rev().take_while(|(_, b)| *b == b'=').count();
    let data = bytes.len() - padding;
    let is_data = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    if let Some((at, _)) = bytes[..data].iter().find(|(_, b)| !is_data(*b)) {
        return Some(*at);
    }
    let padding_at = |n: usize| bytes.get(data + n).map_or(text.len(), |(at, _)| *at);
    match (data % 4, padding) {
        (0, 0) | (2, 2) | (3, 1) => None,
        (left, 0) => Some(text.len() - left),
        (0 | 1, _) => Some(padding_at(0)),
        (left, _) => Some(padding_at(4 - left)),
    }
}
