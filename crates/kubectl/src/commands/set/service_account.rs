//! `kubectl set serviceaccount`.

use clap::Args;
use serde_json::json;

use super::SetFlags;
use crate::context::Context;
use crate::error::KubectlError;

/// Update the service account of Pod templates.
#[derive(Debug, Args)]
pub(crate) struct SetServiceAccount {
    /// The objects, then the account
    #[arg(value_name = "TYPE NAME SERVICE_ACCOUNT")]
    arguments: Vec<String>,
    #[command(flatten)]
    flags: SetFlags,
}

impl SetServiceAccount {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let dry_run = self.flags.dry_run.strategy(context)?;
        self.flags.check(dry_run)?;
        let Some((account, resources)) = self.arguments.split_last() else {
            return Err(KubectlError::new("serviceaccount is required"));
        };
        let resources = if self.flags.local { &[] } else { resources };
        let infos = self.flags.infos(context, resources).await?;
        let words = ("serviceaccount updated", "failed to patch ServiceAccountName");
        self.flags
            .patch_pods(context, infos, words, |_, spec, _| {
                spec["serviceAccountName"] = json!(account);
                Ok(())
            })
            .await
    }
}
