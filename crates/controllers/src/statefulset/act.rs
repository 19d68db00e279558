//! Does what is planned for one Pod: its claims, their owners, the Pod
//! (upstream: `stateful_pod_control.go`).

use api::resources::{PERSISTENTVOLUMECLAIMS, PODS, STATEFULSETS};
use apimachinery::{ApiError, Reason};
use client::{DeleteOptions, EventType, ObjectReference, PatchKind, Preconditions, typed_value};

use super::claims::Owners;
use super::plan::{Action, Change};
use super::{Set, StatefulSetController};

impl StatefulSetController {
    /// Does one action, and tells of it.
    pub(super) async fn act(&self, set: &Set<'_>, action: &Action) -> Result<(), ApiError> {
        let verb = match &action.change {
            Change::Create(_) => "Create",
            Change::Delete(_) => "Delete",
            Change::Update(_) | Change::None => "Update",
        };
        let done = match self.make_claims(set, action).await {
            Ok(()) => match self.own_claims(set, &action.owners).await {
                Ok(()) => self.change_pod(set, action).await,
                failed => failed,
            },
            // Only a Pod that is made has a word to say about its claims: they have Events of their own.
            Err(error) if matches!(action.change, Change::None) => return Err(error),
            failed => failed,
        };
        let (pod, name) = (&action.pod, &set.object.meta().name);
        match &done {
            Ok(()) if matches!(action.change, Change::None) => {}
            Ok(()) => self.tell(set, true, verb, format!("{verb} Pod {pod} in StatefulSet {name} successful")),
            Err(error) if error.reason == Reason::AlreadyExists => {}
            Err(error) => {
                self.tell(set, false, verb, format!("{verb} Pod {pod} in StatefulSet {name} failed error: {error}"));
            }
        }
        done
    }

    fn tell(&self, set: &Set<'_>, success: bool, verb: &str, text: String) {
        let about = ObjectReference::to(STATEFULSETS, set.object);
        let (kind, outcome) = if success { (EventType::Normal, "Successful") } else { (EventType::Warning, "Failed") };
        self.control.recorder.event(about, kind, &format!("{outcome}{verb}"), text);
    }

    async fn make_claims(&self, set: &Set<'_>, action: &Action) -> Result<(), ApiError> {
        let (meta, pod) = (set.object.meta(), &action.pod);
        let mut failures: Vec<String> = action.blocked.iter().cloned().collect();
        for claim in &action.claims {
            let name = claim["metadata"]["name"].as_str().unwrap_or_default();
            match self.control.client.create(PERSISTENTVOLUMECLAIMS, &meta.namespace, claim.clone()).await {
                Ok(made) => {
                    self.claims.caught_up(made.meta().resource_version).await;
                    let text = format!("Create Claim {name} Pod {pod} in StatefulSet {} success", meta.name);
                    self.tell(set, true, "Create", text);
                }
                Err(error) => {
                    failures.push(format!("failed to create PVC {name}: {error}"));
                    if error.reason != Reason::AlreadyExists {
                        let set_name = &meta.name;
                        let text = format!(
                            "Create Claim {name} for Pod {pod} in StatefulSet {set_name} failed error: {error}"
                        );
                        self.tell(set, false, "Create", text);
                    }
                }
            }
        }
        let text = match failures.as_slice() {
            [] => return Ok(()),
            [failure] => failure.clone(),
            failures => format!("[{}]", failures.join(", ")),
        };
        Err(ApiError::new(Reason::InternalError, 500, text))
    }

    async fn own_claims(&self, set: &Set<'_>, owners: &[Owners]) -> Result<(), ApiError> {
        for Owners { claim, references, conflict } in owners {
            let meta = claim.meta();
            if *conflict {
                let about = ObjectReference::to(STATEFULSETS, set.object);
                let text = format!(
                    "PersistentVolumeClaim {} has a conflicting OwnerReference that acts as a manging controller, the \
                     retention policy is ignored for this claim",
                    meta.name
                );
                self.control.recorder.event(about, EventType::Warning, "ConflictingController", text);
            }
            if let Some(references) = references {
                let mut body = claim.value();
                body["metadata"]["ownerReferences"] = typed_value(references)?;
                let client = &self.control.client;
                let updated = client.update(PERSISTENTVOLUMECLAIMS, &meta.namespace, &meta.name, body).await?;
                self.claims.caught_up(updated.meta().resource_version).await;
            }
        }
        Ok(())
    }

    async fn change_pod(&self, set: &Set<'_>, action: &Action) -> Result<(), ApiError> {
        let (client, namespace) = (&self.control.client, &set.object.meta().namespace);
        let revision = match &action.change {
            Change::None | Change::Update(None) => return Ok(()),
            Change::Create(pod) => client.create(PODS, namespace, pod.clone()).await?.meta().resource_version,
            Change::Update(Some(patch)) => {
                let patched = client.patch(PODS, namespace, &action.pod, PatchKind::Merge, patch.clone()).await?;
                patched.meta().resource_version
            }
            Change::Delete(pod) => {
                let preconditions = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
                let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
                match client.delete(PODS, namespace, &action.pod, &options).await {
                    Err(error) if error.reason == Reason::NotFound => return Ok(()),
                    deleted => deleted?,
                }
            }
        };
        self.pods.caught_up(revision).await;
        Ok(())
    }
}
