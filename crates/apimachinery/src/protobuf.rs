//! Reads Kubernetes' protobuf encoding into JSON values, by a table of messages: no generated code
//! (upstream: `apimachinery/pkg/runtime/serializer/protobuf`, and the `generated.pb.go` of each group).
//!
//! Only reading: responses are JSON, which every client that sends protobuf accepts too.

mod reader;
mod table;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Number, Value, json};

use reader::Reader;
use table::{Cardinality, Field, Kind, MessageId};
pub use table::{Messages, TableError};

/// What every body begins with.
pub const MAGIC: &[u8] = b"k8s\0";
/// How deep messages may nest: as deep as JSON values may.
const DEPTH_MAX: u32 = 128;

/// Why bytes can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// The body does not begin with the magic number.
    #[error("provided data does not appear to be a protobuf message, expected prefix {MAGIC:?}")]
    Magic,
    /// The bytes end early, or a length or type is impossible.
    #[error("the protobuf message is malformed: {0}")]
    Malformed(&'static str),
    /// Nobody knows this kind.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    UnknownKind {
        /// As the envelope has it.
        api_version: String,
        /// As the envelope has it.
        kind: String,
    },
}

impl Messages {
    /// Reads a body: the envelope and the object in it.
    pub fn decode(&self, body: &[u8]) -> Result<Value, ProtobufError> {
        let mut reader = Reader(body.strip_prefix(MAGIC).ok_or(ProtobufError::Magic)?);
        let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), [].as_slice());
        while let Some((number, wire)) = reader.key()? {
            match number {
                1 => {
                    let mut meta = Reader(reader.bytes()?);
                    while let Some((number, wire)) = meta.key()? {
                        match number {
                            1 => api_version = meta.text()?,
                            2 => kind = meta.text()?,
                            _ => meta.skip(wire)?,
                        }
                    }
                }
                2 => raw = reader.bytes()?,
                _ => reader.skip(wire)?,
            }
        }
        let message = self
            .find(&api_version, &kind)
            .ok_or_else(|| ProtobufError::UnknownKind { api_version: api_version.clone(), kind: kind.clone() })?;
        let mut object = Map::new();
        object.insert("apiVersion".to_owned(), json!(api_version));
        object.insert("kind".to_owned(), json!(kind));
        self.message(message, raw, &mut object, 0)?;
        Ok(Value::Object(object))
    }

    fn message(
        &self,
        id: MessageId,
        bytes: &[u8],
        into: &mut Map<String, Value>,
        depth: u32,
    ) -> Result<(), ProtobufError> {
        if depth > DEPTH_MAX {
            return Err(ProtobufError::Malformed("messages nest too deep"));
        }
        let mut reader = Reader(bytes);
        while let Some((number, wire)) = reader.key()? {
            let Some(field) = self.field(id, number) else {
                reader.skip(wire)?;
                continue;
            };
            if let (true, Kind::Message(inner)) = (field.inline, &field.kind) {
                self.message(*inner, reader.bytes()?, into, depth + 1)?;
                continue;
            }
            match field.cardinality {
                Cardinality::One => {
                    let value = self.value(&field.kind, &mut reader, depth)?;
                    if !omitted(field, &value) {
                        into.insert(field.name.clone(), value);
                    }
                }
                Cardinality::List => {
                    let value = self.value(&field.kind, &mut reader, depth)?;
                    match into.entry(field.name.clone()).or_insert_with(|| json!([])) {
                        Value::Array(list) => list.push(value),
                        other => *other = json!([value]),
                    }
                }
                Cardinality::Map => {
                    let mut entry = Reader(reader.bytes()?);
                    let (mut key, mut value) = (String::new(), None);
                    while let Some((number, wire)) = entry.key()? {
                        match number {
                            1 => key = entry.text()?,
                            2 => value = Some(self.value(&field.kind, &mut entry, depth)?),
                            _ => entry.skip(wire)?,
                        }
                    }
                    let value = value.unwrap_or_else(|| zero(&field.kind));
                    let map = into.entry(field.name.clone()).or_insert_with(|| json!({}));
                    if let Value::Object(map) = map {
                        map.insert(key, value);
                    }
                }
            }
        }
        Ok(())
    }

    fn value(&self, kind: &Kind, reader: &mut Reader<'_>, depth: u32) -> Result<Value, ProtobufError> {
        Ok(match kind {
            Kind::Text => Value::String(reader.text()?),
            Kind::Integer => json!(reader.varint()? as i64),
            Kind::Boolean => Value::Bool(reader.varint()? != 0),
            Kind::Double => {
                let number = f64::from_le_bytes(reader.fixed64()?);
                Number::from_f64(number).map_or(Value::Null, Value::Number)
            }
            Kind::Bytes => Value::String(BASE64_STANDARD.encode(reader.bytes()?)),
            Kind::Time { micros } => time(reader.bytes()?, *micros)?,
            Kind::Duration => {
                let nanos = first_varint(reader.bytes()?, 1)? as i64;
                json!(format!("{}s", nanos / 1_000_000_000))
            }
            Kind::RawJson => {
                let mut inner = Reader(reader.bytes()?);
                let mut value = Value::Null;
                while let Some((number, wire)) = inner.key()? {
                    match number {
                        1 => {
                            let raw = inner.bytes()?;
                            value = if raw.starts_with(MAGIC) {
                                self.decode(raw)?
                            } else {
                                serde_json::from_slice(raw)
                                    .map_err(|_| ProtobufError::Malformed("an embedded object is not JSON"))?
                            };
                        }
                        _ => inner.skip(wire)?,
                    }
                }
                value
            }
            Kind::Quantity => {
                let mut inner = Reader(reader.bytes()?);
                let mut text = "0".to_owned();
                while let Some((number, wire)) = inner.key()? {
                    if number == 1 { text = inner.text()? } else { inner.skip(wire)? }
                }
                Value::String(text)
            }
            Kind::IntOrString => {
                let mut inner = Reader(reader.bytes()?);
                let (mut is_text, mut number, mut text) = (false, 0, String::new());
                while let Some((key, wire)) = inner.key()? {
                    match key {
                        1 => is_text = inner.varint()? == 1,
                        2 => number = inner.varint()? as i32,
                        3 => text = inner.text()?,
                        _ => inner.skip(wire)?,
                    }
                }
                if is_text { json!(text) } else { json!(number) }
            }
            Kind::Message(id) => {
                let mut object = Map::new();
                self.message(*id, reader.bytes()?, &mut object, depth + 1)?;
                Value::Object(object)
            }
            Kind::Wrapped(element) => {
                let mut inner = Reader(reader.bytes()?);
                let mut list = Vec::new();
                while let Some((number, wire)) = inner.key()? {
                    if number == 1 {
                        list.push(self.value(element, &mut inner, depth + 1)?);
                    } else {
                        inner.skip(wire)?;
                    }
                }
                Value::Array(list)
            }
            Kind::SchemaOr(other) => self.schema_or(other, reader, depth)?,
        })
    }

    /// A JSON schema, or what may stand in its place: a boolean, a list of schemas, a list of texts.
    fn schema_or(&self, other: &Kind, reader: &mut Reader<'_>, depth: u32) -> Result<Value, ProtobufError> {
        let mut inner = Reader(reader.bytes()?);
        let schema = Kind::Message(self.schema());
        let (mut one, mut list, mut flag) = (None, None::<Vec<Value>>, false);
        let boolean = matches!(other, Kind::Boolean);
        while let Some((number, wire)) = inner.key()? {
            match (number, boolean) {
                (1, true) => flag = inner.varint()? != 0,
                (1, false) | (2, true) => one = Some(self.value(&schema, &mut inner, depth + 1)?),
                (2, false) => list.get_or_insert_default().push(self.value(other, &mut inner, depth + 1)?),
                _ => inner.skip(wire)?,
            }
        }
        Ok(match (one, list) {
            (_, Some(list)) => Value::Array(list),
            (Some(one), None) => one,
            (None, None) if boolean => Value::Bool(flag),
            (None, None) => Value::Null,
        })
    }
}

/// Whether Go would leave a value out that protobuf writes although it is zero.
fn omitted(field: &Field, value: &Value) -> bool {
    if field.pointer {
        return false;
    }
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag && field.omit_empty,
        Value::String(text) => text.is_empty() && field.omit_empty,
        Value::Number(number) => {
            number.as_f64() == Some(0.0) && field.omit_empty && matches!(field.kind, Kind::Integer | Kind::Double)
        }
        Value::Object(object) => object.is_empty(),
        Value::Array(_) => false,
    }
}

fn zero(kind: &Kind) -> Value {
    match kind {
        Kind::Text | Kind::Bytes => json!(""),
        Kind::Integer | Kind::Double | Kind::IntOrString => json!(0),
        Kind::Boolean => json!(false),
        Kind::Quantity => json!("0"),
        _ => Value::Null,
    }
}

fn first_varint(bytes: &[u8], wanted: u32) -> Result<u64, ProtobufError> {
    let mut reader = Reader(bytes);
    let mut found = 0;
    while let Some((number, wire)) = reader.key()? {
        if number == wanted { found = reader.varint()? } else { reader.skip(wire)? }
    }
    Ok(found)
}

fn time(bytes: &[u8], micros: bool) -> Result<Value, ProtobufError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let mut reader = Reader(bytes);
    let (mut seconds, mut nanos) = (0, 0);
    while let Some((number, wire)) = reader.key()? {
        match number {
            1 => seconds = reader.varint()? as i64,
            2 => nanos = reader.varint()? as i32,
            _ => reader.skip(wire)?,
        }
    }
    let at = Timestamp::new(seconds, if micros { nanos } else { 0 });
    let at = at.map_err(|_| ProtobufError::Malformed("a time is out of range"))?;
    let format = if micros { "%Y-%m-%dT%H:%M:%S%.6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
    Ok(json!(at.strftime(format).to_string()))
}
