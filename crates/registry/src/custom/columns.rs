//! Printer columns (upstream: `pkg/registry/customresource/tableconvertor`).

use apimachinery::jsonpath::{JsonPath, print_value};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::Column;
use crate::print::since;
use crate::value::{int, list, text};

/// The columns of a version and where their cells come from: the name, then what the definition says, or the age.
pub(super) fn of_version(version: &Value) -> (Vec<Column>, Vec<JsonPath>) {
    let age = [json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
        "description": "CreationTimestamp is a timestamp representing the server time when this object was created."})];
    let name = json!({"name": "Name", "type": "string", "format": "name", "jsonPath": ".metadata.name"});
    let declared = match list(version, "additionalPrinterColumns") {
        [] => &age,
        declared => declared,
    };
    let parsed = std::iter::once(&name).chain(declared).filter_map(|column| {
        let path = JsonPath::parse(&format!("{{{}}}", text(column, "jsonPath"))).ok()?.allow_missing_keys(true);
        let own = |key: &str| text(column, key).to_owned().into();
        let priority = int(column, "priority").and_then(|p| u8::try_from(p).ok()).unwrap_or(0);
        Some((Column { name: own("name"), kind: own("type"), format: own("format"), priority }, path))
    });
    parsed.unzip()
}

/// The first value that a path selects.
pub(super) fn first(path: &JsonPath, object: &Value) -> Option<Value> {
    path.find(object).ok()?.into_iter().next()?.into_iter().next()
}

/// What a column shows of an object; null where there is nothing that fits its type.
pub(super) fn cell(column: &Column, path: &JsonPath, object: &Value, now: Timestamp) -> Value {
    let Some(value) = first(path, object) else { return Value::Null };
    match (column.kind.as_ref(), value) {
        ("string", value) => json!(print_value(&value)),
        ("integer", Value::Number(number)) => match number.as_i64() {
            Some(whole) => json!(whole),
            #[allow(clippy::cast_possible_truncation, reason = "upstream cuts the fraction off too")]
            None => number.as_f64().map_or(Value::Null, |float| json!(float as i64)),
        },
        ("number", value @ Value::Number(_)) | ("boolean", value @ Value::Bool(_)) => value,
        ("date", Value::String(text)) => match text.parse::<Timestamp>() {
            Ok(then) => json!(since(Some(then), now)),
            Err(_) => json!("<invalid>"),
        },
        _ => Value::Null,
    }
}
