//! Reads what the server has: in two requests where it aggregates (Kubernetes 1.26 and newer), else group by group.

use std::sync::Arc;

use bytes::Bytes;
use client::{RestClient, RestError};
use http::Method;
use http::header::ACCEPT;
use serde_json::Value;

use super::{Group, Mapper, ResourceType};
use crate::error::KubectlError;

/// The forms that are understood, the best one first.
const FORMS: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                     application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

impl Mapper {
    /// Asks the server.
    pub(crate) async fn discover(client: &RestClient) -> Result<Self, KubectlError> {
        let mut mapper = Self::default();
        for (path, prefix) in [("/api", "/api/"), ("/apis", "/apis/")] {
            let response = match client.request(Method::GET, path, &[(ACCEPT, FORMS)], Bytes::new()).await {
                Ok(response) => response.json()?,
                // A server without the one or the other is still a server.
                Err(RestError::Api(error)) if matches!(error.code, 403 | 404) => continue,
                Err(error) => return Err(error.into()),
            };
            match response["kind"].as_str() {
                Some("APIGroupDiscoveryList") => mapper.add_aggregated(&response),
                _ => mapper.add_plain(client, prefix, &response).await?,
            }
        }
        Ok(mapper)
    }

    /// Takes over an `APIGroupDiscoveryList`.
    pub(super) fn add_aggregated(&mut self, list: &Value) {
        for item in list["items"].as_array().into_iter().flatten() {
            let mut group = Group { name: text(&item["metadata"]["name"]), versions: Vec::new() };
            for version in item["versions"].as_array().into_iter().flatten() {
                let name = text(&version["version"]);
                for resource in version["resources"].as_array().into_iter().flatten() {
                    self.add_resource(&group.name, &name, resource);
                }
                group.versions.push(name);
            }
            self.groups.push(group);
        }
    }

    fn add_resource(&mut self, group: &str, version: &str, resource: &Value) {
        let subresources = resource["subresources"].as_array().into_iter().flatten();
        self.resources.push(Arc::new(ResourceType {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: text(&resource["resource"]),
            singular: text(&resource["singularResource"]),
            kind: text(&resource["responseKind"]["kind"]),
            namespaced: resource["scope"] == "Namespaced",
            short_names: texts(&resource["shortNames"]),
            categories: texts(&resource["categories"]),
            verbs: texts(&resource["verbs"]),
            subresources: subresources.map(|sub| text(&sub["subresource"])).collect(),
        }));
    }

    /// Takes over an `APIVersions` or `APIGroupList`, asking for each version's resources.
    async fn add_plain(&mut self, client: &RestClient, prefix: &str, list: &Value) -> Result<(), KubectlError> {
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        if list["kind"] == "APIVersions" {
            groups.push((String::new(), texts(&list["versions"])));
        }
        for group in list["groups"].as_array().into_iter().flatten() {
            let preferred = text(&group["preferredVersion"]["version"]);
            let versions = group["versions"].as_array().into_iter().flatten().map(|v| text(&v["version"]));
            let mut versions: Vec<String> = versions.collect();
            versions.sort_by_key(|version| *version != preferred);
            groups.push((text(&group["name"]), versions));
        }
        for (name, versions) in groups {
            for version in &versions {
                let path =
                    if name.is_empty() { format!("{prefix}{version}") } else { format!("{prefix}{name}/{version}") };
                // One group that fails (an aggregated server that is down) hides only itself.
                if let Ok(list) = client.get_json(&path).await {
                    self.add_resource_list(&name, version, &list);
                }
            }
            self.groups.push(Group { name, versions });
        }
        Ok(())
    }

    fn add_resource_list(&mut self, group: &str, version: &str, list: &Value) {
        let resources: Vec<&Value> = list["resources"].as_array().into_iter().flatten().collect();
        for resource in resources.iter().filter(|r| !text(&r["name"]).contains('/')) {
            let plural = text(&resource["name"]);
            let prefix = format!("{plural}/");
            let subresources = resources.iter().filter_map(|r| r["name"].as_str()?.strip_prefix(&prefix));
            self.resources.push(Arc::new(ResourceType {
                group: group.to_owned(),
                version: version.to_owned(),
                singular: text(&resource["singularName"]),
                kind: text(&resource["kind"]),
                namespaced: resource["namespaced"] == true,
                short_names: texts(&resource["shortNames"]),
                categories: texts(&resource["categories"]),
                verbs: texts(&resource["verbs"]),
                subresources: subresources.map(str::to_owned).collect(),
                plural,
            }));
        }
    }
}
