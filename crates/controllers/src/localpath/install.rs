//! What a cluster needs for the provisioner: its role, and the class `standard`.

use api::resources::{CLUSTERROLEBINDINGS, CLUSTERROLES, STORAGECLASSES};
use apimachinery::{ApiError, Object, Reason, Resource};
use client::{Client, ListOptions};
use registry::storage_classes::is_default;
use serde_json::{Value, json};

use super::NAME;
use super::plan::PROVISIONER;

/// The class for claims that name none.
const CLASS: &str = "standard";
/// The provisioner's role. It is made after the class, so that where it is, the class was made, and the user has changed
/// or deleted it since if it is not as it was.
const ROLE: &str = "skiff:local-path-provisioner";

/// Makes the role of the provisioner and, once in a cluster's life, the class `standard`; as `client`, who may do all.
pub async fn install(client: &Client) -> Result<(), ApiError> {
    let role = client.get(CLUSTERROLES, "", ROLE).await;
    let is_new = match role {
        Ok(_) => false,
        Err(error) if error.reason == Reason::NotFound => true,
        Err(error) => return Err(error),
    };
    if is_new {
        let classes = client.list(STORAGECLASSES, "", &ListOptions::default()).await?.items;
        let has_default = classes.iter().any(|class: &std::sync::Arc<Object>| is_default(class));
        make(client, STORAGECLASSES, class(!has_default)).await?;
    }
    make(client, CLUSTERROLEBINDINGS, binding()).await?;
    make(client, CLUSTERROLES, role_of_provisioner()).await
}

async fn make(client: &Client, resource: &'static Resource, body: Value) -> Result<(), ApiError> {
    match client.create(resource, "", body).await {
        Err(error) if error.reason != Reason::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn class(default: bool) -> Value {
    let annotations = json!({"storageclass.kubernetes.io/is-default-class": "true"});
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": if default { annotations } else { Value::Null }},
        "provisioner": PROVISIONER, "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
    })
}

fn role_of_provisioner() -> Value {
    let rule = |group: &str, resource: &str, verbs: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": ROLE},
        "rules": [
            rule("", "persistentvolumes", &["get", "list", "watch", "create", "update", "delete"]),
            rule("", "persistentvolumeclaims", &["get", "list", "watch", "update"]),
            rule("", "nodes", &["get", "list", "watch"]),
            rule("storage.k8s.io", "storageclasses", &["get", "list", "watch"]),
            rule("", "events", &["create", "patch"]),
        ],
    })
}

fn binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": ROLE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": "kube-system"}],
    })
}
