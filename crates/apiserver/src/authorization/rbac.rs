//! Role-based access control: the roles and bindings as a graph from subjects to rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::resources::{CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES};
use apimachinery::labels::Selector;
use apimachinery::{Object, Reader, UserInfo};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Attributes;
use crate::cache::Caches;

/// The newest events of the four resources: tells whether a graph is current.
pub(crate) type Revisions = [u64; 4];

/// The revisions now.
pub(crate) fn revisions(caches: &Caches) -> Revisions {
    [ROLES, ROLEBINDINGS, CLUSTERROLES, CLUSTERROLEBINDINGS].map(|r| caches.of(r).map_or(0, |c| c.newest()))
}

/// One rule of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PolicyRule {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) api_groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub(crate) non_resource_urls: Vec<String>,
}

impl PolicyRule {
    /// Whether the rule grants what `attributes` ask for.
    pub(crate) fn allows(&self, attributes: &Attributes) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|item| item == "*" || item == wanted);
        if !has(&self.verbs, &attributes.verb) {
            return false;
        }
        if attributes.resource.is_empty() {
            return self.non_resource_urls.iter().any(|url| match url.strip_suffix('*') {
                Some(prefix) => attributes.path.starts_with(prefix),
                None => *url == attributes.path,
            });
        }
        let named = self.resource_names.is_empty()
            || (!attributes.name.is_empty() && self.resource_names.contains(&attributes.name));
        named && has(&self.api_groups, &attributes.group) && self.covers_resource(attributes)
    }

    fn covers_resource(&self, attributes: &Attributes) -> bool {
        self.resources.iter().any(|pattern| {
            if pattern == "*" {
                return true;
            }
            match (pattern.split_once('/'), attributes.subresource.as_str()) {
                (None, "") => *pattern == attributes.resource,
                (None, _) | (Some(_), "") => false,
                (Some((resource, subresource)), wanted) => {
                    (resource == "*" || resource == attributes.resource) && subresource == wanted
                }
            }
        })
    }
}

#[derive(Debug)]
struct Grant {
    rules: Arc<Vec<PolicyRule>>,
    /// For the reason: `ClusterRoleBinding "x" of ClusterRole "y"`.
    binding: String,
}

/// Subjects to the rules that they have, by namespace; the empty namespace means everywhere.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    users: BTreeMap<String, Vec<(String, usize)>>,
    groups: BTreeMap<String, Vec<(String, usize)>>,
    grants: Vec<Grant>,
}

impl Graph {
    /// Reads all roles and bindings.
    pub(crate) fn build(reader: &dyn Reader) -> Self {
        let mut graph = Self::default();
        let cluster_roles: BTreeMap<String, Arc<Vec<PolicyRule>>> = reader
            .list(CLUSTERROLES, "")
            .iter()
            .map(|role| (role.meta().name.clone(), Arc::new(cluster_role_rules(reader, role))))
            .collect();
        for binding in reader.list(CLUSTERROLEBINDINGS, "") {
            let value = binding.value();
            let role = value["roleRef"]["name"].as_str().unwrap_or_default();
            if let Some(rules) = cluster_roles.get(role) {
                let text = format!("ClusterRoleBinding {:?} of ClusterRole {role:?}", binding.meta().name);
                graph.add(&value, "", rules.clone(), text);
            }
        }
        for binding in reader.list(ROLEBINDINGS, "") {
            let (value, meta) = (binding.value(), binding.meta());
            let role = value["roleRef"]["name"].as_str().unwrap_or_default();
            let kind = value["roleRef"]["kind"].as_str().unwrap_or_default();
            let rules = match kind {
                "ClusterRole" => cluster_roles.get(role).cloned(),
                _ => reader.get(ROLES, &meta.namespace, role).map(|role| Arc::new(rules_of(&role))),
            };
            if let Some(rules) = rules {
                let text = format!("RoleBinding {:?} of {kind} {role:?}", meta.key());
                graph.add(&value, &meta.namespace, rules, text);
            }
        }
        graph
    }

    fn add(&mut self, binding: &Value, namespace: &str, rules: Arc<Vec<PolicyRule>>, text: String) {
        let index = self.grants.len();
        for subject in binding["subjects"].as_array().into_iter().flatten() {
            let name = subject["name"].as_str().unwrap_or_default();
            let (map, key) = match subject["kind"].as_str().unwrap_or_default() {
                "User" => (&mut self.users, name.to_owned()),
                "Group" => (&mut self.groups, name.to_owned()),
                "ServiceAccount" => {
                    let own = subject["namespace"].as_str().filter(|n| !n.is_empty()).unwrap_or(namespace);
                    (&mut self.users, format!("system:serviceaccount:{own}:{name}"))
                }
                _ => continue,
            };
            map.entry(key).or_default().push((namespace.to_owned(), index));
        }
        self.grants.push(Grant { rules, binding: text });
    }

    /// The grants of `user` that hold in `namespace` (the empty one: only those that hold everywhere).
    fn of<'a>(&'a self, user: &'a UserInfo, namespace: &'a str) -> impl Iterator<Item = &'a Grant> {
        let own = self.users.get(&user.name).into_iter().flatten();
        let shared = user.groups.iter().filter_map(|group| self.groups.get(group)).flatten();
        own.chain(shared)
            .filter(move |(place, _)| place.is_empty() || place == namespace)
            .map(|(_, i)| &self.grants[*i])
    }

    /// Why `user` may, if RBAC says so.
    pub(crate) fn grants(&self, user: &UserInfo, attributes: &Attributes) -> Option<String> {
        let found = self.of(user, &attributes.namespace).find(|g| g.rules.iter().any(|rule| rule.allows(attributes)));
        found.map(|grant| format!("RBAC: allowed by {} to User {:?}", grant.binding, user.name))
    }

    /// All rules that `user` has in `namespace`.
    pub(crate) fn rules(&self, user: &UserInfo, namespace: &str) -> Vec<PolicyRule> {
        self.of(user, namespace).flat_map(|grant| grant.rules.iter().cloned()).collect()
    }
}

fn rules_of(role: &Object) -> Vec<PolicyRule> {
    serde_json::from_value(role.value()["rules"].take()).unwrap_or_default()
}

/// An aggregated role has the rules of all roles that it selects. Upstream's controller writes them into the role; here
/// they are read where they are.
fn cluster_role_rules(reader: &dyn Reader, role: &Object) -> Vec<PolicyRule> {
    let value = role.value();
    let mut rules = rules_of(role);
    for selector in value["aggregationRule"]["clusterRoleSelectors"].as_array().into_iter().flatten() {
        let Ok(selector) = Selector::from_label_selector(selector) else { continue };
        for other in reader.list(CLUSTERROLES, "") {
            if other.meta().name != role.meta().name && selector.matches(&other.meta().labels) {
                rules.extend(cluster_role_rules(reader, &other));
            }
        }
    }
    rules
}
