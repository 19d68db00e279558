//! The older form of discovery, made into the newer one (upstream: `ConvertGroupVersionIntoToDiscovery` in
//! `apiserver/pkg/endpoints/installer.go`).

use serde_json::{Map, Value, json};

/// What stands for a kind that is not told.
fn no_kind() -> Value {
    json!({"group": "", "version": "", "kind": ""})
}

/// The resources of an `APIResourceList`, as aggregated discovery tells them.
pub(super) fn resources_of(list: &Value) -> Result<Vec<Value>, String> {
    let all = || list["resources"].as_array().into_iter().flatten();
    let name = |resource: &Value| resource["name"].as_str().unwrap_or_default().to_owned();
    let scope = |resource: &Value| if resource["namespaced"] == true { "Namespaced" } else { "Cluster" };
    let mut out: Vec<Value> = Vec::new();
    for resource in all().filter(|resource| !name(resource).contains('/')) {
        let mut entry = Map::new();
        entry.insert("resource".to_owned(), json!(name(resource)));
        entry.insert("responseKind".to_owned(), kind_of(resource));
        entry.insert("scope".to_owned(), json!(scope(resource)));
        entry.insert("singularResource".to_owned(), json!(resource["singularName"].as_str().unwrap_or_default()));
        entry.insert("verbs".to_owned(), resource["verbs"].clone());
        for key in ["shortNames", "categories"] {
            if resource[key].as_array().is_some_and(|all| !all.is_empty()) {
                entry.insert(key.to_owned(), resource[key].clone());
            }
        }
        out.push(entry.into());
    }
    for resource in all() {
        let name = name(resource);
        let Some((parent, below)) = name.split_once('/') else { continue };
        let scope = scope(resource);
        let at = out.iter().position(|entry| entry["resource"] == parent).unwrap_or_else(|| {
            out.push(json!({
                "resource": parent, "responseKind": no_kind(), "scope": scope, "singularResource": "", "verbs": [],
            }));
            out.len() - 1
        });
        if out[at]["scope"] != scope {
            let whole = &out[at]["scope"];
            return Err(format!(
                "Error: Parent {parent} (scope: {whole}) and subresource {below} (scope: {scope}) scope do not match"
            ));
        }
        let kind = if resource["kind"].as_str().unwrap_or_default().is_empty() { no_kind() } else { kind_of(resource) };
        let subresource = json!({"subresource": below, "responseKind": kind, "verbs": resource["verbs"]});
        match out[at]["subresources"].as_array_mut() {
            Some(subresources) => subresources.push(subresource),
            None => out[at]["subresources"] = json!([subresource]),
        }
    }
    Ok(out)
}

fn kind_of(resource: &Value) -> Value {
    let text = |key: &str| resource[key].as_str().unwrap_or_default();
    json!({"group": text("group"), "version": text("version"), "kind": text("kind")})
}

/// A version's entry in which every resource has a kind: some clients read them without looking.
pub(super) fn with_kinds(mut entry: Value) -> Value {
    for resource in entry["resources"].as_array_mut().into_iter().flatten() {
        if resource["responseKind"].is_null() {
            resource["responseKind"] = no_kind();
        }
        for subresource in resource["subresources"].as_array_mut().into_iter().flatten() {
            if subresource["responseKind"].is_null() {
                subresource["responseKind"] = no_kind();
            }
        }
    }
    entry
}
