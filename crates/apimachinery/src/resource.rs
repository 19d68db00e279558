//! What a resource is called and how it may be reached. The table of all built-in resources is in crate `api`.

/// Whether objects live in namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Objects live in a namespace.
    Namespaced,
    /// Objects live in the cluster.
    Cluster,
}

/// A subresource and what it takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubresourceInfo {
    /// `status`, `scale`, `log` …
    pub name: &'static str,
    /// Group of the kind that it speaks, where that differs from the resource's.
    pub group: &'static str,
    /// Version of that kind; empty: the resource's own.
    pub version: &'static str,
    /// The kind that it speaks.
    pub kind: &'static str,
    /// The verbs that it serves, sorted.
    pub verbs: &'static [&'static str],
}

/// One resource of one group and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// `v1` …
    pub version: &'static str,
    /// `Pod`.
    pub kind: &'static str,
    /// `pods`: the name in paths.
    pub plural: &'static str,
    /// `pod`.
    pub singular: &'static str,
    /// `po`.
    pub short_names: &'static [&'static str],
    /// `all` …
    pub categories: &'static [&'static str],
    /// Namespaced or not.
    pub scope: Scope,
    /// The verbs that it serves, sorted. A resource with only `create` is not stored (reviews, bindings).
    pub verbs: &'static [&'static str],
    /// Its subresources.
    pub subresources: &'static [SubresourceInfo],
    /// The name of its schema in the OpenAPI documents.
    pub schema: &'static str,
}

impl Resource {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether this is `other`: the same resource in the same version. (Constants have no address to compare.)
    pub fn is(&self, other: &Resource) -> bool {
        self.plural == other.plural && self.group == other.group && self.version == other.version
    }

    /// Whether objects live in namespaces.
    pub fn namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Whether objects of it are stored at all.
    pub fn stored(&self) -> bool {
        self.verbs.contains(&"get")
    }

    /// The subresource called `name`.
    pub fn subresource(&self, name: &str) -> Option<&'static SubresourceInfo> {
        self.subresources.iter().find(|s| s.name == name)
    }
}
