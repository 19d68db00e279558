//! Discovery: which groups, versions and resources there are, in the old form (a document a group version) and in the
//! aggregated one (`apidiscovery.k8s.io/v2`).

use std::sync::Arc;

use apimachinery::resource::{Resource, SubresourceInfo};
use futures_util::future::join_all;
use http::HeaderMap;
use serde_json::{Value, json};

use super::negotiate::accepted;
use crate::aggregation::{Aggregator, ApiService, GroupVersions, group_versions};
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
pub(crate) struct Discovery {
    custom: Arc<CustomResources>,
    /// What other servers serve.
    remote: Vec<Arc<ApiService>>,
    groups: Vec<GroupVersions>,
}

impl Discovery {
    /// What this server has, and what the APIServices name.
    pub(crate) fn new(custom: Arc<CustomResources>, api_services: Vec<Arc<ApiService>>) -> Self {
        let groups = group_versions(&custom, api_services.iter().map(|service| &**service));
        let remote = api_services.into_iter().filter(|service| service.is_remote()).collect();
        Self { custom, remote, groups }
    }

    /// Who serves a group version, if that is another server.
    fn remote(&self, group: &str, version: &str) -> Option<&ApiService> {
        let mut all = self.remote.iter();
        all.find(|service| service.spec.group == group && service.spec.version == version).map(|service| &**service)
    }

    fn resources_of(&self, group: &str, version: &str) -> Vec<&'static Resource> {
        let custom = self.custom.iter().map(|served| served.ty.resource);
        api::RESOURCES.iter().chain(custom).filter(|r| r.group == group && r.version == version).collect()
    }

    /// All groups with their versions, but for the core one.
    pub(crate) fn group_versions(&self) -> Vec<(&str, &str)> {
        let all = self.groups.iter().flat_map(|group| group.versions.iter().map(move |version| (group, version)));
        all.map(|(group, version)| (group.group.as_str(), version.as_str())).collect()
    }

    /// The document of `/api` (`core`) or `/apis`. Other servers are asked at the same time.
    pub(crate) async fn aggregated(&self, core: bool, aggregator: &Aggregator) -> Value {
        let the_core = [GroupVersions { group: String::new(), versions: vec!["v1".to_owned()] }];
        let groups = if core { &the_core[..] } else { &self.groups };
        let items = groups.iter().map(|GroupVersions { group, versions }| async move {
            let versions = versions.iter().map(|version| self.version_entry(group, version, aggregator));
            let versions = join_all(versions).await;
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            json!({"metadata": metadata, "versions": versions})
        });
        let items = join_all(items).await;
        json!({
            "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
        })
    }

    async fn version_entry(&self, group: &str, version: &str, aggregator: &Aggregator) -> Value {
        if let Some(service) = self.remote(group, version) {
            return aggregator.discovery(service).await;
        }
        let resources: Vec<Value> = self.resources_of(group, version).into_iter().map(aggregated_resource).collect();
        json!({"version": version, "freshness": "Current", "resources": resources})
    }

    /// Adds the OpenAPI documents of other servers to the index of them.
    pub(crate) async fn add_documents(&self, index: &mut Value, aggregator: &Aggregator) {
        let entries =
            self.remote.iter().map(|service| async move { (service, aggregator.openapi_entry(service).await) });
        for (service, entry) in join_all(entries).await {
            if let Some(entry) = entry {
                index["paths"][service.path().trim_start_matches('/')] = entry;
            }
        }
    }

    /// `/apis` in the old form.
    pub(crate) fn group_list(&self) -> Value {
        let groups: Vec<Value> = self.groups.iter().map(group_body).collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    }

    /// `/apis/GROUP`.
    pub(crate) fn group(&self, name: &str) -> Option<Value> {
        let mut body = group_body(self.groups.iter().find(|group| group.group == name)?);
        body["kind"] = json!("APIGroup");
        body["apiVersion"] = json!("v1");
        Some(body)
    }

    /// `/api/v1` or `/apis/GROUP/VERSION`.
    pub(crate) fn resource_list(&self, group: &str, version: &str) -> Option<Value> {
        if !api::GROUP_VERSIONS.contains(&(group, version)) && !self.custom.serves(group, version) {
            return None;
        }
        let entries: Vec<Value> = self.resources_of(group, version).into_iter().flat_map(listed).collect();
        let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        Some(json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries,
        }))
    }
}

fn group_body(group: &GroupVersions) -> Value {
    let name = &group.group;
    let of = |version: &String| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let versions: Vec<Value> = group.versions.iter().map(of).collect();
    let preferred = versions.first().cloned();
    json!({"name": name, "versions": versions, "preferredVersion": preferred})
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
