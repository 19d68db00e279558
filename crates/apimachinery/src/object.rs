//! An object at rest: parsed metadata (what lists, watches and selectors need) and the JSON bytes, shared by all who
//! hold it. A typed view is decoded when first asked for, once, and shared too.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A reference to an owner, as in `metadata.ownerReferences`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerReference {
    /// The owner's `apiVersion`.
    pub api_version: String,
    /// The owner's kind.
    pub kind: String,
    /// The owner's name.
    pub name: String,
    /// The owner's uid.
    pub uid: String,
    /// Whether this owner controls the object; at most one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    /// Whether foreground deletion of the owner waits for this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}

/// The metadata that the machinery itself reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the fields are ObjectMeta's")]
pub struct Meta {
    pub name: String,
    pub generate_name: String,
    pub namespace: String,
    pub uid: String,
    #[serde(deserialize_with = "resource_version")]
    pub resource_version: u64,
    pub generation: i64,
    pub creation_timestamp: Option<Timestamp>,
    pub deletion_timestamp: Option<Timestamp>,
    pub deletion_grace_period_seconds: Option<i64>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub owner_references: Vec<OwnerReference>,
    pub finalizers: Vec<String>,
}

fn resource_version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    if text.is_empty() { Ok(0) } else { text.parse().map_err(serde::de::Error::custom) }
}

impl Meta {
    /// The owner that controls the object.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|o| o.controller == Some(true))
    }

    /// `namespace/name`, or `name` where there is no namespace: the key of work queues and indexes.
    pub fn key(&self) -> String {
        if self.namespace.is_empty() { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }
}

/// Why bytes are not an object.
#[derive(Debug, thiserror::Error)]
#[error("failed to decode {what}")]
pub struct DecodeError {
    /// What was decoded: a Rust type or "object metadata".
    pub what: &'static str,
    /// What the decoder says.
    pub source: serde_json::Error,
}

/// Begins the metadata of stored JSON. Neither `apiVersion` nor `kind`, which come before it, can hold this text.
const METADATA: &[u8] = b"\"metadata\":{";

#[derive(Deserialize)]
struct MetaOnly {
    #[serde(default)]
    metadata: Meta,
}

/// An object with its metadata parsed. Immutable: a change makes another one.
pub struct Object {
    meta: Meta,
    json: Bytes,
    typed: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Object {
    /// Reads an object from its JSON.
    pub fn from_json(json: Bytes) -> Result<Self, DecodeError> {
        let parsed: MetaOnly =
            serde_json::from_slice(&json).map_err(|source| DecodeError { what: "object metadata", source })?;
        Ok(Self { meta: parsed.metadata, json, typed: OnceLock::new() })
    }

    /// Takes over what the datastore keeps (see [`Object::to_stored`]) of the write that made `revision`.
    pub fn from_stored(stored: &[u8], revision: u64) -> Result<Self, DecodeError> {
        let at = stored.windows(METADATA.len()).position(|w| w == METADATA).map_or(0, |at| at + METADATA.len());
        let version = format!("\"resourceVersion\":\"{revision}\"");
        let comma = if stored.get(at) == Some(&b'}') { "" } else { "," };
        let json = [&stored[..at], version.as_bytes(), comma.as_bytes(), &stored[at..]].concat();
        Self::from_json(json.into())
    }

    /// The bytes that the datastore keeps: `apiVersion`, `kind` and `metadata` first, without a resource version, which
    /// is the datastore's revision of the write and known only afterwards.
    pub fn to_stored(value: &Value) -> Result<Bytes, DecodeError> {
        let mut metadata = value["metadata"].as_object().cloned().unwrap_or_default();
        metadata.remove("resourceVersion");
        Self::laid_out(value, &metadata)
    }

    /// An object as JSON whose first fields are `apiVersion`, `kind` and this `metadata`: lists and the datastore cut there.
    fn laid_out(value: &Value, metadata: &Map<String, Value>) -> Result<Bytes, DecodeError> {
        let failed = |source| DecodeError { what: "object", source };
        let mut out = Vec::with_capacity(1024);
        let empty = Map::new();
        let object = value.as_object().unwrap_or(&empty);
        out.push(b'{');
        for header in ["apiVersion", "kind"] {
            if let Some(field) = object.get(header) {
                out.extend_from_slice(format!("\"{header}\":").as_bytes());
                serde_json::to_writer(&mut out, field).map_err(failed)?;
                out.push(b',');
            }
        }
        out.extend_from_slice(b"\"metadata\":");
        serde_json::to_writer(&mut out, metadata).map_err(failed)?;
        for (key, field) in object {
            if !matches!(key.as_str(), "apiVersion" | "kind" | "metadata") {
                out.push(b',');
                serde_json::to_writer(&mut out, key).map_err(failed)?;
                out.push(b':');
                serde_json::to_writer(&mut out, field).map_err(failed)?;
            }
        }
        out.push(b'}');
        out.shrink_to_fit();
        Ok(out.into())
    }

    /// The JSON without the outer `apiVersion` and `kind`, as items of a list are sent; without its opening brace.
    pub fn json_without_header(&self) -> &[u8] {
        let at = self.json.windows(METADATA.len()).position(|w| w == METADATA).unwrap_or(0);
        &self.json[at.max(1)..]
    }

    /// Takes over a dynamic value.
    pub fn from_value(value: &Value) -> Result<Self, DecodeError> {
        let none = Map::new();
        let metadata = value["metadata"].as_object().unwrap_or(&none);
        Self::from_json(Self::laid_out(value, metadata)?)
    }

    /// The metadata.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The whole object as JSON.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// A dynamic value of the whole object, parsed anew: for writes, not for hot paths.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or(Value::Null)
    }

    /// The object as a typed value. The first caller decodes; all later ones share that value as long as they ask for
    /// the same type, which a resource's readers do.
    pub fn typed<K: DeserializeOwned + Send + Sync + 'static>(&self) -> Result<Arc<K>, DecodeError> {
        let decode = || -> Result<Arc<K>, DecodeError> {
            serde_json::from_slice(&self.json)
                .map(Arc::new)
                .map_err(|source| DecodeError { what: std::any::type_name::<K>(), source })
        };
        if let Some(shared) = self.typed.get() {
            return match shared.clone().downcast::<K>() {
                Ok(typed) => Ok(typed),
                Err(_) => decode(),
            };
        }
        let typed = decode()?;
        let _ = self.typed.set(typed.clone());
        Ok(typed)
    }
}

impl std::fmt::Debug for Object {
    /// Names the object; its content may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object")
            .field("namespace", &self.meta.namespace)
            .field("name", &self.meta.name)
            .field("resource_version", &self.meta.resource_version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
