//! `current-context`, `get-clusters`, `get-contexts`, `get-users`.

use clap::Args;

use super::Files;
use super::files::{CONTEXTS, List};
use crate::context::Context;
use crate::error::KubectlError;
use crate::output::columns::ColumnWriter;

pub(super) fn current_context(context: &Context) -> Result<(), KubectlError> {
    match Files::load(context)?.current_context() {
        name if name.is_empty() => Err(KubectlError::new("current-context is not set")),
        name => context.printer.line(name),
    }
}

pub(super) fn names(context: &Context, list: List) -> Result<(), KubectlError> {
    let files = Files::load(context)?;
    let names: String = files.entries(list).into_iter().map(|(name, ..)| name + "\n").collect();
    context.printer.out(format!("NAME\n{names}"))
}

/// Display one or many contexts from the kubeconfig file.
#[derive(Debug, Args)]
pub(crate) struct GetContexts {
    /// The contexts; all if none is named
    #[arg(value_name = "NAME...")]
    arguments: Vec<String>,
    /// No line of headers
    #[arg(long)]
    no_headers: bool,
    /// Output format: name
    #[arg(long, short)]
    output: Option<String>,
}

impl GetContexts {
    pub(super) fn run(self, context: &Context) -> Result<(), KubectlError> {
        let output = self.output.as_deref().unwrap_or_default();
        if !matches!(output, "" | "name") {
            return Err(KubectlError::new(format!(
                "--output {output} is not available in kubectl config get-contexts; resetting to default output format"
            )));
        }
        let files = Files::load(context)?;
        let current = files.current_context();
        let entries = files.entries(CONTEXTS);
        let missing = self.arguments.iter().filter(|name| !entries.iter().any(|(known, ..)| known == *name));
        let missing = missing.map(|name| KubectlError::new(format!("context {name} not found"))).collect();
        let mut writer = ColumnWriter::default();
        if !self.no_headers && output.is_empty() {
            writer.row(["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"].map(str::to_owned).to_vec());
        }
        for (name, content, _) in entries {
            if !self.arguments.is_empty() && !self.arguments.contains(&name) {
                continue;
            }
            if output == "name" {
                writer.row(vec![name]);
                continue;
            }
            let field = |key: &str| content.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
            let mark = if name == current { "*" } else { " " };
            writer.row(vec![mark.to_owned(), name, field("cluster"), field("user"), field("namespace")]);
        }
        context.printer.out(writer.flush())?;
        KubectlError::all(missing)
    }
}
