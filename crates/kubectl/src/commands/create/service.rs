//! `kubectl create service`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{create_object, known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::write::CreateFlags;

/// Create a service using a specified subcommand.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true, disable_help_flag = true)]
pub(crate) enum CreateService {
    /// Create a ClusterIP service
    #[command(name = "clusterip")]
    ClusterIp(ClusterIp),
    /// Create an ExternalName service
    #[command(name = "externalname")]
    ExternalName(ExternalName),
    /// Create a LoadBalancer service
    #[command(name = "loadbalancer")]
    LoadBalancer(LoadBalancer),
    /// Create a NodePort service
    #[command(name = "nodeport")]
    NodePort(NodePort),
}

/// What all of them take.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Its name
    #[arg(value_name = "NAME")]
    arguments: Vec<String>,
    /// Ports as PORT:TARGETPORT
    #[arg(long = "tcp")]
    tcp: Vec<String>,
    #[command(flatten)]
    flags: CreateFlags,
}

/// Create a ClusterIP service with the specified name.
#[derive(Debug, Args)]
pub(crate) struct ClusterIp {
    #[command(flatten)]
    common: Common,
    /// The cluster address, or None for a headless service
    #[arg(long = "clusterip")]
    cluster_ip: Option<String>,
}

/// Create an ExternalName service with the specified name.
#[derive(Debug, Args)]
pub(crate) struct ExternalName {
    #[command(flatten)]
    common: Common,
    /// The name that it stands for
    #[arg(long, required = true)]
    external_name: String,
}

/// Create a LoadBalancer service with the specified name.
#[derive(Debug, Args)]
pub(crate) struct LoadBalancer {
    #[command(flatten)]
    common: Common,
}

/// Create a NodePort service with the specified name.
#[derive(Debug, Args)]
pub(crate) struct NodePort {
    #[command(flatten)]
    common: Common,
    /// The port on each node
    #[arg(long, value_parser = values::int32, default_value = "0", allow_negative_numbers = true)]
    node_port: i32,
}

/// A Service as the flags describe it.
#[derive(Default)]
struct Wanted {
    ty: &'static str,
    cluster_ip: String,
    external_name: String,
    node_port: i32,
}

impl CreateService {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let (common, wanted) = match self {
            Self::ClusterIp(command) => {
                let cluster_ip = command.cluster_ip.unwrap_or_default();
                (command.common, Wanted { ty: "ClusterIP", cluster_ip, ..Wanted::default() })
            }
            Self::ExternalName(command) => {
                let external_name = command.external_name;
                (command.common, Wanted { ty: "ExternalName", external_name, ..Wanted::default() })
            }
            Self::LoadBalancer(command) => (command.common, Wanted { ty: "LoadBalancer", ..Wanted::default() }),
            Self::NodePort(command) => {
                let node_port = command.node_port;
                (command.common, Wanted { ty: "NodePort", node_port, ..Wanted::default() })
            }
        };
        let name = name_of(context, &common.arguments)?;
        let object = service(&name, &wanted, &values::split_list(&common.tcp))?;
        let failure = format!("failed to create {} service:", wanted.ty);
        create_object(context, &common.flags, &known_type("", "v1", "services")?, object, &failure).await
    }
}

fn service(name: &str, wanted: &Wanted, tcp: &[String]) -> Result<Value, KubectlError> {
    if wanted.cluster_ip != "None" && tcp.is_empty() && wanted.ty != "ExternalName" {
        return Err(KubectlError::new("at least one tcp port specifier must be provided"));
    }
    if wanted.ty == "ExternalName" && !apimachinery::names::dns_subdomain(&wanted.external_name).is_empty() {
        return Err(KubectlError::new(format!("invalid service external name {}", wanted.external_name)));
    }
    let mut ports = Vec::new();
    for text in tcp {
        let (port, target) = port_pair(text)?;
        let mut entry = json!({"name": text.replace(':', "-"), "port": port, "targetPort": target, "protocol": "TCP"});
        if wanted.node_port != 0 {
            entry["nodePort"] = json!(wanted.node_port);
        }
        ports.push(entry);
    }
    let labels = json!({"app": name});
    let mut object = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels},
        "spec": {"type": wanted.ty, "selector": labels, "ports": ports},
    });
    for (key, value) in [("clusterIP", &wanted.cluster_ip), ("externalName", &wanted.external_name)] {
        if !value.is_empty() {
            object["spec"][key] = json!(value);
        }
    }
    Ok(object)
}

/// `80`, `80:8080` or `80:http`.
fn port_pair(text: &str) -> Result<(u16, Value), KubectlError> {
    let parse = |text: &str| {
        text.parse::<u16>().map_err(|_| {
            let what = if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) {
                "value out of range"
            } else {
                "invalid syntax"
            };
            KubectlError::new(format!("strconv.ParseUint: parsing {text:?}: {what}"))
        })
    };
    match text.split_once(':') {
        None => parse(text).map(|port| (port, json!(port))),
        Some((port, target)) => {
            let target = target.split(':').next().unwrap_or_default();
            let port = parse(port)?;
            match target.parse::<i64>() {
                Ok(number @ 1..=65535) => Ok((port, json!(number))),
                Ok(_) => Err(KubectlError::new("must be between 1 and 65535, inclusive")),
                Err(_) => match port_name_faults(target) {
                    faults if faults.is_empty() => Ok((port, json!(target))),
                    faults => Err(KubectlError::new(faults.join(","))),
                },
            }
        }
    }
}

/// Upstream's `IsValidPortName`.
fn port_name_faults(name: &str) -> Vec<&'static str> {
    let mut faults = Vec::new();
    if name.len() > 15 {
        faults.push("must be no more than 15 characters");
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        faults.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        faults.push("must contain at least one letter (a-z)");
    }
    if name.contains("--") {
        faults.push("must not contain consecutive hyphens");
    }
    if name.starts_with('-') || name.ends_with('-') {
        faults.push("must not begin or end with a hyphen");
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        let shown = |text: &str| match port_pair(text) {
            Ok((port, target)) => format!("{port} {target}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown("80"), "80 80");
        assert_eq!(shown("80:8080"), "80 8080");
        assert_eq!(shown("80:http"), "80 \"http\"");
        assert_eq!(shown("x"), "strconv.ParseUint: parsing \"x\": invalid syntax");
        assert_eq!(shown("70000"), "strconv.ParseUint: parsing \"70000\": value out of range");
        assert_eq!(shown("80:-http"), "must not begin or end with a hyphen");
    }
}
