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

/// `NAME<tab>TEXT` for a type, `<tab>FIELD<tab>TEXT` for each of its fields; made by the build.
const ARCHIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.gz"));
/// A type that says of `apiVersion` and `kind` what holds for all objects.
const HEADER: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

static ALL: LazyLock<HashMap<String, Description>> = LazyLock::new(|| {
    let mut text = String::new();
    let read = GzDecoder::new(ARCHIVE).read_to_string(&mut text);
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

/// The checksum of all descriptions: the last eight bytes of a gzip file are that of its content, and its length.
pub(super) fn checksum() -> u32 {
    let trailer = ARCHIVE.len().saturating_sub(8);
    ARCHIVE[trailer..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Describes `apiVersion` and `kind` among the properties of an object's schema.
pub fn describe_header(properties: &mut Map<String, Value>) {
    let Some(header) = ALL.get(HEADER) else { return };
    for field in ["apiVersion", "kind"] {
        if let (Some(property), Some(text)) = (properties.get_mut(field), header.fields.get(field)) {
            put(property, text);
        }
    }
}

/// Puts descriptions into schemas that have none, by their names: `io.k8s.api.core.v1.Pod`.
pub fn describe(schemas: &mut Map<String, Value>) {
    for (name, schema) in schemas.iter_mut() {
        let is_kind = !schema["x-kubernetes-group-version-kind"].is_null();
        if let Some(properties) = schema["properties"].as_object_mut().filter(|_| is_kind) {
            describe_header(properties);
        }
        let Some(description) = ALL.get(name.as_str()) else { continue };
        put(schema, &description.text);
        for (field, property) in schema["properties"].as_object_mut().into_iter().flatten() {
            if let Some(text) = description.fields.get(field) {
                put(property, text);
            }
        }
    }
}

/// Describes the answers of all operations, as both versions of OpenAPI demand.
pub fn describe_answers(paths: &mut Map<String, Value>) {
    let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(|item| item.values_mut());
    let answers = operations.filter_map(|operation| operation.get_mut("responses")?.as_object_mut());
    for (code, answer) in answers.flatten() {
        let text = match code.as_str() {
            "200" => "OK",
            "201" => "Created",
            "202" => "Accepted",
            "401" => "Unauthorized",
            _ => continue,
        };
        put(answer, text);
    }
}

fn put(schema: &mut Value, text: &str) {
    if schema.is_object() && schema["description"].is_null() && !text.is_empty() {
        let in_version_3 = schema["$ref"].as_str().is_some_and(|reference| reference.starts_with("#/components/"));
        if let Some(reference) =
            schema.as_object_mut().filter(|_| in_version_3).and_then(|fields| fields.remove("$ref"))
        {
            // What stands beside a reference is not read there.
            schema["allOf"] = json!([{"$ref": reference}]);
        }
        schema["description"] = json!(text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::{describe, describe_answers};

    #[test]
    fn types_and_fields_are_described() {
        let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
        let pod = "io.k8s.api.core.v1.Pod";
        let mut schemas = Map::from_iter([
            (meta.to_owned(), json!({"properties": {"creationTimestamp": {"type": "string"}, "odd": {}}})),
            (
                pod.to_owned(),
                json!({
                    "properties": {"apiVersion": {"type": "string"}, "spec": {"$ref": "#/components/schemas/x"}},
                    "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Pod"}],
                }),
            ),
        ]);
        describe(&mut schemas);
        let text = |value: &serde_json::Value| value["description"].as_str().unwrap_or_default().to_owned();
        assert!(text(&schemas[meta]).starts_with("ObjectMeta is metadata"));
        let created = &schemas[meta]["properties"]["creationTimestamp"];
        assert!(
            text(created).starts_with("CreationTimestamp is a timestamp") && text(created).contains("\n\nPopulated")
        );
        assert_eq!(schemas[meta]["properties"]["odd"], json!({}));
        let version = &schemas[pod]["properties"]["apiVersion"];
        assert!(text(version).starts_with("APIVersion defines the versioned schema"), "{version}");
        let spec = &schemas[pod]["properties"]["spec"];
        assert_eq!(spec["allOf"], json!([{"$ref": "#/components/schemas/x"}]));
        assert!(text(spec).starts_with("Specification of the desired behavior of the pod"));
    }

    #[test]
    fn version_2_keeps_its_references() {
        let mut schemas = Map::from_iter([(
            "io.k8s.api.core.v1.Pod".to_owned(),
            json!({"properties": {"spec": {"$ref": "#/definitions/x"}}}),
        )]);
        describe(&mut schemas);
        let spec = &schemas["io.k8s.api.core.v1.Pod"]["properties"]["spec"];
        assert_eq!(spec["$ref"], "#/definitions/x");
        assert!(spec["description"].is_string());
    }

    #[test]
    fn answers_are_described() {
        let mut paths = Map::from_iter([(
            "/x".to_owned(),
            json!({"parameters": [], "get": {"responses": {"200": {"schema": {}}, "401": {}}}}),
        )]);
        describe_answers(&mut paths);
        let expected = json!({"200": {"schema": {}, "description": "OK"}, "401": {"description": "Unauthorized"}});
        assert_eq!(paths["/x"]["get"]["responses"], expected);
    }
}
