//! What a Deployment reads from and writes to its ReplicaSets: sizes, revisions, hashes
//! (upstream: `pkg/controller/deployment/util`).

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::hash;
use crate::percent::scaled;

/// The revision of a set and of the Deployment.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// Earlier revisions of a set that was rolled back to.
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The Deployment's size when the set was last scaled.
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// That size with the surge.
pub(super) const MAX: &str = "deployment.kubernetes.io/max-replicas";
const HASH_LABEL: &str = "pod-template-hash";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const ROLLBACK_TO: &str = "deprecated.deployment.rollback.to";
/// The most characters of the revision history.
const HISTORY_MAX: usize = 2000;
/// The longest name of a set.
const NAME_MAX: usize = 253;

/// A Deployment's numbers, with percentages resolved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) desired: i32,
    pub(super) surge: i32,
    /// The surge without regard to unavailability, for the size of the new set.
    pub(super) surge_raw: i32,
    pub(super) unavailable: i32,
    pub(super) recreate: bool,
}

impl Numbers {
    /// The numbers of `spec`: surge rounds up, unavailability down; if both come to nothing one may be unavailable.
    pub(super) fn of(spec: &DeploymentSpec) -> Self {
        let desired = spec.replicas.unwrap_or(1);
        let strategy = spec.strategy.as_ref();
        let recreate = strategy.and_then(|s| s.type_.as_deref()) == Some("Recreate");
        let rolling = strategy.and_then(|s| s.rolling_update.as_ref());
        if recreate {
            return Self { desired, surge: 0, surge_raw: 0, unavailable: 0, recreate };
        }
        let surge = rolling.and_then(|r| r.max_surge.as_ref()).map_or(0, |v| scaled(v, desired, true));
        let mut unavailable = rolling.and_then(|r| r.max_unavailable.as_ref()).map_or(0, |v| scaled(v, desired, false));
        if surge == 0 && unavailable == 0 {
            unavailable = 1;
        }
        if desired == 0 {
            unavailable = 0;
        }
        Self { desired, surge, surge_raw: surge, unavailable: unavailable.min(desired), recreate }
    }
}

pub(super) fn name(set: &ReplicaSet) -> String {
    set.metadata.name.clone().unwrap_or_default()
}

/// The size that a set should have.
pub(super) fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(0)
}

/// The size that a set has.
pub(super) fn actual(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map_or(0, |s| s.replicas)
}

pub(super) fn ready(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|s| s.ready_replicas).unwrap_or(0)
}

pub(super) fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|s| s.available_replicas).unwrap_or(0)
}

fn annotation<'a>(set: &'a ReplicaSet, key: &str) -> Option<&'a str> {
    set.metadata.annotations.as_ref().and_then(|a| a.get(key)).map(String::as_str)
}

/// An annotation that is a number and not negative.
pub(super) fn annotation_number(set: &ReplicaSet, key: &str) -> Option<i32> {
    annotation(set, key).and_then(|text| text.parse().ok()).filter(|n| *n >= 0)
}

pub(super) fn revision_of(set: &ReplicaSet) -> i64 {
    annotation(set, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Whether a set was made from the Deployment's template; the hash label does not count.
pub(super) fn same_template(deployment: &Deployment, set: &ReplicaSet) -> bool {
    let without_hash = |template: Option<&PodTemplateSpec>| {
        let mut template = template.cloned().unwrap_or_default();
        if let Some(metadata) = &mut template.metadata {
            if let Some(labels) = &mut metadata.labels {
                labels.remove(HASH_LABEL);
            }
            if metadata.labels.as_ref().is_some_and(BTreeMap::is_empty) {
                metadata.labels = None;
            }
            metadata.creation_timestamp = None;
        }
        template
    };
    without_hash(Some(&deployment.spec.template)) == without_hash(set.spec.template.as_ref())
}

/// The set for the Deployment's template, without its size.
pub(super) fn new_replica_set(deployment: &Deployment, spec: &DeploymentSpec, collisions: Option<i32>) -> ReplicaSet {
    let mut template = spec.template.clone();
    let hash = hash::of_template(serde_json::to_vec(&template).unwrap_or_default(), collisions);
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH_LABEL.to_owned(), hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector.clone();
    selector.match_labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash.clone());
    let owner = deployment.metadata.name.clone().unwrap_or_default();
    let mut base = owner.clone();
    base.truncate(NAME_MAX - 1 - hash.len());
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{base}-{hash}")),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![OwnerReference {
                api_version: "apps/v1".to_owned(),
                kind: "Deployment".to_owned(),
                name: owner,
                uid: deployment.metadata.uid.clone().unwrap_or_default(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        spec: ReplicaSetSpec {
            min_ready_seconds: spec.min_ready_seconds,
            replicas: None,
            selector,
            template: Some(template),
        },
        status: None,
    }
}

/// Copies the Deployment's annotations to the set and gives it `revision`, remembering the one that it had before.
/// True if anything changed.
pub(super) fn set_annotations(deployment: &Deployment, set: &mut ReplicaSet, revision: i64) -> bool {
    const OWN: [&str; 6] = [LAST_APPLIED, REVISION, REVISION_HISTORY, DESIRED, MAX, ROLLBACK_TO];
    let annotations = set.metadata.annotations.get_or_insert_default();
    let mut changed = false;
    for (key, value) in deployment.metadata.annotations.iter().flatten() {
        if !OWN.contains(&key.as_str()) && annotations.get(key) != Some(value) {
            annotations.insert(key.clone(), value.clone());
            changed = true;
        }
    }
    let before = annotations.get(REVISION).cloned();
    let Ok(number) = before.as_deref().filter(|text| !text.is_empty()).unwrap_or("0").parse::<i64>() else {
        return changed;
    };
    if number >= revision {
        return changed;
    }
    annotations.insert(REVISION.to_owned(), revision.to_string());
    if let Some(before) = before {
        let history = annotations.get(REVISION_HISTORY).cloned().unwrap_or_default();
        let mut entries: Vec<&str> = history.split(',').filter(|entry| !entry.is_empty()).collect();
        entries.push(&before);
        while entries.len() > 1 && entries.iter().map(|e| e.len() + 1).sum::<usize>() > HISTORY_MAX {
            entries.remove(0);
        }
        annotations.insert(REVISION_HISTORY.to_owned(), entries.join(","));
    }
    true
}

/// Notes the Deployment's size on the set. True if that changes it.
pub(super) fn desired_annotations(set: &mut ReplicaSet, numbers: &Numbers) -> bool {
    let annotations = set.metadata.annotations.get_or_insert_default();
    let mut changed = false;
    for (key, number) in [(DESIRED, numbers.desired), (MAX, numbers.desired + numbers.surge)] {
        let text = number.to_string();
        if annotations.get(key) != Some(&text) {
            annotations.insert(key.to_owned(), text);
            changed = true;
        }
    }
    changed
}

/// A set's share of a change of size, from its share before.
pub(super) fn fraction_of(set: &ReplicaSet, numbers: &Numbers, deployment: &Deployment) -> i32 {
    let size = replicas(set);
    if numbers.desired == 0 {
        return -size;
    }
    let status_size = deployment.status.as_ref().and_then(|s| s.replicas).unwrap_or(0);
    let before = annotation_number(set, MAX).filter(|n| *n != 0).unwrap_or(status_size);
    if before == 0 {
        return 0;
    }
    let target = f64::from(size * (numbers.desired + numbers.surge)) / f64::from(before);
    target.round() as i32 - size
}
