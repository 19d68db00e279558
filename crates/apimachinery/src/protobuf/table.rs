//! The table of messages, from the JSON that the code generator writes.

use std::collections::HashMap;

use serde_json::Value;

/// A message's place in the table.
pub(super) type MessageId = u32;

/// The message of JSON schemas, which some fields embed.
const SCHEMA: &str = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// How often a field occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cardinality {
    One,
    List,
    Map,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Boolean,
    Double,
    Bytes,
    Time {
        micros: bool,
    },
    Duration,
    RawJson,
    Quantity,
    IntOrString,
    Message(MessageId),
    /// A message whose only field is a list.
    Wrapped(Box<Kind>),
    /// A JSON schema, or this.
    SchemaOr(Box<Kind>),
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    number: u32,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) cardinality: Cardinality,
    /// A Go pointer: absent and zero differ.
    pub(super) pointer: bool,
    pub(super) omit_empty: bool,
    /// Its fields are those of the message around it.
    pub(super) inline: bool,
}

/// All messages.
#[derive(Debug)]
pub struct Messages {
    messages: Vec<Vec<Field>>,
    kinds: HashMap<String, MessageId>,
    schema: MessageId,
}

/// The table is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the table of protobuf messages is malformed at {0}")]
pub struct TableError(String);

impl Messages {
    /// Reads the table.
    pub fn parse(json: &[u8]) -> Result<Self, TableError> {
        let wrong = |what: &str| TableError(what.to_owned());
        let table: Value = serde_json::from_slice(json).map_err(|error| TableError(error.to_string()))?;
        let listed = table["msgs"].as_object().ok_or_else(|| wrong("msgs"))?;
        let mut ids = HashMap::new();
        for (index, name) in listed.keys().enumerate() {
            ids.insert(name.as_str(), u32::try_from(index).map_err(|_| wrong("msgs"))?);
        }
        let mut messages = Vec::with_capacity(listed.len());
        for (name, fields) in listed {
            let fields = fields.as_array().ok_or_else(|| wrong(name))?;
            let parsed: Option<Vec<Field>> = fields.iter().map(|field| parse_field(field, &ids, &table)).collect();
            let mut parsed = parsed.ok_or_else(|| wrong(name))?;
            parsed.sort_by_key(|field| field.number);
            messages.push(parsed);
        }
        let mut kinds = HashMap::new();
        for (kind, message) in table["gvk"].as_object().ok_or_else(|| wrong("gvk"))? {
            let id = message.as_str().and_then(|m| ids.get(m)).ok_or_else(|| wrong(kind))?;
            kinds.insert(kind.clone(), *id);
        }
        let schema = *ids.get(SCHEMA).ok_or_else(|| wrong(SCHEMA))?;
        Ok(Self { messages, kinds, schema })
    }

    pub(super) fn find(&self, api_version: &str, kind: &str) -> Option<MessageId> {
        // Options are of every group: each scheme registers them under its own versions.
        let of_meta = || kind.ends_with("Options").then(|| self.kinds.get(&format!("v1/{kind}"))).flatten();
        self.kinds.get(&format!("{api_version}/{kind}")).or_else(of_meta).copied()
    }

    pub(super) fn field(&self, message: MessageId, number: u32) -> Option<&Field> {
        let fields = self.messages.get(message as usize)?;
        fields.binary_search_by_key(&number, |field| field.number).ok().map(|at| &fields[at])
    }

    pub(super) fn schema(&self) -> MessageId {
        self.schema
    }
}

fn parse_field(field: &Value, ids: &HashMap<&str, MessageId>, table: &Value) -> Option<Field> {
    let flags = field["f"].as_u64()?;
    Some(Field {
        number: u32::try_from(field["n"].as_u64()?).ok()?,
        name: field["j"].as_str()?.to_owned(),
        kind: parse_kind(field["t"].as_str()?, ids, table)?,
        cardinality: match field["c"].as_str()? {
            "list" => Cardinality::List,
            "map" => Cardinality::Map,
            _ => Cardinality::One,
        },
        pointer: flags & 1 != 0,
        omit_empty: flags & 2 != 0,
        inline: flags & 8 != 0,
    })
}

fn parse_kind(text: &str, ids: &HashMap<&str, MessageId>, table: &Value) -> Option<Kind> {
    Some(match text {
        "string" => Kind::Text,
        "int" => Kind::Integer,
        "bool" => Kind::Boolean,
        "bytes" => Kind::Bytes,
        "double" => Kind::Double,
        "time" => Kind::Time { micros: false },
        "microtime" => Kind::Time { micros: true },
        "duration" => Kind::Duration,
        "rawjson" => Kind::RawJson,
        "quantity" => Kind::Quantity,
        "intorstr" => Kind::IntOrString,
        "jspob" => Kind::SchemaOr(Box::new(Kind::Boolean)),
        "jspoa" => Kind::SchemaOr(Box::new(Kind::Message(*ids.get(SCHEMA)?))),
        "jspsa" => Kind::SchemaOr(Box::new(Kind::Text)),
        other => match (other.strip_prefix("m:"), other.strip_prefix("wrap:")) {
            (Some(name), _) => Kind::Message(*ids.get(name)?),
            (_, Some(name)) => {
                let element = table["msgs"][name][0]["t"].as_str()?;
                Kind::Wrapped(Box::new(parse_kind(element, ids, table)?))
            }
            _ => return None,
        },
    })
}
