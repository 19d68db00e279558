//! `kubectl explain` (upstream: `kubectl/pkg/cmd/explain`, `kubectl/pkg/explain/v2`).

mod render;

use std::sync::Arc;

use clap::Args;

use crate::context::Context;
use crate::discovery::ResourceType;
use crate::error::KubectlError;
use crate::flags::values;
use render::Explained;

/// Describe the fields of a resource type, or of one of its fields, from what the server publishes.
#[derive(Debug, Args)]
pub(crate) struct ExplainCommand {
    /// The type, or the path of a field such as pods.spec.containers
    #[arg(value_name = "TYPE[.FIELD...]")]
    arguments: Vec<String>,
    /// The group and version
    #[arg(long)]
    api_version: Option<String>,
    /// How deep --recursive goes; 0 for all
    #[arg(long, value_parser = values::int64, default_value = "0", allow_negative_numbers = true)]
    max_depth: i64,
    /// plaintext
    #[arg(long, short, default_value = "plaintext")]
    output: String,
    /// The fields of fields, without their descriptions
    #[arg(long, short = 'R')]
    recursive: bool,
}

impl ExplainCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let fault = |text: &str| Err(KubectlError::new(text));
        let [path] = self.arguments.as_slice() else {
            return fault(if self.arguments.is_empty() {
                "You must specify the type of resource to explain. Use \"kubectl api-resources\" for a complete list of \
                 supported resources.\n"
            } else {
                "We accept only this format: explain RESOURCE\n"
            });
        };
        if self.max_depth > 0 && !self.recursive {
            return fault("--max-depth requires --recursive");
        }
        let Ok(max_depth) = usize::try_from(self.max_depth) else {
            return fault("--max-depth must be non-negative");
        };
        let (resource, fields) = self.find(context, path).await?;
        let (mut group, mut version) = (resource.group.clone(), resource.version.clone());
        if let Some(api_version) = self.api_version.as_deref().filter(|version| !version.is_empty()) {
            let (of, at) = api_version.split_once('/').unwrap_or(("", api_version));
            (group, version) = (of.to_owned(), at.to_owned());
        }
        if self.output != "plaintext" {
            return Err(KubectlError::new(format!("unrecognized format: {}", self.output)));
        }
        let client = context.client()?;
        let index = client
            .get_json("/openapi/v3")
            .await
            .map_err(|error| KubectlError::new(format!("failed to fetch list of groupVersions: {error}")))?;
        let document = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        let Some(url) = index["paths"][&document]["serverRelativeURL"].as_str() else {
            let what = format!("{group}/{version}, Resource={}", resource.plural);
            return Err(KubectlError::new(format!("couldn't find resource for {what:?}")));
        };
        let schemas = client
            .get_json(url)
            .await
            .map_err(|error| KubectlError::new(format!("failed to fetch openapi schema for {document}: {error}")))?;
        let explained = Explained { document: &schemas, recursive: self.recursive, max_depth };
        let kind = (group.as_str(), version.as_str(), resource.kind.as_str());
        let (text, outcome) = explained.render(kind, &fields);
        context.printer.out(text)?;
        outcome.map_err(KubectlError::new)
    }

    /// The type, and the fields that follow it. `deployments.apps.spec`: what the group's name covers is no field.
    async fn find(&self, context: &Context, path: &str) -> Result<(Arc<ResourceType>, Vec<String>), KubectlError> {
        if path.contains('[') {
            return Err(KubectlError::new("invalid jsonpath syntax, all nodes must be field nodes"));
        }
        let split = |text: &str| -> Vec<String> {
            text.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let parts = split(path);
        let name = parts.first().cloned().unwrap_or_default();
        let candidates = context.candidates(&name).await?;
        let Some(first) = candidates.first() else {
            let text = format!("the server doesn't have a resource type {name:?}");
            return Err(KubectlError::Exit { text, code: 1 });
        };
        if self.api_version.as_ref().is_none_or(String::is_empty) {
            for candidate in &candidates {
                if let Some(rest) = path.strip_prefix(&candidate.qualified()) {
                    return Ok((candidate.clone(), split(rest)));
                }
            }
        }
        Ok((first.clone(), parts[1..].to_vec()))
    }
}
