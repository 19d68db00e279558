//! `skiff service`: the URLs by which the host reaches a Service (minikube's command of that name).

mod urls;

use std::io::IsTerminal;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use apimachinery::Reason;
use client::RestError;
use client::rest::encode_segment;
use serde_json::Value;

use self::urls::{Exposed, exposed, table};
use super::{existing, running_node};
use crate::cli::ServiceArgs;
use crate::cluster::Cluster;
use crate::pki::Pki;
use crate::{administrator, printer};

/// Programs that open a URL in the user's browser, tried in this order.
const OPENERS: [&str; 2] = ["xdg-open", "sensible-browser"];

pub(crate) fn run(profile: &str, args: &ServiceArgs) -> Result<ExitCode> {
    let cluster = existing(profile)?;
    running_node(&cluster)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let services = runtime.block_on(read(&cluster, args))?;
    let scheme = if args.https { "https" } else { "http" };
    let services: Vec<Exposed> =
        services.iter().map(|service| exposed(service, cluster.node_address(), scheme)).collect();
    if args.all {
        printer::text(table(&services));
        return Ok(ExitCode::SUCCESS);
    }
    let [service] = services.as_slice() else { bail!("the API server sent {} Services for one name", services.len()) };
    let urls: Vec<&str> = service.ports.iter().filter_map(|port| port.url.as_deref()).collect();
    if urls.is_empty() {
        bail!(
            "service {}/{} has no node port, so the host does not reach it; expose it with --type=NodePort or LoadBalancer",
            service.namespace,
            service.name
        );
    }
    if args.url || !open_all(&urls) {
        urls.iter().for_each(printer::line);
    }
    Ok(ExitCode::SUCCESS)
}

/// The Service that is asked for, or all of them.
async fn read(cluster: &Cluster, args: &ServiceArgs) -> Result<Vec<Value>> {
    let api = administrator::connect(cluster, &Pki::load(&cluster.pki_directory())?)?;
    let Some(name) = &args.name else {
        let list = api.get_json("/api/v1/services").await.context("failed to list the Services")?;
        return Ok(list["items"].as_array().cloned().unwrap_or_default());
    };
    let namespace = &args.namespace;
    let path = format!("/api/v1/namespaces/{}/services/{}", encode_segment(namespace), encode_segment(name));
    match api.get_json(&path).await {
        Ok(service) => Ok(vec![service]),
        Err(RestError::Api(error)) if error.reason == Reason::NotFound => bail!(
            "there is no Service {name:?} in namespace {namespace:?}; `skiff service --all` lists them, -n chooses another namespace"
        ),
        Err(error) => Err(error).context("failed to read the Service"),
    }
}

/// Opens the URLs in a browser. False where there is nobody to see one, or no way to open it.
fn open_all(urls: &[&str]) -> bool {
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if !desktop || !std::io::stdout().is_terminal() {
        return false;
    }
    urls.iter().all(|url| OPENERS.iter().any(|opener| open(opener, url)))
}

fn open(opener: &str, url: &str) -> bool {
    #[allow(clippy::disallowed_methods, reason = "opening a browser is what this is for")]
    let mut command = std::process::Command::new(opener);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
