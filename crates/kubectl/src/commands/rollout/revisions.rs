//! What objects looked like before.

use client::rest::encode_query;
use serde_json::{Value, json};

use super::Rolled;
use crate::context::Context;
use crate::describe::replica_sets_of;
use crate::error::KubectlError;
use crate::pods::label_selector;
use crate::resource::Info;

/// The annotation with a ReplicaSet's revision.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// The annotation that says why a revision was made.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
/// The label that tells the ReplicaSets of a Deployment apart.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// One revision.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Revision {
    pub(super) number: i64,
    /// The Pod template.
    pub(super) template: Value,
    /// Why it was made; empty where nobody said.
    pub(super) cause: String,
    /// The object that holds it, or for controllers the controller as it was.
    pub(super) object: Value,
    /// What brings a controller back to it.
    pub(super) patch: Value,
    annotations: Value,
}

/// All revisions of an object, in no order that counts.
pub(super) async fn revisions(context: &Context, info: &Info, rolled: Rolled) -> Result<Vec<Revision>, KubectlError> {
    let client = context.client()?;
    let (namespace, name) = (&info.namespace, &info.name);
    let object = &info.object;
    let collection = match rolled {
        Rolled::Deployment => "replicasets",
        Rolled::Controller(_) => "controllerrevisions",
    };
    let query = encode_query([("labelSelector", label_selector(&object["spec"]["selector"]))]);
    let path = format!("/apis/apps/v1/namespaces/{namespace}/{collection}{query}");
    let mut list = client.get_json(&path).await.map_err(|error| {
        KubectlError::new(match rolled {
            Rolled::Deployment => format!("failed to retrieve replica sets from deployment {name}: {error}"),
            Rolled::Controller(kind) => format!("unable to find history controlled by {kind} {name}: {error}"),
        })
    })?;
    let items = match list["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    Ok(match rolled {
        Rolled::Deployment => {
            let (new, old) = replica_sets_of(object, &items);
            old.into_iter().chain(new).filter_map(of_replica_set).collect()
        }
        Rolled::Controller(_) => {
            let is_own = |item: &&Value| {
                let owners = item["metadata"]["ownerReferences"].as_array();
                let mut owners = owners.into_iter().flatten();
                owners.any(|owner| owner["controller"] == true && owner["uid"] == object["metadata"]["uid"])
            };
            items.iter().filter(is_own).map(|item| of_controller_revision(object, item)).collect()
        }
    })
}

fn cause(annotations: &Value) -> String {
    annotations[CHANGE_CAUSE].as_str().unwrap_or_default().to_owned()
}

/// None where the annotation holds no number.
fn of_replica_set(set: &Value) -> Option<Revision> {
    let annotations = &set["metadata"]["annotations"];
    let number = match annotations[REVISION].as_str() {
        None => 0,
        Some(text) => text.parse().ok()?,
    };
    let mut object = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet"});
    if let (Some(object), Some(fields)) = (object.as_object_mut(), set.as_object()) {
        object.extend(fields.clone());
    }
    let mut template = set["spec"]["template"].clone();
    let said = cause(annotations);
    if !said.is_empty() {
        template["metadata"]["annotations"][CHANGE_CAUSE] = said.into();
    }
    let cause = cause(&template["metadata"]["annotations"]);
    Some(Revision { number, template, cause, object, patch: Value::Null, annotations: annotations.clone() })
}

fn of_controller_revision(controller: &Value, revision: &Value) -> Revision {
    let annotations = revision["metadata"]["annotations"].clone();
    let patch = revision["data"].clone();
    // The patch replaces the template as a whole.
    let mut template = patch["spec"]["template"].clone();
    if let Some(template) = template.as_object_mut() {
        template.remove("$patch");
    }
    let mut object = controller.clone();
    object["spec"]["template"] = template.clone();
    let number = revision["revision"].as_i64().unwrap_or_default();
    Revision { number, template, cause: cause(&annotations), object, patch, annotations }
}

impl Revision {
    /// The template as it is put back: without the ReplicaSet's label.
    pub(super) fn restored_template(&self) -> Value {
        without_hash(&self.object["spec"]["template"])
    }

    /// The annotations of the ReplicaSet that a Deployment gets back.
    pub(super) fn annotations(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.annotations.as_object().into_iter().flatten()
    }
}

/// A template without the label that its ReplicaSet was given.
pub(super) fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(TEMPLATE_HASH);
    }
    template
}
