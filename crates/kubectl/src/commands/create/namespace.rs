//! `kubectl create namespace`.

use clap::Args;
use serde_json::json;

use super::{create_object, known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::write::CreateFlags;

/// Create a namespace with the specified name.
#[derive(Debug, Args)]
pub(crate) struct CreateNamespace {
    /// Its name
    #[arg(value_name = "NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    flags: CreateFlags,
}

impl CreateNamespace {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = name_of(context, &self.arguments)?;
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        create_object(context, &self.flags, &known_type("", "v1", "namespaces")?, object, "").await
    }
}
