//! The operations of a custom resource, by path.

use registry::CustomType;
use serde_json::{Map, Value, json};

use super::Version;
use super::definition::{group_version_kind, name};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";
const PATCH_TYPES: [&str; 2] = ["application/json-patch+json", "application/merge-patch+json"];
const WRITE: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];
const DELETE: &[&str] = &["dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"];
const LIST: &[&str] = &[
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
];

/// One operation.
struct Operation {
    method: &'static str,
    /// `x-kubernetes-action`.
    action: &'static str,
    /// The first word of the operation's id.
    verb: &'static str,
    query: &'static [&'static str],
    /// The schema of the body, if it takes one.
    body: Option<String>,
    /// The schema of the answer.
    answer: String,
}

/// All paths of a custom resource with their operations.
pub(super) fn of_type(ty: &CustomType, version: Version) -> Map<String, Value> {
    let resource = ty.resource;
    let root = format!("/apis/{}/{}", resource.group, resource.version);
    let everywhere = format!("{root}/{}", resource.plural);
    let collection = match resource.namespaced() {
        true => format!("{root}/namespaces/{{namespace}}/{}", resource.plural),
        false => everywhere.clone(),
    };
    let kind = name(ty, resource.kind);
    let list = name(ty, &format!("{}List", resource.kind));
    let status = format!("{META}.Status");
    let listing = |answer: &str| Operation {
        method: "get",
        action: "list",
        verb: "list",
        query: LIST,
        body: None,
        answer: answer.to_owned(),
    };
    let delete = |action, verb, query| Operation {
        method: "delete",
        action,
        verb,
        query,
        body: Some(format!("{META}.DeleteOptions")),
        answer: status.clone(),
    };
    let change = |of: &str| {
        let operation = |method, action, verb, query, body: Option<String>| Operation {
            method,
            action,
            verb,
            query,
            body,
            answer: of.to_owned(),
        };
        [
            operation("get", "get", "read", &["resourceVersion"], None),
            operation("put", "put", "replace", WRITE, Some(of.to_owned())),
            operation("patch", "patch", "patch", WRITE, Some(format!("{META}.Patch"))),
        ]
    };
    let create = Operation {
        method: "post",
        action: "post",
        verb: "create",
        query: WRITE,
        body: Some(kind.clone()),
        answer: kind.clone(),
    };
    let mut paths = Map::new();
    let mut add = |path: String, suffix: &str, operations: Vec<Operation>| {
        paths.insert(path.clone(), item(ty, version, &path, suffix, operations));
    };
    if resource.namespaced() {
        add(everywhere, "ForAllNamespaces", vec![listing(&list)]);
    }
    let all = vec![listing(&list), create, delete("deletecollection", "deletecollection", LIST)];
    add(collection.clone(), "", all);
    let mut one: Vec<Operation> = change(&kind).into();
    one.push(delete("delete", "delete", DELETE));
    add(format!("{collection}/{{name}}"), "", one);
    for subresource in resource.subresources {
        let (of, suffix) = if subresource.name == "scale" { (SCALE, "Scale") } else { (kind.as_str(), "Status") };
        add(format!("{collection}/{{name}}/{}", subresource.name), suffix, change(of).into());
    }
    paths
}

/// A path with its operations.
fn item(ty: &CustomType, version: Version, path: &str, suffix: &str, operations: Vec<Operation>) -> Value {
    let mut item = Map::new();
    let in_path = ["name", "namespace"].into_iter().filter(|name| path.contains(&format!("{{{name}}}")));
    let parameters: Vec<Value> = in_path.map(|name| parameter(name, "path", version)).collect();
    if !parameters.is_empty() {
        item.insert("parameters".to_owned(), Value::Array(parameters));
    }
    for operation in operations {
        item.insert(operation.method.to_owned(), described(ty, version, suffix, &operation));
    }
    Value::Object(item)
}

fn parameter(name: &str, place: &str, version: Version) -> Value {
    let ty = match name {
        "limit" | "timeoutSeconds" | "gracePeriodSeconds" => "integer",
        "watch" | "allowWatchBookmarks" | "sendInitialEvents" | "orphanDependents" => "boolean",
        _ => "string",
    };
    let mut parameter = json!({"name": name, "in": place});
    if place == "path" {
        parameter["required"] = json!(true);
    }
    match version {
        Version::Two => parameter["type"] = json!(ty),
        Version::Three => parameter["schema"] = json!({"type": ty}),
    }
    parameter
}

fn described(ty: &CustomType, version: Version, suffix: &str, operation: &Operation) -> Value {
    let resource = ty.resource;
    let capital = |word: &str| -> String {
        let mut letters = word.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
    };
    let group: String = resource.group.split('.').map(capital).collect();
    let scope = if resource.namespaced() && suffix != "ForAllNamespaces" { "Namespaced" } else { "" };
    let id = format!("{}{group}{}{scope}{}{suffix}", operation.verb, capital(resource.version), resource.kind);
    let mut parameters: Vec<Value> = operation.query.iter().map(|name| parameter(name, "query", version)).collect();
    let code = if operation.method == "post" { "201" } else { "200" };
    let answer = version.reference(&operation.answer);
    let mut out = json!({
        "operationId": id, "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": group_version_kind(ty, resource.kind),
    });
    match version {
        Version::Two => {
            if let Some(body) = &operation.body {
                let required = operation.method != "delete";
                let schema = version.reference(body);
                parameters.push(json!({"name": "body", "in": "body", "required": required, "schema": schema}));
            }
            let consumes = if operation.method == "patch" {
                json!(PATCH_TYPES)
            } else {
                json!(["application/json", "application/yaml"])
            };
            out["consumes"] = consumes;
            out["produces"] = json!(["application/json", "application/yaml"]);
            out["schemes"] = json!(["https"]);
            out["responses"] =
                json!({code: {"description": "OK", "schema": answer}, "401": {"description": "Unauthorized"}});
        }
        Version::Three => {
            let content = |types: &[&str], schema: &Value| -> Value {
                types.iter().map(|ty| ((*ty).to_owned(), json!({"schema": schema}))).collect::<Map<_, _>>().into()
            };
            if let Some(body) = &operation.body {
                let types: &[&str] =
                    if operation.method == "patch" { &PATCH_TYPES } else { &["application/json", "application/yaml"] };
                out["requestBody"] = json!({"content": content(types, &version.reference(body))});
            }
            let answers = content(&["application/json", "application/yaml"], &answer);
            out["responses"] =
                json!({code: {"description": "OK", "content": answers}, "401": {"description": "Unauthorized"}});
        }
    }
    out["parameters"] = Value::Array(parameters);
    out
}
