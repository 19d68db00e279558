//! What becomes of one APIService (upstream: the table before `checkAPIService` in
//! `kube-aggregator/pkg/controllers/autoregister`).

use serde_json::{Value, json};

/// The label of APIServices that are looked after here.
const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
/// The priorities of custom resources: low, and the same for all, so that versions are told by their names.
const GROUP_PRIORITY: u32 = 1000;
const VERSION_PRIORITY: u32 = 100;

/// How long an APIService is looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ManagedBy {
    /// Once, when the server starts: an administrator may then change or delete it.
    Start,
    /// For ever.
    Always,
}

impl ManagedBy {
    fn of(api_service: &Value) -> Option<Self> {
        match api_service["metadata"]["labels"][AUTOMANAGED].as_str() {
            Some("onstart") => Some(Self::Start),
            Some("true") => Some(Self::Always),
            _ => None,
        }
    }
}

/// What is seen of an APIService.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    /// How it should be, if it should be: the spec.
    pub(super) wanted: Option<(ManagedBy, &'a Value)>,
    pub(super) current: Option<&'a Value>,
    /// Whether it was looked after since the server started.
    pub(super) settled: bool,
    /// Whether it was there then.
    pub(super) there_at_start: bool,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    Create,
    Update,
    Delete,
}

pub(super) fn plan(observed: &Observed<'_>) -> Action {
    let wanted = observed.wanted;
    if wanted.is_some_and(|(managed, _)| managed == ManagedBy::Start) && observed.settled {
        return Action::Nothing;
    }
    let Some(current) = observed.current else {
        return if wanted.is_some() { Action::Create } else { Action::Nothing };
    };
    match ManagedBy::of(current) {
        // Somebody else's, who has the last word.
        None => return Action::Nothing,
        Some(ManagedBy::Start) if !observed.there_at_start || observed.settled => return Action::Nothing,
        Some(_) => {}
    }
    match wanted {
        None => Action::Delete,
        Some((_, spec)) if current["spec"] == *spec => Action::Nothing,
        Some(_) => Action::Update,
    }
}

/// The APIService `VERSION.GROUP`, if a definition serves that.
pub(super) fn of_definitions(name: &str, definitions: &[Value]) -> Option<Value> {
    let (version, group) = name.split_once('.')?;
    let serves = |definition: &Value| {
        let mut versions = definition["spec"]["versions"].as_array().into_iter().flatten();
        definition["spec"]["group"] == group && versions.any(|v| v["name"] == version && v["served"] == true)
    };
    definitions.iter().any(serves).then(|| {
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": name, "labels": {AUTOMANAGED: "true"}},
            "spec": {
                "group": group, "version": version,
                "groupPriorityMinimum": GROUP_PRIORITY, "versionPriority": VERSION_PRIORITY,
            },
        })
    })
}

#[cfg(test)]
mod tests;
