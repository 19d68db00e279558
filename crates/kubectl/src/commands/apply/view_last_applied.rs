//! `kubectl apply view-last-applied` (upstream: `kubectl/pkg/cmd/apply/apply_view_last_applied.go`).

use clap::Args;

use crate::context::Context;
use crate::error::KubectlError;
use crate::resource::{FileFlags, Selection};
use crate::write;

/// View the latest last-applied-configuration annotations of objects.
#[derive(Debug, Args)]
pub(crate) struct ViewLastApplied {
    /// The types and names
    #[arg(value_name = "TYPE [NAME | -l label] | TYPE/NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    /// All objects of the types, in the namespace
    #[arg(long)]
    all: bool,
    /// yaml or json
    #[arg(long, short, default_value = "yaml")]
    output: String,
    /// Choose by labels
    #[arg(long, short = 'l')]
    selector: Option<String>,
}

impl ViewLastApplied {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let selection = Selection {
            label_selector: self.selector.clone().unwrap_or_default(),
            all: self.all,
            latest: true,
            ..Selection::new(&self.files, &self.arguments)
        };
        let infos = selection.fetch(context).await?.all()?;
        // As upstream has it, what was never applied is left out without a word.
        for text in infos.iter().filter_map(|info| write::last_applied(&info.object)) {
            let value: serde_json::Value =
                serde_json::from_str(text).map_err(|error| KubectlError::new(error.to_string()))?;
            match self.output.as_str() {
                // The annotation ends in a line break of its own.
                "json" => {
                    let end = if text.ends_with('\n') { "\n" } else { "" };
                    context.printer.out(apimachinery::gotext::json_indented(&value, "  ") + end)?;
                }
                "yaml" => context.printer.out(apimachinery::yaml::to_yaml(&value))?,
                other => {
                    let text =
                        format!("Unexpected -o output mode: {other}, the flag 'output' must be one of yaml|json");
                    return Err(KubectlError::usage(&context.command_path, text));
                }
            }
        }
        Ok(())
    }
}
