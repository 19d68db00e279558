//! `kubectl set image`.

use clap::Args;

use super::{SetFlags, containers};
use crate::context::Context;
use crate::error::KubectlError;
use crate::pairs;
use crate::write::DryRun;

/// Update the images of containers. `*` means all containers.
#[derive(Debug, Args)]
pub(crate) struct SetImage {
    /// The objects, then the images
    #[arg(value_name = "TYPE NAME CONTAINER_1=IMAGE_1 ... CONTAINER_N=IMAGE_N")]
    arguments: Vec<String>,
    #[command(flatten)]
    flags: SetFlags,
}

impl SetImage {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let dry_run = self.flags.dry_run.strategy(context)?;
        let (resources, specs) = pairs::split(&self.arguments, "image")?;
        let (mut images, _) = pairs::parse(&specs, "image", false)?;
        images.sort();
        self.flags.check_local(&resources)?;
        let infos = self.flags.infos(context, &resources).await?;
        let mut faults = Vec::new();
        if self.flags.all && self.flags.selects() {
            faults.push("cannot set --all and --selector at the same time");
        }
        if resources.is_empty() && self.flags.files.is_empty() {
            faults.push("one or more resources must be specified as <resource> <name> or <resource>/<name>");
        }
        if images.is_empty() {
            faults.push("at least one image update is required");
        } else if images.len() > 1 && images.iter().any(|(name, _)| name == "*") {
            faults.push(
                "all containers are already specified by *, but saw more than one container_name=container_image pairs",
            );
        }
        if self.flags.local && dry_run == DryRun::Server {
            faults.push("cannot specify --local and --dry-run=server - did you mean --dry-run=client?");
        }
        KubectlError::all(faults.into_iter().map(KubectlError::new).collect())?;
        self.flags
            .patch_pods(
                context,
                infos,
                ("image updated", "failed to patch image update to pod template:"),
                |_, spec, errors| {
                    for (name, image) in &images {
                        let mut found = false;
                        for (_, container) in containers(spec) {
                            if name == "*" || container["name"] == name.as_str() {
                                found = true;
                                container["image"] = image.clone().into();
                            }
                        }
                        if !found {
                            errors.push(KubectlError::new(format!("error: unable to find container named {name:?}")));
                        }
                    }
                    Ok(())
                },
            )
            .await
    }
}
