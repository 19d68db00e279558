//! The revisions of a DaemonSet's or StatefulSet's template, kept as ControllerRevisions
//! (upstream: `pkg/controller/history`).

use api::resources::CONTROLLERREVISIONS;
use apimachinery::{ApiError, Object, Reason, Resource};
use client::{Client, DeleteOptions, Informer, PatchKind};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::hash;
use crate::owner::{self, Claim};

/// The label of Pods and revisions that says which revision they are of.
pub(crate) const HASH_LABEL: &str = "controller-revision-hash";
/// The most characters of an owner's name in the name of a revision.
const PREFIX_MAX: usize = 223;

/// A revision of a template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Revision {
    pub(crate) name: String,
    pub(crate) number: i64,
    /// What [`HASH_LABEL`] says, if it is there.
    pub(crate) label: Option<String>,
    /// The strategic merge patch that brings the template back.
    pub(crate) data: Value,
    created: Option<Timestamp>,
}

impl Revision {
    fn of(object: &Object) -> Self {
        let mut value = object.value();
        let meta = object.meta();
        Self {
            name: meta.name.clone(),
            number: value["revision"].as_i64().unwrap_or(0),
            label: meta.labels.get(HASH_LABEL).cloned(),
            data: value["data"].take(),
            created: meta.creation_timestamp,
        }
    }

    /// What a Pod's [`HASH_LABEL`] says that was made from it by a DaemonSet. The name stands in for a missing label, so
    /// that nothing has to be hashed again.
    pub(crate) fn hash(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }

    /// The template.
    pub(crate) fn template(&self) -> Value {
        let mut template = self.data["spec"]["template"].clone();
        if let Some(fields) = template.as_object_mut() {
            fields.remove("$patch");
        }
        template
    }
}

/// The patch that brings `object`'s template back.
pub(crate) fn patch_to(object: &Object) -> Value {
    let mut template = object.value()["spec"]["template"].take();
    template["$patch"] = json!("replace");
    json!({"spec": {"template": template}})
}

/// Which revision is the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Newest {
    /// This one is.
    Is(usize),
    /// This one is again; it gets that number.
    Again(usize, i64),
    /// There is none of this template; one has to be made, with that number.
    Missing(i64),
}

/// Finds the revision of `data` among `revisions`, which are in their order.
pub(crate) fn newest(revisions: &[Revision], data: &Value) -> Newest {
    let next = revisions.last().map_or(1, |last| last.number + 1);
    match revisions.iter().rposition(|revision| revision.data == *data) {
        Some(at) if at + 1 == revisions.len() => Newest::Is(at),
        Some(at) => Newest::Again(at, next),
        None => Newest::Missing(next),
    }
}

/// What came of the attempt to make a revision.
#[derive(Debug)]
pub(crate) enum Made {
    Revision(Revision),
    /// Its name is taken by a revision of another template: a count makes another one.
    Collision,
}

/// The revisions of one owner.
pub(crate) struct History<'a> {
    pub(crate) client: &'a Client,
    pub(crate) revisions: &'a Informer,
    pub(crate) owner: &'static Resource,
    pub(crate) object: &'a Object,
}

impl History<'_> {
    /// The owner's revisions in their order, after taking matching orphans. Needs the index by controllers.
    pub(crate) async fn claim(&self) -> Result<Vec<Revision>, ApiError> {
        let candidates = owner::candidates(self.revisions.store(), self.object);
        let claim =
            Claim { client: self.client, resource: CONTROLLERREVISIONS, owner: self.owner, object: self.object };
        let (claimed, revision) = claim.run(&self.object.value()["spec"]["selector"], candidates).await?;
        self.revisions.caught_up(revision).await;
        let mut revisions: Vec<Revision> = claimed.iter().map(|object| Revision::of(object)).collect();
        revisions.sort_by(|a, b| (a.number, a.created, &a.name).cmp(&(b.number, b.created, &b.name)));
        Ok(revisions)
    }

    /// Makes a revision of `data`.
    pub(crate) async fn make(&self, data: &Value, number: i64, collisions: Option<i32>) -> Result<Made, ApiError> {
        let meta = self.object.meta();
        let hash = hash::of_template(data.to_string().into_bytes(), collisions);
        let mut prefix = meta.name.clone();
        prefix.truncate(PREFIX_MAX);
        let name = format!("{prefix}-{hash}");
        let mut labels = data["spec"]["template"]["metadata"]["labels"].clone();
        labels[HASH_LABEL] = json!(hash);
        let body = json!({
            "apiVersion": CONTROLLERREVISIONS.api_version(), "kind": CONTROLLERREVISIONS.kind,
            "metadata": {
                "name": name, "namespace": meta.namespace, "labels": labels, "annotations": meta.annotations,
                "ownerReferences": [owner::reference(self.owner, self.object)],
            },
            "data": data, "revision": number,
        });
        match self.client.create(CONTROLLERREVISIONS, &meta.namespace, body).await {
            Ok(made) => {
                self.revisions.caught_up(made.meta().resource_version).await;
                Ok(Made::Revision(Revision::of(&made)))
            }
            Err(error) if error.reason == Reason::AlreadyExists => {
                let taken = self.client.get(CONTROLLERREVISIONS, &meta.namespace, &name).await?;
                let revision = Revision::of(&taken);
                Ok(if revision.data == *data { Made::Revision(revision) } else { Made::Collision })
            }
            Err(error) => Err(error),
        }
    }

    /// Gives a revision that is the newest one again its number.
    pub(crate) async fn renumber(&self, revision: &mut Revision, number: i64) -> Result<(), ApiError> {
        revision.number = number;
        self.patch(&revision.name, json!({"revision": number})).await
    }

    /// Gives a revision the label that its Pods have.
    pub(crate) async fn label(&self, revision: &mut Revision) -> Result<(), ApiError> {
        revision.label = Some(revision.name.clone());
        self.patch(&revision.name, json!({"metadata": {"labels": {HASH_LABEL: revision.name}}})).await
    }

    async fn patch(&self, name: &str, patch: Value) -> Result<(), ApiError> {
        let namespace = &self.object.meta().namespace;
        let patched = self.client.patch(CONTROLLERREVISIONS, namespace, name, PatchKind::Merge, patch).await?;
        self.revisions.caught_up(patched.meta().resource_version).await;
        Ok(())
    }

    /// Deletes revisions; one that is gone is no failure.
    pub(crate) async fn delete<'r>(&self, revisions: impl IntoIterator<Item = &'r Revision>) -> Result<(), ApiError> {
        for revision in revisions {
            let namespace = &self.object.meta().namespace;
            let options = DeleteOptions::default();
            match self.client.delete(CONTROLLERREVISIONS, namespace, &revision.name, &options).await {
                Ok(at) => self.revisions.caught_up(at).await,
                Err(error) if error.reason == Reason::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
