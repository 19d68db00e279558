//! `kubectl create rolebinding` and `kubectl create clusterrolebinding`.

use clap::Args;
use serde_json::{Value, json};

use super::{create_object, known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::write::CreateFlags;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Who gets a role.
#[derive(Debug, Args)]
struct SubjectFlags {
    /// A user
    #[arg(long = "user")]
    users: Vec<String>,
    /// A group
    #[arg(long = "group")]
    groups: Vec<String>,
    /// A service account, as NAMESPACE:NAME
    #[arg(long = "serviceaccount")]
    service_accounts: Vec<String>,
}

/// Create a role binding for a role or cluster role.
#[derive(Debug, Args)]
pub(crate) struct CreateRoleBinding {
    /// Its name
    #[arg(value_name = "NAME --clusterrole=NAME|--role=NAME")]
    arguments: Vec<String>,
    /// The cluster role, for this namespace alone
    #[arg(long = "clusterrole", default_value = "", hide_default_value = true)]
    cluster_role: String,
    /// The role
    #[arg(long, default_value = "", hide_default_value = true)]
    role: String,
    #[command(flatten)]
    subjects: SubjectFlags,
    #[command(flatten)]
    flags: CreateFlags,
}

/// Create a cluster role binding for a cluster role.
#[derive(Debug, Args)]
pub(crate) struct CreateClusterRoleBinding {
    /// Its name
    #[arg(value_name = "NAME --clusterrole=NAME")]
    arguments: Vec<String>,
    /// The cluster role
    #[arg(long = "clusterrole", required = true)]
    cluster_role: String,
    #[command(flatten)]
    subjects: SubjectFlags,
    #[command(flatten)]
    flags: CreateFlags,
}

impl CreateRoleBinding {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = name_of(context, &self.arguments)?;
        let (kind, role) = match (self.role.as_str(), self.cluster_role.as_str()) {
            (role, "") if !role.is_empty() => ("Role", role),
            ("", role) if !role.is_empty() => ("ClusterRole", role),
            _ => return Err(KubectlError::new("exactly one of clusterrole or role must be specified")),
        };
        let object = binding("RoleBinding", &name, (kind, role), &self.subjects)?;
        let resource = known_type(RBAC, "v1", "rolebindings")?;
        create_object(context, &self.flags, &resource, object, "failed to create rolebinding:").await
    }
}

impl CreateClusterRoleBinding {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = name_of(context, &self.arguments)?;
        let object = binding("ClusterRoleBinding", &name, ("ClusterRole", &self.cluster_role), &self.subjects)?;
        let resource = known_type(RBAC, "v1", "clusterrolebindings")?;
        create_object(context, &self.flags, &resource, object, "failed to create clusterrolebinding:").await
    }
}

fn binding(
    kind: &str,
    name: &str,
    (role_kind, role): (&str, &str),
    subjects: &SubjectFlags,
) -> Result<Value, KubectlError> {
    let mut object = json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": kind,
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": role_kind, "name": role},
    });
    let subjects = subjects.all().map_err(KubectlError::new)?;
    if !subjects.is_empty() {
        object["subjects"] = json!(subjects);
    }
    Ok(object)
}

impl SubjectFlags {
    fn all(&self) -> Result<Vec<Value>, &'static str> {
        let named = |kind: &'static str, names: &[String]| -> Vec<Value> {
            names.iter().map(|name| json!({"kind": kind, "apiGroup": RBAC, "name": name})).collect()
        };
        let mut all = named("User", &self.users);
        all.extend(named("Group", &self.groups));
        for account in &self.service_accounts {
            let parts: Vec<&str> = account.split(':').collect();
            let [namespace, name] = parts[..] else { return Err("serviceaccount must be <namespace>:<name>") };
            if namespace.is_empty() || name.is_empty() {
                return Err("serviceaccount must be <namespace>:<name>");
            }
            all.push(json!({"kind": "ServiceAccount", "namespace": namespace, "name": name}));
        }
        Ok(all)
    }
}
