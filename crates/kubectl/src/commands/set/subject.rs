//! `kubectl set subject`.

use clap::Args;
use serde_json::{Value, json};

use super::SetFlags;
use crate::commands::create::SubjectFlags;
use crate::context::Context;
use crate::error::KubectlError;

/// Add users, groups and service accounts to a role binding or cluster role binding.
#[derive(Debug, Args)]
pub(crate) struct SetSubject {
    /// The bindings
    #[arg(value_name = "TYPE NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    flags: SetFlags,
    #[command(flatten)]
    subjects: SubjectFlags,
}

impl SetSubject {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let dry_run = self.flags.dry_run.strategy(context)?;
        self.flags.check_local(&self.arguments)?;
        let infos = self.flags.infos(context, &self.arguments).await?;
        self.flags.check(dry_run)?;
        if self.subjects.is_empty() {
            return Err(KubectlError::new("you must specify at least one value of user, group or serviceaccount"));
        }
        let namespace = context.namespace()?;
        let subjects = self.subjects.sorted(namespace).map_err(KubectlError::new)?;
        let nameless = self.subjects.has_account_without_namespace();
        if nameless && infos.iter().any(|info| info.resource.kind == "ClusterRoleBinding") {
            return Err(KubectlError::new("serviceaccount must be <namespace>:<name>, namespace must be specified"));
        }
        let words = ("subjects updated", "failed to patch subjects to rolebinding:");
        self.flags
            .patch_all(context, infos, words, |_, object, _| {
                if !matches!(object["kind"].as_str(), Some("RoleBinding" | "ClusterRoleBinding")) {
                    return Err(KubectlError::new(
                        "setting subjects is only supported for RoleBinding/ClusterRoleBinding",
                    ));
                }
                add(object, &subjects);
                Ok(())
            })
            .await
    }
}

/// Adds the subjects that the binding does not have.
fn add(binding: &mut Value, subjects: &[Value]) {
    let mut all = binding["subjects"].as_array().cloned().unwrap_or_default();
    for subject in subjects {
        if !all.contains(subject) {
            all.push(subject.clone());
        }
    }
    binding["subjects"] = json!(all);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_there_is_not_added_again() {
        let subject = |name: &str| json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name});
        let mut binding = json!({"subjects": [subject("ann")]});
        add(&mut binding, &[subject("ann"), subject("bob")]);
        assert_eq!(binding["subjects"], json!([subject("ann"), subject("bob")]));
    }
}
