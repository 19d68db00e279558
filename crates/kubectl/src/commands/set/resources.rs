//! `kubectl set resources`.

use clap::Args;
use serde_json::{Map, Value};

use super::env::matches;
use super::{SetFlags, containers};
use crate::commands::create::limits;
use crate::context::Context;
use crate::error::KubectlError;

/// Update the requests and limits of containers.
#[derive(Debug, Args)]
pub(crate) struct SetResources {
    /// The objects
    #[arg(value_name = "TYPE NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    flags: SetFlags,
    /// The containers to change; * stands for any text
    #[arg(long, short, default_value = "*")]
    containers: String,
    /// The limits, as cpu=100m,memory=256Mi
    #[arg(long, default_value = "", hide_default_value = true)]
    limits: String,
    /// The requests, as cpu=100m,memory=256Mi
    #[arg(long, default_value = "", hide_default_value = true)]
    requests: String,
}

impl SetResources {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let dry_run = self.flags.dry_run.strategy(context)?;
        self.flags.check_local(&self.arguments)?;
        let infos = self.flags.infos(context, &self.arguments).await?;
        self.flags.check(dry_run)?;
        if self.limits.is_empty() && self.requests.is_empty() {
            return Err(KubectlError::new(
                "you must specify an update to requests or limits (in the form of --requests/--limits)",
            ));
        }
        let amounts = |text| limits(text, "invalid").map_err(KubectlError::new);
        let updates = [("limits", amounts(&self.limits)?), ("requests", amounts(&self.requests)?)];
        let words = ("resource requirements updated", "failed to patch resources update to pod template");
        self.flags
            .patch_pods(context, infos, words, |_, spec, errors| {
                let mut any = false;
                for (_, container) in containers(spec).filter(|(_, c)| matches(c["name"].as_str(), &self.containers)) {
                    any = true;
                    updates.iter().for_each(|(field, amounts)| update(container, field, amounts));
                }
                if !any {
                    let text = format!("error: unable to find container named {}", self.containers);
                    errors.push(KubectlError::new(text));
                }
                Ok(())
            })
            .await
    }
}

/// Puts `amounts` among a container's limits or requests.
fn update(container: &mut Value, field: &str, amounts: &Map<String, Value>) {
    for (resource, amount) in amounts {
        container["resources"][field][resource] = amount.clone();
    }
}
