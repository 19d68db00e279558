//! `kubectl api-resources` and `kubectl api-versions` (upstream: `kubectl/pkg/cmd/apiresources`).

use clap::{ArgAction, Args};
use serde_json::{Value, json};

use crate::context::Context;
use crate::discovery::ResourceType;
use crate::error::KubectlError;
use crate::flags::values;
use crate::output::columns::ColumnWriter;
use apimachinery::gotext;

/// Print the resources that the server offers.
#[derive(Debug, Args)]
pub(crate) struct ApiResourcesCommand {
    #[arg(hide = true)]
    arguments: Vec<String>,
    /// Only those of this group
    #[arg(long)]
    api_group: Option<String>,
    /// Only those of all these categories
    #[arg(long = "categories")]
    categories: Vec<String>,
    /// Only namespaced ones, or only others
    #[arg(long, value_parser = values::switch, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    namespaced: Option<bool>,
    /// No line of headers
    #[arg(long)]
    no_headers: bool,
    /// Output format: json, yaml, kyaml, name, wide
    #[arg(long, short)]
    output: Option<String>,
    /// Sort by name or kind
    #[arg(long)]
    sort_by: Option<String>,
    /// Only those with all these verbs
    #[arg(long = "verbs")]
    verbs: Vec<String>,
}

impl ApiResourcesCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        if !self.arguments.is_empty() {
            let shown = self.arguments.join(" ");
            return Err(KubectlError::usage(&context.command_path, format!("unexpected arguments: [{shown}]")));
        }
        let output = self.output.as_deref().unwrap_or_default();
        if !matches!(output, "" | "wide" | "name" | "json" | "yaml" | "kyaml") {
            return Err(KubectlError::new(format!(
                "unable to match a printer suitable for the output format {output:?}, allowed formats are: json,kyaml,name,wide,yaml"
            )));
        }
        let sort_by = self.sort_by.as_deref().unwrap_or_default();
        if !matches!(sort_by, "" | "name" | "kind") {
            return Err(KubectlError::new("--sort-by accepts only name or kind"));
        }
        let mapper = context.mapper().await?;
        let (verbs, categories) = (values::split_list(&self.verbs), values::split_list(&self.categories));
        let mut shown: Vec<&ResourceType> = Vec::new();
        for resource in &mapper.resources {
            let fits = !resource.verbs.is_empty()
                && self.api_group.as_ref().is_none_or(|group| *group == resource.group)
                && self.namespaced.is_none_or(|namespaced| namespaced == resource.namespaced)
                && verbs.iter().all(|verb| resource.has_verb(verb))
                && categories.iter().all(|category| resource.categories.contains(category));
            // Each resource in the preferred version that has it.
            let known = shown.iter().any(|other| other.group == resource.group && other.plural == resource.plural);
            if fits && !known {
                shown.push(resource);
            }
        }
        shown.sort_by_key(|resource| {
            let first = match sort_by {
                "name" => &resource.plural,
                "kind" => &resource.kind,
                _ => &resource.group,
            };
            (first.clone(), resource.plural.clone())
        });
        match output {
            "name" => {
                let names: String = shown.iter().map(|resource| resource.qualified() + "\n").collect();
                context.printer.out(names)
            }
            "json" => context.printer.line(gotext::json_indented(&list(&shown), "    ")),
            "kyaml" => context.printer.out(crate::output::kyaml::to_kyaml(&list(&shown))),
            "yaml" => context.printer.out(apimachinery::yaml::to_yaml(&list(&shown))),
            _ => context.printer.out(self.table(&shown, output == "wide")),
        }
    }

    fn table(&self, shown: &[&ResourceType], wide: bool) -> String {
        let mut writer = ColumnWriter::default();
        if !self.no_headers {
            let mut headers = vec!["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"];
            if wide {
                headers.extend(["VERBS", "CATEGORIES"]);
            }
            writer.row(headers.into_iter().map(str::to_owned).collect());
        }
        for resource in shown {
            let mut row = vec![
                resource.plural.clone(),
                resource.short_names.join(","),
                resource.api_version(),
                resource.namespaced.to_string(),
                resource.kind.clone(),
            ];
            if wide {
                row.extend([resource.verbs.join(","), resource.categories.join(",")]);
            }
            writer.row(row);
        }
        writer.flush()
    }
}

fn list(shown: &[&ResourceType]) -> Value {
    let resource = |resource: &&ResourceType| {
        let mut value = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "version": resource.version, "kind": resource.kind, "verbs": resource.verbs,
        });
        if !resource.group.is_empty() {
            value["group"] = json!(resource.group);
        }
        if !resource.short_names.is_empty() {
            value["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            value["categories"] = json!(resource.categories);
        }
        value
    };
    let resources: Vec<Value> = shown.iter().map(resource).collect();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "", "resources": resources})
}

/// Print the versions of the API that the server offers, as group/version.
#[derive(Debug, Args)]
pub(crate) struct ApiVersionsCommand {
    #[arg(hide = true)]
    arguments: Vec<String>,
}

impl ApiVersionsCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        if !self.arguments.is_empty() {
            let shown = self.arguments.join(" ");
            return Err(KubectlError::usage(&context.command_path, format!("unexpected arguments: [{shown}]")));
        }
        let mapper = context
            .mapper()
            .await
            .map_err(|error| KubectlError::new(format!("couldn't get available api versions from server: {error}")))?;
        let mut versions: Vec<String> = Vec::new();
        for group in &mapper.groups {
            let named = |version: &String| {
                if group.name.is_empty() { version.clone() } else { format!("{}/{version}", group.name) }
            };
            versions.extend(group.versions.iter().map(named));
        }
        versions.sort();
        context.printer.out(versions.into_iter().map(|version| version + "\n").collect::<String>())
    }
}
