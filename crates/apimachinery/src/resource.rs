//! What a resource is called and how it may be reached. The table of all built-in resources is in crate `api`; those of
//! custom resources are made here when their definitions are accepted.

use std::sync::LazyLock;

use parking_lot::Mutex;

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
    /// The name of its schema in the OpenAPI documents; empty for a custom resource, whose definition has it.
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

    /// Whether a CustomResourceDefinition describes it.
    pub fn is_custom(&self) -> bool {
        self.schema.is_empty()
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

/// What a definition says of one version of a custom resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are CustomResourceDefinition's")]
pub struct CustomNames<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    pub plural: &'a str,
    pub singular: &'a str,
    pub short_names: Vec<&'a str>,
    pub categories: Vec<&'a str>,
    pub namespaced: bool,
    /// Whether it has the subresource `status`.
    pub status: bool,
    /// Whether it has the subresource `scale`.
    pub scale: bool,
}

/// What every custom resource serves.
const CUSTOM_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

impl Resource {
    /// The resource of these names. It lives as long as the process, as the built-in ones do: each is made once, however
    /// often its definition comes and goes, so what stays behind is bounded by the number of different definitions.
    pub fn custom(names: &CustomNames<'_>) -> &'static Self {
        static ALL: LazyLock<Mutex<Vec<&'static Resource>>> = LazyLock::new(Mutex::default);
        let scope = if names.namespaced { Scope::Namespaced } else { Scope::Cluster };
        let mut all = ALL.lock();
        let same = |r: &&&'static Self| {
            let called = [r.group, r.version, r.kind, r.plural, r.singular];
            called == [names.group, names.version, names.kind, names.plural, names.singular]
                && r.short_names == names.short_names
                && r.categories == names.categories
                && r.scope == scope
                && r.subresource("status").is_some() == names.status
                && r.subresource("scale").is_some() == names.scale
        };
        if let Some(known) = all.iter().find(same) {
            return known;
        }
        let keep = |text: &str| -> &'static str { text.to_owned().leak() };
        let keep_all = |texts: &[&str]| -> &'static [&'static str] {
            texts.iter().map(|text| keep(text)).collect::<Vec<_>>().leak()
        };
        let kind = keep(names.kind);
        let verbs = &["get", "patch", "update"];
        let mut subresources = Vec::new();
        if names.scale {
            subresources.push(SubresourceInfo {
                name: "scale",
                group: "autoscaling",
                version: "v1",
                kind: "Scale",
                verbs,
            });
        }
        if names.status {
            subresources.push(SubresourceInfo { name: "status", group: "", version: "", kind, verbs });
        }
        let made: &'static Self = Box::leak(Box::new(Self {
            group: keep(names.group),
            version: keep(names.version),
            kind,
            plural: keep(names.plural),
            singular: keep(names.singular),
            short_names: keep_all(&names.short_names),
            categories: keep_all(&names.categories),
            scope,
            verbs: CUSTOM_VERBS,
            subresources: subresources.leak(),
            schema: "",
        }));
        all.push(made);
        made
    }
}
