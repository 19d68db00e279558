//! Ports of a Pod's containers that are said twice, or that get in each other's way.

use apimachinery::FieldPath;
use serde_json::Value;

use crate::value::{int, list, text};

struct Port<'a> {
    path: FieldPath,
    name: &'a str,
    number: i64,
    protocol: &'a str,
    host_ip: &'a str,
    host_port: i64,
}

/// What is said of the ports of `containers`.
pub(super) fn of(containers: &[(FieldPath, &Value)]) -> Vec<String> {
    let ports: Vec<Port<'_>> = containers
        .iter()
        .flat_map(|(path, container)| {
            let path = path.child("ports");
            list(container, "ports").iter().enumerate().map(move |(at, port)| Port {
                path: path.index(at),
                name: text(port, "name"),
                number: int(port, "containerPort").unwrap_or_default(),
                protocol: text(port, "protocol"),
                host_ip: text(port, "hostIP"),
                host_port: int(port, "hostPort").unwrap_or_default(),
            })
        })
        .collect();
    let mut warnings = Vec::new();
    for (at, port) in ports.iter().enumerate() {
        if !port.host_ip.is_empty() && port.host_port == 0 {
            let Port { path, name, number, protocol, host_ip, .. } = port;
            // The port as Go prints a struct.
            warnings.push(format!(
                "{path}: hostIP set without hostPort: {{Name:{name} HostPort:0 ContainerPort:{number} Protocol:{protocol} HostIP:{host_ip}}}"
            ));
        }
        let same = ports[..at].iter().filter(|other| (other.number, other.protocol) == (port.number, port.protocol));
        for other in same {
            if let Some(what) = clash(port, other) {
                warnings.push(format!("{}: {what} port definition with {}", port.path, other.path));
            }
        }
    }
    for (at, port) in ports.iter().enumerate().filter(|(_, port)| !port.name.is_empty()) {
        if let Some(other) = ports[..at].iter().find(|other| other.name == port.name) {
            let (path, name, other) = (&port.path, port.name, &other.path);
            warnings.push(format!(
                "{path}: duplicate port name {name:?} with {other}, services and probes that select ports by name will use {other}"
            ));
        }
    }
    warnings
}

/// How two entries for the same port get in each other's way.
fn clash(port: &Port<'_>, other: &Port<'_>) -> Option<&'static str> {
    if (port.host_ip, port.host_port) == (other.host_ip, other.host_port) {
        Some("duplicate")
    } else if port.host_port == 0 || other.host_port == 0 {
        Some("overlapping")
    } else if port.host_port == other.host_port && port.host_ip.is_empty() != other.host_ip.is_empty() {
        Some("dangerously ambiguous")
    } else {
        None
    }
}
