//! Discovery: which groups, versions and resources there are, in the old form (a document a group version) and in the
//! aggregated one (`apidiscovery.k8s.io/v2`).

use std::sync::Arc;

use apimachinery::resource::{Resource, SubresourceInfo};
use http::HeaderMap;
use serde_json::{Value, json};

use super::negotiate::accepted;
use crate::catalog::CustomResources;

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

/// Everything that is served at one time, as discovery tells it.
pub(crate) struct Discovery(pub(crate) Arc<CustomResources>);

impl Discovery {
    /// The versions of a group, the preferred one first.
    fn versions_of(&self, group: &str) -> Vec<&str> {
        let built_in = api::GROUP_VERSIONS.iter().filter(|(g, _)| *g == group).map(|(_, version)| *version);
        let mut versions: Vec<&str> = built_in.collect();
        let mut custom: Vec<&str> =
            self.0.iter().map(|served| served.ty.resource).filter(|r| r.group == group).map(|r| r.version).collect();
        custom.sort_by_key(|version| std::cmp::Reverse(rank(version)));
        custom.retain(|version| !versions.contains(version));
        custom.dedup();
        versions.extend(custom);
        versions
    }

    /// The groups but the core one: the built-in ones in upstream's order, then the custom ones by name.
    fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = Vec::new();
        let custom = self.0.iter().map(|served| served.ty.resource.group);
        for group in api::GROUP_VERSIONS.iter().map(|(group, _)| *group).chain(custom) {
            if !group.is_empty() && !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }

    fn resources_of(&self, group: &str, version: &str) -> Vec<&'static Resource> {
        let custom = self.0.iter().map(|served| served.ty.resource);
        api::RESOURCES.iter().chain(custom).filter(|r| r.group == group && r.version == version).collect()
    }

    /// All groups with their versions, but for the core one.
    pub(crate) fn group_versions(&self) -> Vec<(&str, &str)> {
        let of = |group| self.versions_of(group).into_iter().map(move |version| (group, version));
        self.groups().into_iter().flat_map(of).collect()
    }

    /// The document of `/api` (`core`) or `/apis`.
    pub(crate) fn aggregated(&self, core: bool) -> Value {
        let groups = if core { vec![""] } else { self.groups() };
        let items: Vec<Value> = groups
            .into_iter()
            .map(|group| {
                let versions: Vec<Value> = self
                    .versions_of(group)
                    .into_iter()
                    .map(|version| {
                        let resources = self.resources_of(group, version).into_iter().map(aggregated_resource);
                        let resources: Vec<Value> = resources.collect();
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

    /// `/apis` in the old form.
    pub(crate) fn group_list(&self) -> Value {
        let groups: Vec<Value> = self.groups().into_iter().filter_map(|group| self.group_body(group)).collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    }

    /// `/apis/GROUP`.
    pub(crate) fn group(&self, name: &str) -> Option<Value> {
        let mut body = self.group_body(name)?;
        body["kind"] = json!("APIGroup");
        body["apiVersion"] = json!("v1");
        Some(body)
    }

    fn group_body(&self, name: &str) -> Option<Value> {
        let versions: Vec<Value> = self
            .versions_of(name)
            .into_iter()
            .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
            .collect();
        let preferred = versions.first()?.clone();
        Some(json!({"name": name, "versions": versions, "preferredVersion": preferred}))
    }

    /// `/api/v1` or `/apis/GROUP/VERSION`.
    pub(crate) fn resource_list(&self, group: &str, version: &str) -> Option<Value> {
        if !api::GROUP_VERSIONS.contains(&(group, version)) && !self.0.serves(group, version) {
            return None;
        }
        let entries: Vec<Value> = self.resources_of(group, version).into_iter().flat_map(listed).collect();
        let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        Some(json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries,
        }))
    }
}

/// How versions are preferred: stable ones over beta over alpha, newer ones over older, all over other words
/// (upstream: `apimachinery/pkg/version`).
fn rank(version: &str) -> (u8, u64, u64, std::cmp::Reverse<String>) {
    let parsed = version.strip_prefix('v').and_then(|rest| {
        let (stage, major, minor) = match (rest.split_once("alpha"), rest.split_once("beta")) {
            (Some((major, minor)), _) => (1, major, minor),
            (_, Some((major, minor))) => (2, major, minor),
            _ => (3, rest, "0"),
        };
        Some((stage, major.parse().ok()?, minor.parse().ok()?))
    });
    let word = std::cmp::Reverse(version.to_owned());
    parsed.map_or((0, 0, 0, word.clone()), |(stage, major, minor)| (stage, major, minor, word))
}

fn aggregated_resource(resource: &'static Resource) -> Value {
    // Of built-in kinds upstream leaves out what the document says above.
    let (group, version) = if resource.is_custom() { (resource.group, resource.version) } else { ("", "") };
    let mut out = json!({
        "resource": resource.plural,
        "responseKind": {"group": group, "version": version, "kind": resource.kind},
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
            let (group, version) = if s.version.is_empty() { (group, version) } else { (s.group, s.version) };
            json!({
                "subresource": s.name, "verbs": s.verbs,
                "responseKind": {"group": group, "version": version, "kind": s.kind},
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

/// The entries of a resource and its subresources in the old form.
fn listed(resource: &'static Resource) -> Vec<Value> {
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
    let mut entries = vec![entry];
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
    entries
}

#[cfg(test)]
mod tests;
