//! The schemas of a custom resource and of its list.

use registry::CustomType;
use serde_json::{Map, Value, json};

use super::Version;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// `com.example.stable.v1.CronTab`, for `stable.example.com/v1`.
pub(super) fn name(ty: &CustomType, kind: &str) -> String {
    let group: Vec<&str> = ty.resource.group.rsplit('.').collect();
    format!("{}.{}.{kind}", group.join("."), ty.resource.version)
}

/// The schemas of the kind and of its list.
pub(super) fn of_type(ty: &CustomType, version: Version) -> Map<String, Value> {
    let kind = ty.resource.kind;
    let list_kind = format!("{kind}List");
    let item = name(ty, kind);
    let mut list = json!({
        "type": "object", "required": ["items"], "description": format!("{list_kind} is a list of {kind}"),
        "properties": {"items": {
            "type": "array", "items": version.reference(&item),
            "description": format!("List of {}.", ty.resource.plural),
        }},
    });
    add_meta(&mut list, LIST_META, "Standard list metadata.", version);
    list["x-kubernetes-group-version-kind"] = json!([group_version_kind(ty, &list_kind)]);
    Map::from_iter([(item, of_kind(ty, version)), (name(ty, &list_kind), list)])
}

/// The extension that says which kind something is about.
pub(super) fn group_version_kind(ty: &CustomType, kind: &str) -> Value {
    json!({"group": ty.resource.group, "kind": kind, "version": ty.resource.version})
}

fn of_kind(ty: &CustomType, version: Version) -> Value {
    let declared = &ty.declared_schema;
    let open = declared["x-kubernetes-preserve-unknown-fields"] == true;
    let mut schema = if version == Version::Two && open {
        // Clients of version 2 take a schema with fields for one that allows no others.
        json!({"type": "object"})
    } else {
        let mut schema = declared.clone();
        if version == Version::Two {
            to_version_2(&mut schema);
        }
        add_meta(&mut schema, OBJECT_META, "Standard object's metadata.", version);
        schema
    };
    schema["x-kubernetes-group-version-kind"] = json!([group_version_kind(ty, ty.resource.kind)]);
    schema
}

fn add_meta(schema: &mut Value, meta: &str, description: &str, version: Version) {
    let reference = version.reference(meta);
    let metadata = match version {
        Version::Two => {
            let mut metadata = reference;
            metadata["description"] = json!(description);
            metadata
        }
        Version::Three => json!({"description": description, "allOf": [reference]}),
    };
    let properties = &mut schema["properties"];
    if !properties.is_object() {
        *properties = json!({});
    }
    for header in ["apiVersion", "kind"] {
        properties[header] = json!({"type": "string"});
    }
    properties["metadata"] = metadata;
    if let Some(properties) = properties.as_object_mut() {
        api::openapi::describe_header(properties);
    }
}

/// Takes out what version 2 can't say, and what its clients stumble over.
fn to_version_2(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    for key in ["allOf", "oneOf", "anyOf", "not"] {
        fields.remove(key);
    }
    let nullable = fields.remove("nullable") == Some(Value::Bool(true));
    let open = fields.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    if nullable || open {
        fields.remove("items");
        fields.remove("properties");
    }
    let is = |fields: &Map<String, Value>, ty: &str| fields.get("type").and_then(Value::as_str) == Some(ty);
    if nullable || (is(fields, "array") && !fields.contains_key("items")) || (open && is(fields, "object")) {
        fields.remove("type");
    }
    let may_be_null: Vec<String> = fields
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, property)| property["nullable"] == true)
        .map(|(name, _)| name.clone())
        .collect();
    if let Some(Value::Array(required)) = fields.get_mut("required") {
        required.retain(|name| !may_be_null.iter().any(|free| name == free.as_str()));
        if required.is_empty() {
            fields.remove("required");
        }
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(to_version_2);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(below) = fields.get_mut(key) {
            to_version_2(below);
        }
    }
}
