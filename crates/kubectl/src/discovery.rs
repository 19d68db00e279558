//! Which kinds the server has, and how users name them: aggregated discovery and upstream's RESTMapper. No kind is known
//! beforehand.

mod fetch;

use std::sync::Arc;

use client::rest::encode_segment;

use crate::error::KubectlError;

/// A kind that the server serves in one version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ResourceType {
    /// The API group; empty for the core group.
    pub(crate) group: String,
    /// The version.
    pub(crate) version: String,
    /// `deployments`: the name in paths.
    pub(crate) plural: String,
    /// `deployment`.
    pub(crate) singular: String,
    /// `Deployment`.
    pub(crate) kind: String,
    /// Whether objects live in namespaces.
    pub(crate) namespaced: bool,
    /// `deploy`.
    pub(crate) short_names: Vec<String>,
    /// `all`.
    pub(crate) categories: Vec<String>,
    /// `get`, `list` …
    pub(crate) verbs: Vec<String>,
    /// `status`, `scale` …
    pub(crate) subresources: Vec<String>,
}

impl ResourceType {
    /// `apps/v1`, or `v1` in the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `deployments.apps`, or `pods` in the core group: how messages name the type.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `Deployment.apps`, or `Pod`: a type as Go prints its `GroupKind`.
    pub(crate) fn group_kind(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// `deployment.apps`, or `pod`: how `-o name` begins.
    pub(crate) fn qualified_kind(&self) -> String {
        let kind = self.kind.to_lowercase();
        if self.group.is_empty() { kind } else { format!("{kind}.{}", self.group) }
    }

    /// The path of a collection, or of an object where `name` is not empty. All namespaces where `namespace` is empty.
    pub(crate) fn path(&self, namespace: &str, name: &str) -> String {
        let mut path = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        if self.namespaced && !namespace.is_empty() {
            path.push_str(&format!("/namespaces/{}", encode_segment(namespace)));
        }
        path.push_str(&format!("/{}", self.plural));
        if !name.is_empty() {
            path.push_str(&format!("/{}", encode_segment(name)));
        }
        path
    }

    /// Whether the server offers this verb.
    pub(crate) fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    /// Whether this is the kind of this group.
    pub(crate) fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }
}

/// One group with its versions, the preferred one first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Group {
    /// Its name; empty for the core group.
    pub(crate) name: String,
    /// `v1`, each with whether it could be read.
    pub(crate) versions: Vec<String>,
}

/// All kinds, in the order in which names are resolved: groups as the server orders them, preferred versions first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mapper {
    /// The groups.
    pub(crate) groups: Vec<Group>,
    /// The kinds, group by group and version by version.
    pub(crate) resources: Vec<Arc<ResourceType>>,
}

/// The resource, version and group of a name that has all three.
type FullName<'a> = (&'a str, &'a str, &'a str);

/// `a`, `a.group` or `a.version.group`, as users name types.
fn parts(name: &str) -> (Option<FullName<'_>>, (&str, &str)) {
    let full = match name.splitn(3, '.').collect::<Vec<_>>().as_slice() {
        [resource, version, group] => Some((*resource, *version, *group)),
        _ => None,
    };
    (full, name.split_once('.').unwrap_or((name, "")))
}

impl Mapper {
    /// The types in a version, or in the preferred version of each group.
    fn find(&self, group: &str, version: &str, matches: impl Fn(&ResourceType) -> bool) -> Option<Arc<ResourceType>> {
        let fits = |resource: &ResourceType, exact: bool| {
            let group_fits = match (group.is_empty(), exact) {
                (true, _) => true,
                (false, true) => resource.group == group,
                (false, false) => resource.group.starts_with(group),
            };
            group_fits && (version.is_empty() || resource.version == version) && matches(resource)
        };
        // A group that is written out comes before one that begins so.
        [true, false].into_iter().find_map(|exact| self.resources.iter().find(|r| fits(r, exact)).cloned())
    }

    /// The type of a plural, singular or short name.
    fn by_resource(&self, group: &str, version: &str, name: &str) -> Option<Arc<ResourceType>> {
        let name = name.to_lowercase();
        let exact = self.find(group, version, |r| r.plural == name || r.singular == name);
        exact.or_else(|| self.find(group, version, |r| r.short_names.contains(&name)))
    }

    /// The type that a user names: `pods`, `po`, `Pod`, `deployments.apps`, `deployments.v1.apps`.
    pub(crate) fn resource(&self, name: &str) -> Result<Arc<ResourceType>, KubectlError> {
        let (full, (resource, group)) = parts(name);
        let by_name = full.and_then(|(resource, version, group)| self.by_resource(group, version, resource));
        let found = by_name.or_else(|| self.by_resource(group, "", resource));
        let by_kind = |kind: &str, version: &str, group: &str| {
            self.resources
                .iter()
                .find(|r| r.kind == kind && r.group == group && (version.is_empty() || r.version == version))
                .cloned()
        };
        let found = found.or_else(|| {
            full.and_then(|(kind, version, group)| by_kind(kind, version, group))
                .or_else(|| by_kind(resource, "", group))
        });
        found.ok_or_else(|| {
            let mut text = format!("the server doesn't have a resource type {resource:?}");
            if !group.is_empty() {
                text.push_str(&format!(" in group {group:?}"));
            }
            KubectlError::new(text)
        })
    }

    /// All types that a plural, singular or short name may mean, the first choice first.
    pub(crate) fn candidates(&self, name: &str) -> Vec<Arc<ResourceType>> {
        let name = name.to_lowercase();
        let all = |matches: &dyn Fn(&ResourceType) -> bool| -> Vec<Arc<ResourceType>> {
            self.resources.iter().filter(|r| matches(r)).cloned().collect()
        };
        match all(&|r| r.plural == name || r.singular == name) {
            found if found.is_empty() => all(&|r| r.short_names.contains(&name)),
            found => found,
        }
    }

    /// A sentence for each type of lower priority that a short name could mean, too.
    pub(crate) fn ambiguities(&self, name: &str) -> Vec<String> {
        let (short, group) = name.split_once('.').unwrap_or((name, ""));
        let in_group = |r: &&Arc<ResourceType>| group.is_empty() || r.group == group;
        if self.resources.iter().filter(in_group).any(|r| r.plural == short || r.singular == short) {
            return Vec::new();
        }
        let mut matches: Vec<String> = Vec::new();
        for found in self.resources.iter().filter(in_group).filter(|r| r.short_names.iter().any(|known| known == short))
        {
            if !matches.contains(&found.qualified()) {
                matches.push(found.qualified());
            }
        }
        let others = matches.iter().skip(1);
        others.map(|other| format!("short name {short:?} could also match lower priority resource {other}")).collect()
    }

    /// The type of an object's `apiVersion` and `kind`.
    pub(crate) fn kind(&self, api_version: &str, kind: &str) -> Option<Arc<ResourceType>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.resources.iter().find(|r| r.group == group && r.version == version && r.kind == kind).cloned()
    }

    /// The types of a category such as `all`, in the server's order; none if there is no such category.
    pub(crate) fn category(&self, name: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for resource in self.resources.iter().filter(|r| r.categories.iter().any(|category| category == name)) {
            let qualified = resource.qualified();
            if !found.contains(&qualified) {
                found.push(qualified);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
