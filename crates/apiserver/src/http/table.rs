//! Tables: rows for people, made by the server (`meta.k8s.io/v1 Table`), and metadata-only objects.

use apimachinery::{ApiError, Object, Resource, Strategy};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalog::KindRules;

/// What each row carries of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    None,
    Metadata,
    Object,
}

impl IncludeObject {
    /// Reads the `includeObject` query parameter.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        match text {
            "" | "Metadata" => Ok(Self::Metadata),
            "None" => Ok(Self::None),
            "Object" => Ok(Self::Object),
            other => Err(ApiError::bad_request(format!(
                "includeObject: Unsupported value: {other:?}: supported values: \"Metadata\", \"None\", \"Object\""
            ))),
        }
    }
}

/// The column definitions of a kind.
pub(crate) fn columns(resource: &Resource, rules: &KindRules) -> Value {
    let columns = match rules {
        KindRules::BuiltIn(_) => registry::columns(resource),
        KindRules::Custom(served) => served.ty.columns(),
    };
    let shown = columns.iter().map(|column| {
        json!({
            "name": column.name, "type": column.kind, "format": column.format,
            "description": "", "priority": column.priority,
        })
    });
    shown.collect()
}

/// The row of an object.
pub(crate) fn row(
    resource: &'static Resource,
    rules: &KindRules,
    object: &Object,
    include: IncludeObject,
    now: Timestamp,
) -> Value {
    let cells = match rules {
        // Not the rules of the stored version: the object is in the served one.
        KindRules::BuiltIn(_) => registry::strategy(resource).row(object, now),
        KindRules::Custom(served) => served.ty.row(object, now),
    };
    let cells = cells.unwrap_or_else(|| {
        let created = object.meta().creation_timestamp;
        vec![json!(object.meta().name), created.map_or(Value::Null, |at| json!(at.to_string()))]
    });
    let mut row = json!({"cells": cells});
    match include {
        IncludeObject::None => {}
        IncludeObject::Metadata => row["object"] = metadata_only(object),
        IncludeObject::Object => row["object"] = object.value(),
    }
    row
}

/// A Table; `list_metadata` is that of the list or of the single object.
pub(crate) fn table(columns: Value, rows: Vec<Value>, list_metadata: Value) -> Value {
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": list_metadata,
        "columnDefinitions": columns, "rows": rows,
    })
}

/// A `PartialObjectMetadata`.
pub(crate) fn metadata_only(object: &Object) -> Value {
    let mut value = object.value();
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": value["metadata"].take()})
}
