//! The next step of a rolling update. Pure.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::plan::Observed;
use super::pod::Suits;
use crate::pods;

/// A node's Pods that are not leaving, if there is one of each kind at most.
enum Pair<'a> {
    /// The Pod of the newest template, one of another.
    Of(Option<&'a Arc<Pod>>, Option<&'a Arc<Pod>>),
    /// There are too many, which is put right first.
    TooMany,
}

fn pair<'a>(observed: &Observed<'_>, pods: &'a [Arc<Pod>]) -> Pair<'a> {
    let staying = pods.iter().filter(|pod| !pods::is_leaving(pod));
    let (new, old): (Vec<_>, Vec<_>) = staying.partition(|pod| observed.is_updated(pod));
    if new.len() > 1 || old.len() > 1 {
        return Pair::TooMany;
    }
    Pair::Of(new.first().copied(), old.first().copied())
}

/// The nodes that get another Pod, and the Pods that go.
pub(super) fn step(observed: &Observed<'_>) -> (Vec<String>, Vec<Arc<Pod>>) {
    let desired = observed.desired();
    match observed.allowance(desired) {
        (unavailable, 0) => (Vec::new(), replace(observed, unavailable.max(usize::from(desired > 0)))),
        (_, surge) => surge_step(observed, surge, desired),
    }
}

/// The nodes that have Pods or should have one.
fn nodes<'a>(observed: &'a Observed<'_>) -> impl Iterator<Item = (&'a String, &'a [Arc<Pod>])> {
    let empty = observed.nodes.iter().filter(|(node, suits)| **suits == Suits::Yes && observed.on(node).is_empty());
    let empty = empty.map(|(node, _)| (node, &[] as &[Arc<Pod>]));
    observed.pods.iter().map(|(node, pods)| (node, pods.as_slice())).chain(empty)
}

/// Without a surge a Pod goes first, and its node gets a new one when it is gone. A Pod that is not available goes at
/// once; of the others so many that no more than `max_unavailable` are missing.
fn replace(observed: &Observed<'_>, max_unavailable: usize) -> Vec<Arc<Pod>> {
    let mut unavailable = 0;
    let (mut broken, mut candidates) = (Vec::new(), Vec::new());
    for (_, pods) in nodes(observed) {
        match pair(observed, pods) {
            Pair::TooMany | Pair::Of(None, None) | Pair::Of(Some(_), Some(_)) => unavailable += 1,
            Pair::Of(Some(new), None) => unavailable += usize::from(!observed.is_available(new)),
            Pair::Of(None, Some(old)) if observed.is_available(old) => candidates.push(old.clone()),
            Pair::Of(None, Some(old)) => {
                unavailable += 1;
                broken.push(old.clone());
            }
        }
    }
    broken.extend(candidates.into_iter().take(max_unavailable.saturating_sub(unavailable)));
    broken
}

/// With a surge a node gets its new Pod first, on `surge` nodes at once beside an old one that is available; the old one
/// goes when the new one is available.
fn surge_step(observed: &Observed<'_>, surge: usize, desired: usize) -> (Vec<String>, Vec<Arc<Pod>>) {
    let (mut surging, mut available) = (0_usize, 0_usize);
    let (mut create, mut candidates, mut delete, mut misplaced) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (node, pods) in nodes(observed) {
        let Pair::Of(new, old) = pair(observed, pods) else {
            surging += 1;
            continue;
        };
        available += usize::from(old.or(new).is_some_and(|pod| observed.is_available(pod)));
        let suits = observed.nodes.get(node) == Some(&Suits::Yes);
        match (new, old) {
            (_, None) => {}
            (None, Some(old)) if !observed.is_available(old) => {
                if suits {
                    create.push(node.clone());
                } else {
                    delete.push(old.clone());
                }
            }
            (None, Some(old)) if !suits => misplaced.push(old.clone()),
            (None, Some(_)) => candidates.push(node.clone()),
            (Some(new), Some(_)) if !observed.is_available(new) => surging += 1,
            (Some(_), Some(old)) => delete.push(old.clone()),
        }
    }
    // A set that moves to other nodes keeps what is available where it was until it is available where it goes.
    delete.extend(misplaced.into_iter().take(available.saturating_sub(desired)));
    create.extend(candidates.into_iter().take(surge.saturating_sub(surging)));
    (create, delete)
}
