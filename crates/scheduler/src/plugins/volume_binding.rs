//! A Pod's claims: those that are bound reach the node, for the others there are volumes, or some can be made there
//! (upstream: `pkg/scheduler/framework/plugins/volumebinding`).
//!
//! Absent: what CSI drivers say of their free space (`CSIStorageCapacity`), and volumes of old types whose drivers have moved
//! to CSI, for no such driver is served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, TopologySelectorTerm};
use registry::volumes::{
    NO_PROVISIONER, capacity, class_of_claim, class_of_volume, find_match, fits_labels, is_for_pod, is_fully_bound,
    requested, selected_node, volume_of,
};

use crate::framework::{Filter, FilterPlugin, MAX_NODE_SCORE, Score, ScorePlugin, Status};
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;
use crate::volumes::{Found, Volumes};

#[derive(Debug)]
pub(super) struct VolumeBinding;

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

/// A Pod's claims, as far as the nodes matter to them.
#[derive(Debug, Default)]
struct Claims<'a> {
    bound: Vec<&'a PersistentVolumeClaim>,
    /// Those that have waited for the Pod, the smallest first.
    waiting: Vec<&'a Arc<PersistentVolumeClaim>>,
    /// The volumes of their classes.
    volumes: Vec<&'a Arc<PersistentVolume>>,
}

/// Looks at the claims of a Pod. `Err` says why it can run nowhere.
fn claims<'a>(pod: &PodInfo, volumes: &'a Volumes) -> Result<Claims<'a>, String> {
    let mut claims = Claims::default();
    let mut is_immediate = false;
    for (name, ephemeral) in &pod.claims {
        let Some(claim) = volumes.claim(pod.namespace(), name) else {
            return Err(match ephemeral {
                true => {
                    format!("waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}")
                }
                false => not_found(name),
            });
        };
        if claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost") {
            let volume = volume_of(claim);
            return Err(format!("persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"));
        }
        if claim.metadata.deletion_timestamp.is_some() {
            return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
        }
        if *ephemeral {
            is_for_pod(&pod.pod, claim)?;
        }
        match (is_fully_bound(claim), waits_for_pod(claim, volumes)) {
            (true, _) => claims.bound.push(claim),
            (false, true) => claims.waiting.push(claim),
            (false, false) => is_immediate = true,
        }
    }
    if is_immediate {
        return Err("pod has unbound immediate PersistentVolumeClaims".to_owned());
    }
    claims.waiting.sort_by_key(|claim| requested(claim));
    let classes: BTreeSet<&str> = claims.waiting.iter().map(|claim| class_of_claim(claim)).collect();
    claims.volumes = match classes.is_empty() {
        true => Vec::new(),
        false => volumes.volumes().filter(|volume| classes.contains(class_of_volume(volume))).collect(),
    };
    Ok(claims)
}

pub(super) fn not_found(claim: &str) -> String {
    format!("persistentvolumeclaim {claim:?} not found")
}

/// Whether a claim is bound no earlier than a Pod uses it. One that names its volume is the binder's in any case.
fn waits_for_pod(claim: &PersistentVolumeClaim, volumes: &Volumes) -> bool {
    let class = volumes.class(class_of_claim(claim));
    volume_of(claim).is_empty()
        && class.and_then(|class| class.volume_binding_mode.as_deref()) == Some("WaitForFirstConsumer")
}

/// What a Pod's claims would get on a node; `None` if they can get nothing there or need nothing.
pub(crate) fn reservable(pod: &PodInfo, volumes: &Volumes, node: &Node) -> Option<Found> {
    find(&claims(pod, volumes).ok()?, volumes, node).ok()
}

fn find(claims: &Claims<'_>, volumes: &Volumes, node: &Node) -> Result<Found, Status> {
    let (mut reaches, mut exists) = (true, true);
    for claim in &claims.bound {
        match volumes.volume(volume_of(claim)) {
            None => exists = false,
            Some(volume) => reaches = fits_labels(volume, node.metadata.labels.as_ref()),
        }
        if !(exists && reaches) {
            break;
        }
    }
    let waiting = find_waiting(claims, volumes, node);
    let reasons = [
        (!reaches).then_some("node(s) didn't match PersistentVolume's node affinity"),
        waiting.is_none().then_some("node(s) didn't find available persistent volumes to bind"),
        (!exists).then_some("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"),
    ];
    let reasons: Vec<String> = reasons.into_iter().flatten().map(str::to_owned).collect();
    match waiting {
        Some(found) if reasons.is_empty() => Ok(found),
        _ => Err(Status { reasons, unresolvable: true }),
    }
}

/// What the claims that have waited get on a node.
fn find_waiting(claims: &Claims<'_>, volumes: &Volumes, node: &Node) -> Option<Found> {
    let name = node.metadata.name.as_deref();
    let labels = node.metadata.labels.as_ref().unwrap_or(&NO_LABELS);
    let chosen = |claim: &&&Arc<PersistentVolumeClaim>| selected_node(claim).is_some();
    if claims.waiting.iter().filter(chosen).any(|claim| selected_node(claim) != name) {
        return None;
    }
    let mut found = Found::default();
    found.provisions.extend(claims.waiting.iter().filter(chosen).map(|claim| (*claim).clone()));
    let mut taken = BTreeSet::new();
    for claim in claims.waiting.iter().filter(|claim| !chosen(claim)) {
        // Not even one that is meant for it counts if it is of another class.
        let of_class = claims.volumes.iter().copied().filter(|volume| class_of_volume(volume) == class_of_claim(claim));
        match find_match(claim, of_class, Some(labels), &taken, true) {
            Some(volume) => {
                taken.insert(volume.metadata.name.clone().unwrap_or_default());
                found.bindings.push(((*claim).clone(), volume.clone()));
            }
            None => found.provisions.push((*claim).clone()),
        }
    }
    found.provisions.iter().all(|claim| can_be_made(claim, volumes, labels)).then_some(found)
}

/// Whether a volume for a claim can be made on a node with these labels, as far as its class says.
fn can_be_made(claim: &PersistentVolumeClaim, volumes: &Volumes, labels: &BTreeMap<String, String>) -> bool {
    let Some(class) = volumes.class(class_of_claim(claim)) else { return false };
    let topologies = class.allowed_topologies.as_deref().unwrap_or_default();
    let fits = |term: &TopologySelectorTerm| {
        let expressions = term.match_label_expressions.as_deref().unwrap_or_default();
        let has = |key: &str, values: &[String]| labels.get(key).is_some_and(|value| values.contains(value));
        !expressions.is_empty() && expressions.iter().all(|wanted| has(&wanted.key, &wanted.values))
    };
    !class.provisioner.is_empty()
        && class.provisioner != NO_PROVISIONER
        && (topologies.is_empty() || topologies.iter().any(fits))
}

impl FilterPlugin for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }

    fn refuses(&self, pod: &PodInfo, snapshot: &Snapshot) -> Option<String> {
        claims(pod, &snapshot.volumes).err()
    }

    fn filter<'a>(&self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Filter<'a>> {
        if pod.claims.is_empty() {
            return None;
        }
        let claims = claims(pod, &snapshot.volumes).ok()?;
        Some(Box::new(move |node| find(&claims, &snapshot.volumes, &node.node).map(|_| ())))
    }
}

impl ScorePlugin for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }

    fn weight(&self) -> i64 {
        1
    }

    /// The less of the volumes there would be left over, the worse: large ones are kept for large claims.
    fn score<'a>(&self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Score<'a>> {
        let claims = claims(pod, &snapshot.volumes).ok()?;
        if claims.waiting.is_empty() {
            return None;
        }
        Some(Box::new(move |node| {
            let found = find(&claims, &snapshot.volumes, &node.node).unwrap_or_default();
            let mut classes: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
            for (claim, volume) in &found.bindings {
                let (asked, offered) = classes.entry(class_of_volume(volume)).or_default();
                *asked += requested(claim).value();
                *offered += capacity(volume).value();
            }
            let unused = |(asked, offered): &(i64, i64)| match *offered == 0 || asked > offered {
                true => 0,
                false => MAX_NODE_SCORE - MAX_NODE_SCORE * asked / offered,
            };
            let count = i64::try_from(classes.len()).unwrap_or(i64::MAX);
            let sum: i64 = classes.values().map(unused).sum();
            // Rounded half up.
            if count == 0 { 0 } else { (2 * sum + count) / (2 * count) }
        }))
    }
}

#[cfg(test)]
mod tests;
