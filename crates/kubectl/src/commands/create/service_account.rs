//! `kubectl create serviceaccount`.

use clap::Args;
use serde_json::json;

use super::{create_object, known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::write::CreateFlags;

/// Create a service account with the specified name.
#[derive(Debug, Args)]
pub(crate) struct CreateServiceAccount {
    /// Its name
    #[arg(value_name = "NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    flags: CreateFlags,
}

impl CreateServiceAccount {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = name_of(context, &self.arguments)?;
        let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        let resource = known_type("", "v1", "serviceaccounts")?;
        create_object(context, &self.flags, &resource, object, "failed to create serviceaccount:").await
    }
}
