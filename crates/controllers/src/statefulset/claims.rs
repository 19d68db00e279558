//! The PersistentVolumeClaims of a StatefulSet's Pods, and who owns them: that decides what goes with a set that is
//! deleted or made smaller (`persistentVolumeClaimRetentionPolicy`). Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Meta, Object, OwnerReference};
use serde_json::{Value, json};

/// The claims of one set.
pub(super) struct Claims<'a> {
    /// The set's metadata.
    pub(super) set: &'a Meta,
    /// The set's `spec`.
    pub(super) spec: &'a Value,
    /// The namespace's claims by name.
    pub(super) existing: BTreeMap<String, Arc<Object>>,
}

/// The Pod that claims are for.
#[derive(Clone, Copy)]
pub(super) struct Holder<'a> {
    pub(super) name: &'a str,
    /// Empty if the Pod is not there yet.
    pub(super) uid: &'a str,
    pub(super) ordinal: i32,
    /// Whether the set has become too small for it.
    pub(super) condemned: bool,
}

/// A claim whose owners are looked after.
#[derive(Debug, Clone)]
pub(super) struct Owners {
    pub(super) claim: Arc<Object>,
    /// The owners that it should have, where they differ.
    pub(super) references: Option<Vec<OwnerReference>>,
    /// Whether somebody else controls it, so that the policy can't be followed.
    pub(super) conflict: bool,
}

impl Claims<'_> {
    fn templates(&self) -> impl Iterator<Item = (&str, &Value)> {
        let templates = self.spec["volumeClaimTemplates"].as_array();
        templates.into_iter().flatten().filter_map(|t| Some((t["metadata"]["name"].as_str()?, t)))
    }

    fn name(&self, template: &str, ordinal: i32) -> String {
        format!("{template}-{}-{ordinal}", self.set.name)
    }

    fn of(&self, ordinal: i32) -> impl Iterator<Item = &Arc<Object>> {
        self.templates().filter_map(move |(template, _)| self.existing.get(&self.name(template, ordinal)))
    }

    /// The claims that a Pod lacks.
    pub(super) fn missing(&self, ordinal: i32) -> Vec<Value> {
        let mut missing = Vec::new();
        for (template, body) in self.templates() {
            let name = self.name(template, ordinal);
            if self.existing.contains_key(&name) {
                continue;
            }
            let mut claim = body.clone();
            claim["metadata"]["name"] = json!(name);
            claim["metadata"]["namespace"] = json!(self.set.namespace);
            for (key, value) in self.spec["selector"]["matchLabels"].as_object().into_iter().flatten() {
                claim["metadata"]["labels"][key] = value.clone();
            }
            missing.push(claim);
        }
        missing
    }

    /// The claims that are being deleted; a Pod can't be made before they are gone.
    pub(super) fn leaving(&self, ordinal: i32) -> Vec<&str> {
        let leaving = self.of(ordinal).filter(|claim| claim.meta().deletion_timestamp.is_some());
        leaving.map(|claim| claim.meta().name.as_str()).collect()
    }

    /// A Pod's volumes: those of the claims, and those of `given` that they don't replace.
    pub(super) fn volumes(&self, ordinal: i32, given: &[Value]) -> Vec<Value> {
        let claimed = self
            .templates()
            .map(|(name, _)| json!({"name": name, "persistentVolumeClaim": {"claimName": self.name(name, ordinal)}}));
        let kept = given.iter().filter(|volume| self.templates().all(|(name, _)| volume["name"] != name));
        claimed.chain(kept.cloned()).collect()
    }

    /// Whether `volumes` are of the claims.
    pub(super) fn mounted_by(&self, ordinal: i32, volumes: &[Value]) -> bool {
        self.templates().all(|(template, _)| {
            let volume = volumes.iter().find(|volume| volume["name"] == template);
            volume.is_some_and(|v| v["persistentVolumeClaim"]["claimName"] == self.name(template, ordinal))
        })
    }

    fn deletes(&self, when: &str) -> bool {
        self.spec["persistentVolumeClaimRetentionPolicy"][when] == "Delete"
    }

    /// Whether a claim still belongs to an earlier Pod of this name and goes with it.
    pub(super) fn is_stale(&self, pod: Holder<'_>) -> bool {
        self.deletes("whenScaled")
            && self.of(pod.ordinal).any(|claim| is_stale(claim.meta(), &self.reference_to_pod(pod)))
    }

    /// Of the claims of a Pod that are there, those whose owners are not right, or that somebody else controls.
    pub(super) fn owners(&self, pod: Holder<'_>) -> Vec<Owners> {
        let of_claim = |claim: &Arc<Object>| {
            let conflict = self.is_foreign(claim.meta(), pod);
            let references = self.references(claim.meta(), pod, conflict);
            (conflict || references.is_some()).then(|| Owners { claim: claim.clone(), references, conflict })
        };
        self.of(pod.ordinal).filter_map(of_claim).collect()
    }

    /// The owners that a claim should have; `None` if it has them, or is better left alone.
    fn references(&self, claim: &Meta, pod: Holder<'_>, foreign: bool) -> Option<Vec<OwnerReference>> {
        let ours = [self.reference_to_set(), self.reference_to_pod(pod)];
        // It belongs to an earlier object of this name: the garbage collector decides.
        if ours.iter().any(|reference| is_stale(claim, reference)) {
            return None;
        }
        let (deleted, scaled) = (self.deletes("whenDeleted"), self.deletes("whenScaled"));
        let wanted = match (deleted, scaled) {
            _ if foreign => [false, false],
            (true, true) => [!pod.condemned, pod.condemned],
            (deleted, scaled) => [deleted, scaled && pod.condemned],
        };
        let owner = |reference: &OwnerReference| claim.owner_references.iter().find(|o| o.uid == reference.uid);
        let right = ours.iter().zip(wanted).all(|(reference, wanted)| match owner(reference) {
            Some(owner) => wanted && owner.controller == Some(true),
            None => !wanted,
        });
        if right {
            return None;
        }
        let others = claim.owner_references.iter().filter(|o| !ours.iter().any(|reference| is_named(o, reference)));
        let wanted = ours.iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(reference, _)| reference);
        Some(others.chain(wanted).cloned().collect())
    }

    /// Whether somebody else controls a claim that the policy would have this set or its Pod control.
    fn is_foreign(&self, claim: &Meta, pod: Holder<'_>) -> bool {
        let ours = [self.reference_to_set(), self.reference_to_pod(pod)];
        let policy = self.deletes("whenDeleted") || self.deletes("whenScaled");
        policy
            && claim.owner_references.iter().any(|owner| match ours.iter().find(|r| is_named(owner, r)) {
                Some(reference) => owner.uid != reference.uid,
                None => owner.controller == Some(true),
            })
    }

    fn reference_to_set(&self) -> OwnerReference {
        reference("apps/v1", "StatefulSet", &self.set.name, &self.set.uid)
    }

    fn reference_to_pod(&self, pod: Holder<'_>) -> OwnerReference {
        reference("v1", "Pod", pod.name, pod.uid)
    }
}

fn reference(api_version: &str, kind: &str, name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

fn is_named(owner: &OwnerReference, reference: &OwnerReference) -> bool {
    (&owner.api_version, &owner.kind, &owner.name) == (&reference.api_version, &reference.kind, &reference.name)
}

fn is_stale(claim: &Meta, reference: &OwnerReference) -> bool {
    claim.owner_references.iter().find(|o| is_named(o, reference)).is_some_and(|owner| owner.uid != reference.uid)
}

#[cfg(test)]
mod tests;
