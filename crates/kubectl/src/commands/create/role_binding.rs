//! `kubectl create rolebinding` and `kubectl create clusterrolebinding`.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Value, json};

use super::{create_object, known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::write::CreateFlags;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Who gets a role.
#[derive(Debug, Args)]
pub(crate) struct SubjectFlags {
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
    /// Whether nobody is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty() && self.service_accounts.is_empty()
    }

    /// Whether an account is given as `:NAME`.
    pub(crate) fn has_account_without_namespace(&self) -> bool {
        self.service_accounts.iter().any(|account| account.starts_with(':'))
    }

    /// The subjects in the order in which they are named.
    fn all(&self) -> Result<Vec<Value>, &'static str> {
        subjects(&self.users, &self.groups, &self.service_accounts, "")
    }

    /// The subjects in the order of their names, each once. Accounts as `:NAME` are in `namespace`.
    pub(crate) fn sorted(&self, namespace: &str) -> Result<Vec<Value>, &'static str> {
        let sorted =
            |names: &[String]| -> Vec<String> { names.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect() };
        subjects(&sorted(&self.users), &sorted(&self.groups), &sorted(&self.service_accounts), namespace)
    }
}

/// `namespace` is that of accounts which name none; where it is empty they must.
fn subjects(
    users: &[String],
    groups: &[String],
    service_accounts: &[String],
    namespace: &str,
) -> Result<Vec<Value>, &'static str> {
    let named = |kind: &'static str, names: &[String]| -> Vec<Value> {
        names.iter().map(|name| json!({"kind": kind, "apiGroup": RBAC, "name": name})).collect()
    };
    let mut all = named("User", users);
    all.extend(named("Group", groups));
    for account in service_accounts {
        let parts: Vec<&str> = account.split(':').collect();
        let [given, name] = parts[..] else { return Err("serviceaccount must be <namespace>:<name>") };
        let namespace = if given.is_empty() { namespace } else { given };
        if namespace.is_empty() || name.is_empty() {
            return Err("serviceaccount must be <namespace>:<name>");
        }
        all.push(json!({"kind": "ServiceAccount", "namespace": namespace, "name": name}));
    }
    Ok(all)
}
