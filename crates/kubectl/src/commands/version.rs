//! `kubectl version` (upstream: `kubectl/pkg/cmd/version`).

use clap::Args;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::KubectlError;
use apimachinery::gotext;

/// How far apart the minor versions of client and server may be.
const SKEW_MAX: i64 = 1;

/// Print the versions of client and server.
#[derive(Debug, Args)]
pub(crate) struct VersionCommand {
    #[arg(hide = true)]
    arguments: Vec<String>,
    /// Only the client's, without a server
    #[arg(long)]
    client: bool,
    /// One of 'yaml' or 'json'
    #[arg(long, short)]
    output: Option<String>,
}

impl VersionCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        if !self.client && !self.arguments.is_empty() {
            return Err(KubectlError::new(format!("extra arguments: [{}]", self.arguments.join(" "))));
        }
        let output = self.output.as_deref().unwrap_or_default();
        if !matches!(output, "" | "yaml" | "json") {
            return Err(KubectlError::new("--output must be 'yaml' or 'json'"));
        }
        let client = client_version();
        let server = if self.client { None } else { Some(context.client()?.get_json("/version").await) };
        let known = server.as_ref().and_then(|server| server.as_ref().ok());
        let mut versions = json!({"clientVersion": client});
        if let Some(server) = known {
            versions["serverVersion"] = server.clone();
        }
        match output {
            "yaml" => context.printer.line(apimachinery::yaml::to_yaml(&versions))?,
            "json" => context.printer.line(gotext::json_indented(&versions, "  "))?,
            _ => {
                let text = |version: &Value| version["gitVersion"].as_str().unwrap_or_default().to_owned();
                context.printer.line(format!("Client Version: {}", text(&client)))?;
                if let Some(server) = known {
                    context.printer.line(format!("Server Version: {}", text(server)))?;
                }
            }
        }
        if let Some(warning) = known.and_then(|server| skew_warning(&client, server)) {
            if context.flags.warnings_as_errors {
                return Err(KubectlError::new(warning));
            }
            context.printer.err_line(format!("Warning: {warning}"));
        }
        match server {
            Some(Err(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Upstream's version whose behaviour this is.
fn client_version() -> Value {
    let mut numbers = crate::VERSION.trim_start_matches('v').split('.');
    json!({
        "major": numbers.next(), "minor": numbers.next(), "gitVersion": crate::VERSION,
        "platform": format!("linux/{}", crate::ARCHITECTURE),
    })
}

fn skew_warning(client: &Value, server: &Value) -> Option<String> {
    let number = |version: &Value, key: &str| {
        let digits: String = version[key].as_str()?.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<i64>().ok()
    };
    let (client_major, client_minor) = (number(client, "major")?, number(client, "minor")?);
    let (server_major, server_minor) = (number(server, "major")?, number(server, "minor")?);
    let apart = client_major != server_major || (client_minor - server_minor).abs() > SKEW_MAX;
    apart.then(|| {
        format!(
            "version difference between client ({client_major}.{client_minor}) and server ({server_major}.{server_minor}) \
             exceeds the supported minor version skew of +/-{SKEW_MAX}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew() {
        let version = |minor: &str| json!({"major": "1", "minor": minor});
        assert_eq!(skew_warning(&version("37"), &version("36+")), None);
        assert_eq!(
            skew_warning(&version("37"), &version("34")).unwrap(),
            "version difference between client (1.37) and server (1.34) exceeds the supported minor version skew of +/-1"
        );
    }
}
