//! `kubectl cluster-info` (upstream: `kubectl/pkg/cmd/clusterinfo`).

mod dump;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::create::known_type;
use crate::context::Context;
use crate::error::KubectlError;
use crate::resource::{ListQuery, Requests};

/// Print the addresses of the control plane and of services that are labelled as the cluster's own.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true, disable_help_flag = true)]
pub(crate) struct ClusterInfoCommand {
    #[command(subcommand)]
    within: Option<Within>,
    #[arg(hide = true)]
    arguments: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Within {
    /// Dump relevant information for debugging and diagnosis
    Dump(dump::Dump),
}

impl ClusterInfoCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        if let Some(Within::Dump(command)) = self.within {
            return command.run(context).await;
        }
        let outcome = self.services(context).await;
        context.printer.out("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.\n")?;
        outcome
    }

    async fn services(&self, context: &Context) -> Result<(), KubectlError> {
        let namespace = context.flags.namespace.as_deref().filter(|name| !name.is_empty()).unwrap_or("kube-system");
        let resource = known_type("", "v1", "services")?;
        let query =
            ListQuery { label_selector: "kubernetes.io/cluster-service=true".to_owned(), ..ListQuery::default() };
        let list = Requests::new(context.client()?).list(&resource, namespace, &query).await?;
        let host = context.config()?.server.text();
        context.printer.line(format!("Kubernetes control plane is running at {host}"))?;
        for service in list["items"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let name = text(&service["metadata"]["name"]);
            let link = match service["status"]["loadBalancer"]["ingress"].get(0) {
                Some(ingress) => {
                    let address = ingress["ip"].as_str().filter(|ip| !ip.is_empty()).or(ingress["hostname"].as_str());
                    let address = address.unwrap_or_default();
                    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
                    ports.map(|port| format!("http://{address}:{} ", port["port"])).collect()
                }
                None => {
                    let target = proxied_name(&name, service["spec"]["ports"].get(0));
                    format!(
                        "{host}/api/v1/namespaces/{}/services/{target}/proxy",
                        text(&service["metadata"]["namespace"])
                    )
                }
            };
            let shown = text(&service["metadata"]["labels"]["kubernetes.io/name"]);
            let shown = if shown.is_empty() { name } else { shown };
            context.printer.line(format!("{shown} is running at {link}"))?;
        }
        Ok(())
    }
}

/// `scheme:service:port`, with what is known of it.
fn proxied_name(name: &str, port: Option<&Value>) -> String {
    let Some(port) = port else { return name.to_owned() };
    let port_name = port["name"].as_str().unwrap_or_default();
    let scheme = if port_name == "https" || port["port"] == 443 { "https" } else { "" };
    match (scheme, port_name) {
        ("", "") => name.to_owned(),
        ("", port) => format!("{name}:{port}"),
        (scheme, port) => format!("{scheme}:{name}:{port}"),
    }
}
