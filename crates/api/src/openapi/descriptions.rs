//! What upstream says of types and fields, for OpenAPI. Read when somebody asks for the first document.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};

/// A type's description and those of its fields.
#[derive(Debug, Default)]
struct Description {
    text: String,
    fields: HashMap<String, String>,
}

static ALL: LazyLock<HashMap<String, Description>> = LazyLock::new(|| {
    let archive = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.gz")).as_slice();
    let mut text = String::new();
    let read = GzDecoder::new(archive).read_to_string(&mut text);
    assert!(read.is_ok(), "the archive was made by the build");
    parse(&text)
});

fn parse(text: &str) -> HashMap<String, Description> {
    let mut all: HashMap<String, Description> = HashMap::new();
    let mut current = String::new();
    for line in text.lines() {
        let (name, description) = line.trim_start_matches('\t').split_once('\t').unwrap_or((line, ""));
        let description = description.replace("\\n", "\n").replace("\\\\", "\\");
        if line.starts_with('\t') {
            all.entry(current.clone()).or_default().fields.insert(name.to_owned(), description);
        } else {
            name.clone_into(&mut current);
            all.entry(current.clone()).or_default().text = description;
        }
    }
    all
}

/// Puts descriptions into schemas that have none, by their names: `io.k8s.api.core.v1.Pod`.
pub fn describe(schemas: &mut Map<String, Value>) {
    for (name, schema) in schemas.iter_mut() {
        let Some(description) = ALL.get(name.as_str()) else { continue };
        put(schema, &description.text);
        for (field, property) in schema["properties"].as_object_mut().into_iter().flatten() {
            if let Some(text) = description.fields.get(field) {
                put(property, text);
            }
        }
    }
}

fn put(schema: &mut Value, text: &str) {
    if schema.is_object() && schema["description"].is_null() && !text.is_empty() {
        if let Some(reference) = schema.as_object_mut().and_then(|fields| fields.remove("$ref")) {
            // What stands beside a reference is not read.
            schema["allOf"] = json!([{"$ref": reference}]);
        }
        schema["description"] = json!(text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::describe;

    #[test]
    fn types_and_fields_are_described() {
        let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
        let pod = "io.k8s.api.core.v1.Pod";
        let mut schemas = Map::from_iter([
            (meta.to_owned(), json!({"properties": {"creationTimestamp": {"type": "string"}, "odd": {}}})),
            (pod.to_owned(), json!({"properties": {"spec": {"$ref": "#/x"}}})),
        ]);
        describe(&mut schemas);
        let text = |value: &serde_json::Value| value["description"].as_str().unwrap_or_default().to_owned();
        assert!(text(&schemas[meta]).starts_with("ObjectMeta is metadata"));
        let created = &schemas[meta]["properties"]["creationTimestamp"];
        assert!(
            text(created).starts_with("CreationTimestamp is a timestamp") && text(created).contains("\n\nPopulated")
        );
        assert_eq!(schemas[meta]["properties"]["odd"], json!({}));
        let spec = &schemas[pod]["properties"]["spec"];
        assert_eq!(spec["allOf"], json!([{"$ref": "#/x"}]));
        assert!(text(spec).starts_with("Specification of the desired behavior of the pod"));
    }
}
