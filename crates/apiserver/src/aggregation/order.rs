//! In which order groups and their versions are told: by the priorities of their APIServices (upstream:
//! `SortedByGroupAndVersion` in `kube-aggregator/pkg/apis/apiregistration`).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::{ApiService, OWN_GROUP};
use crate::catalog::CustomResources;

/// The priorities of custom resources' groups and versions.
const OF_CUSTOM: Priorities = Priorities { group: 1000, version: 100 };
/// The group of the APIServices is the first.
const OF_OWN: Priorities = Priorities { group: i64::MAX, version: 1 };

#[derive(Debug, Clone, Copy)]
struct Priorities {
    group: i64,
    version: i64,
}

/// A group with its versions, the preferred one first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GroupVersions {
    pub(crate) group: String,
    pub(crate) versions: Vec<String>,
}

/// The priorities of the built-in group versions, by the names of their APIServices, should those be gone.
static OF_BUILT_IN: LazyLock<BTreeMap<String, Priorities>> = LazyLock::new(|| {
    let objects = api::openapi::bootstrap_objects();
    let own = objects.iter().filter(|object| object["kind"] == "APIService");
    own.map(|object| (object["metadata"]["name"].as_str().unwrap_or_default().to_owned(), priorities(&object["spec"])))
        .collect()
});

fn priorities(spec: &Value) -> Priorities {
    let number = |key: &str| spec[key].as_i64().unwrap_or_default();
    Priorities { group: number("groupPriorityMinimum"), version: number("versionPriority") }
}

/// All group versions but those of the core group: built-in ones, custom ones, and those of other servers.
pub(crate) fn group_versions<'a>(
    custom: &CustomResources,
    api_services: impl Iterator<Item = &'a ApiService>,
) -> Vec<GroupVersions> {
    let name = |group: &str, version: &str| format!("{version}.{group}");
    let mut found: BTreeMap<String, (String, String, Priorities)> = BTreeMap::new();
    for (group, version) in api::GROUP_VERSIONS {
        let name = name(group, version);
        let default = if *group == OWN_GROUP { OF_OWN } else { OF_CUSTOM };
        let priorities = OF_BUILT_IN.get(&name).copied().unwrap_or(default);
        found.insert(name, ((*group).to_owned(), (*version).to_owned(), priorities));
    }
    for resource in custom.iter().map(|served| served.ty.resource) {
        let entry = (resource.group.to_owned(), resource.version.to_owned(), OF_CUSTOM);
        found.entry(name(resource.group, resource.version)).or_insert(entry);
    }
    for service in api_services {
        let spec = &service.spec;
        let priorities = Priorities { group: spec.group_priority_minimum, version: spec.version_priority };
        let name = name(&spec.group, &spec.version);
        match found.get_mut(&name) {
            Some(entry) if spec.group != OWN_GROUP => entry.2 = priorities,
            None if service.is_remote() => {
                found.insert(name, (spec.group.clone(), spec.version.clone(), priorities));
            }
            _ => {}
        }
    }
    let mut all: Vec<(String, (String, String, Priorities))> =
        found.into_iter().filter(|(_, (group, ..))| !group.is_empty()).collect();
    all.sort_by_key(|(name, (_, _, priorities))| (Reverse(priorities.group), name.clone()));
    let mut groups: Vec<(String, Vec<(i64, String)>)> = Vec::new();
    for (_, (group, version, priorities)) in all {
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, versions)) => versions.push((priorities.version, version)),
            None => groups.push((group, vec![(priorities.version, version)])),
        }
    }
    let sorted = |(group, mut versions): (String, Vec<(i64, String)>)| {
        versions.sort_by_key(|(priority, version)| Reverse((*priority, rank(version))));
        GroupVersions { group, versions: versions.into_iter().map(|(_, version)| version).collect() }
    };
    groups.into_iter().map(sorted).collect()
}

/// How versions are preferred: stable ones over beta over alpha, newer ones over older, all over other words
/// (upstream: `apimachinery/pkg/version`).
fn rank(version: &str) -> (u8, u64, u64, Reverse<String>) {
    let parsed = version.strip_prefix('v').and_then(|rest| {
        let (stage, major, minor) = match (rest.split_once("alpha"), rest.split_once("beta")) {
            (Some((major, minor)), _) => (1, major, minor),
            (_, Some((major, minor))) => (2, major, minor),
            _ => (3, rest, "0"),
        };
        Some((stage, major.parse().ok()?, minor.parse().ok()?))
    });
    let word = Reverse(version.to_owned());
    parsed.map_or((0, 0, 0, word.clone()), |(stage, major, minor)| (stage, major, minor, word))
}

#[cfg(test)]
mod tests;
