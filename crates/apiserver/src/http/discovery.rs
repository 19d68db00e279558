//! Discovery: which groups, versions and resources there are, in the old form (a document a group version) and in the
//! aggregated one (`apidiscovery.k8s.io/v2`).

use apimachinery::resource::{Resource, SubresourceInfo};
use http::HeaderMap;
use serde_json::{Value, json};

use super::negotiate::accepted;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Whether the client prefers aggregated discovery.
pub(crate) fn wants_aggregated(headers: &HeaderMap) -> bool {
    accepted(headers).first().is_some_and(|r| {
        r.parameter("g") == "apidiscovery.k8s.io" && r.parameter("v") == "v2" && r.name == "application/json"
    })
}

/// The media type of aggregated discovery.
pub(crate) fn aggregated_media_type() -> &'static str {
    AGGREGATED
}

fn versions_of(group: &str) -> Vec<&'static str> {
    api::GROUP_VERSIONS.iter().filter(|(g, _)| *g == group).map(|(_, version)| *version).collect()
}

fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&str> = Vec::new();
    for (group, _) in api::GROUP_VERSIONS {
        if !group.is_empty() && !groups.contains(group) {
            groups.push(group);
        }
    }
    groups
}

fn resources_of(group: &str, version: &str) -> impl Iterator<Item = &'static Resource> {
    api::RESOURCES.iter().filter(move |r| r.group == group && r.version == version)
}

/// The document of `/api` (`core`) or `/apis`.
pub(crate) fn aggregated(core: bool) -> Value {
    let groups = if core { vec![""] } else { groups() };
    let items: Vec<Value> = groups
        .into_iter()
        .map(|group| {
            let versions: Vec<Value> = versions_of(group)
                .into_iter()
                .map(|version| {
                    let resources: Vec<Value> = resources_of(group, version).map(aggregated_resource).collect();
                    json!({"version": version, "freshness": "Current", "resources": resources})
                })
                .collect();
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
}

fn aggregated_resource(resource: &'static Resource) -> Value {
    let mut out = json!({
        "resource": resource.plural,
        "responseKind": {"group": "", "version": "", "kind": resource.kind},
        "scope": if resource.namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        out["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        out["categories"] = json!(resource.categories);
    }
    if !resource.subresources.is_empty() {
        let one = |s: &SubresourceInfo| {
            json!({
                "subresource": s.name, "verbs": s.verbs,
                "responseKind": {"group": s.group, "version": s.version, "kind": s.kind},
            })
        };
        out["subresources"] = resource.subresources.iter().map(one).collect();
    }
    out
}

/// `/api` in the old form.
pub(crate) fn api_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// `/apis` in the old form.
pub(crate) fn group_list() -> Value {
    let groups: Vec<Value> = groups().into_iter().filter_map(group_body).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub(crate) fn group(name: &str) -> Option<Value> {
    let mut body = group_body(name)?;
    body["kind"] = json!("APIGroup");
    body["apiVersion"] = json!("v1");
    Some(body)
}

fn group_body(name: &str) -> Option<Value> {
    let versions: Vec<Value> = versions_of(name)
        .into_iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    let preferred = versions.first()?.clone();
    Some(json!({"name": name, "versions": versions, "preferredVersion": preferred}))
}

/// `/api/v1` or `/apis/GROUP/VERSION`.
pub(crate) fn resource_list(group: &str, version: &str) -> Option<Value> {
    if !api::GROUP_VERSIONS.contains(&(group, version)) {
        return None;
    }
    let mut entries = Vec::new();
    for resource in resources_of(group, version) {
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced(),
            "kind": resource.kind, "verbs": resource.verbs,
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            entry["categories"] = json!(resource.categories);
        }
        entries.push(entry);
        for subresource in resource.subresources {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural, subresource.name), "singularName": "",
                "namespaced": resource.namespaced(), "kind": subresource.kind, "verbs": subresource.verbs,
            });
            if !subresource.version.is_empty() {
                entry["group"] = json!(subresource.group);
                entry["version"] = json!(subresource.version);
            }
            entries.push(entry);
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries,
    }))
}

#[cfg(test)]
mod tests;
