//! `kubectl config view`.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::{ArgAction, Args};
use serde_json::{Value, json};

use super::Files;
use super::files::LISTS;
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::output::OutputFlags;

/// Display merged kubeconfig settings or a specified kubeconfig file. Secrets are shown with --raw only.
#[derive(Debug, Args)]
pub(crate) struct View {
    #[arg(hide = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    output: OutputFlags,
    /// Put the content of files in place of their names, so that the output stands alone
    #[arg(long)]
    flatten: bool,
    /// Read all files; only the one of --kubeconfig if false
    #[arg(long, value_parser = values::switch, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    merge: Option<bool>,
    /// Only what the current context uses
    #[arg(long)]
    minify: bool,
    /// Show secrets and certificates
    #[arg(long)]
    raw: bool,
}

impl View {
    pub(super) fn run(self, context: &Context) -> Result<(), KubectlError> {
        if !self.arguments.is_empty() {
            let shown = self.arguments.join(" ");
            return Err(KubectlError::usage(&context.command_path, format!("unexpected arguments: [{shown}]")));
        }
        let output =
            self.output.output.clone().filter(|output| !output.is_empty()).unwrap_or_else(|| "yaml".to_owned());
        let printer = OutputFlags { output: Some(output), ..self.output.clone() }.printer("")?;
        let files = Files::load(context)?;
        if self.merge == Some(false) && !files.is_explicit() {
            return Err(KubectlError::new("if merge==false a precise file must be specified"));
        }
        if files.is_explicit() && !files.default_file().exists() {
            let path = files.default_file();
            return Err(KubectlError::new(format!("open {}: no such file or directory", path.display())));
        }
        let mut config = files.merged();
        if self.minify {
            if let Some(name) = context.flags.context.as_deref().filter(|name| !name.is_empty()) {
                config["current-context"] = name.into();
            }
            minify(&mut config)?;
        }
        if self.flatten {
            for list in LISTS {
                for (name, _, path) in files.entries(list) {
                    let items = config[list.key].as_array_mut().into_iter().flatten();
                    for item in items.into_iter().filter(|item| item["name"] == name.as_str()) {
                        embed(&mut item[list.entry], path)?;
                    }
                }
            }
        } else if !self.raw {
            redact(&mut config);
        }
        printer.print(&context.printer, &config)
    }
}

/// Keeps the current context, its cluster and its user.
fn minify(config: &mut Value) -> Result<(), KubectlError> {
    let fault = |text: String| Err(KubectlError::new(text));
    let current = config["current-context"].as_str().unwrap_or_default().to_owned();
    if current.is_empty() {
        return fault("current-context must exist in order to minify".to_owned());
    }
    let find = |config: &Value, key: &str, name: &str| {
        config[key].as_array().into_iter().flatten().find(|item| item["name"] == name).cloned()
    };
    let Some(context) = find(config, "contexts", &current) else {
        return fault(format!("cannot locate context {current}"));
    };
    for (key, entry) in [("clusters", "cluster"), ("users", "user")] {
        let name = context["context"][entry].as_str().unwrap_or_default();
        config[key] = match find(config, key, name) {
            Some(found) => json!([found]),
            None if name.is_empty() => Value::Null,
            None => return fault(format!("cannot locate {entry} {name}")),
        };
    }
    config["contexts"] = json!([context]);
    Ok(())
}

fn redact(config: &mut Value) {
    for list in LISTS {
        for item in config[list.key].as_array_mut().into_iter().flatten() {
            for (key, value) in item[list.entry].as_object_mut().into_iter().flatten() {
                match key.as_str() {
                    "token" | "password" => *value = "REDACTED".into(),
                    key if list.bytes.contains(&key) => *value = "DATA+OMITTED".into(),
                    _ => {}
                }
            }
        }
    }
}

/// Puts the content of files in place of their names.
fn embed(content: &mut Value, kubeconfig: &Path) -> Result<(), KubectlError> {
    let Some(content) = content.as_object_mut() else { return Ok(()) };
    let directory = kubeconfig.parent().unwrap_or(Path::new(""));
    for key in ["certificate-authority", "client-certificate", "client-key"] {
        let Some(file) = content.get(key).and_then(Value::as_str).map(|file| directory.join(file)) else { continue };
        let data =
            std::fs::read(&file).map_err(|error| KubectlError::new(format!("open {}: {error}", file.display())))?;
        content.remove(key);
        content.insert(format!("{key}-data"), BASE64_STANDARD.encode(data).into());
    }
    Ok(())
}
