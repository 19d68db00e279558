//! An object at rest: parsed metadata (what lists, watches and selectors need) and the JSON bytes, shared by all who
//! hold it. A typed view is decoded when first asked for, once, and shared too.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

    /// Takes over a dynamic value.
    pub fn from_value(value: &Value) -> Result<Self, DecodeError> {
        let json = serde_json::to_vec(value).map_err(|source| DecodeError { what: "object", source })?;
        Self::from_json(json.into())
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
