//! Which URLs lead to a Service. Pure.

use std::net::Ipv4Addr;

use serde_json::Value;

/// A Service as the host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exposed {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) ports: Vec<ExposedPort>,
}

/// One of its ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExposedPort {
    /// `http/80`, or `80` for a port without a name.
    pub(super) title: String,
    /// How the host reaches it; `None` if it has no node port.
    pub(super) url: Option<String>,
}

/// The URLs of `service` on the node's address.
pub(super) fn exposed(service: &Value, node: Ipv4Addr, scheme: &str) -> Exposed {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ports = service["spec"]["ports"].as_array().into_iter().flatten().map(|port| {
        let number = port["port"].as_u64().unwrap_or(0);
        let title = match port["name"].as_str().unwrap_or_default() {
            "" => number.to_string(),
            name => format!("{name}/{number}"),
        };
        // Nothing that speaks HTTP is behind a port of another protocol, but its address and port are what is asked for.
        let url = port["nodePort"].as_u64().map(|node_port| format!("{scheme}://{node}:{node_port}"));
        ExposedPort { title, url }
    });
    Exposed {
        namespace: text(&service["metadata"]["namespace"]),
        name: text(&service["metadata"]["name"]),
        ports: ports.collect(),
    }
}

/// All Services, as minikube prints them.
pub(super) fn table(services: &[Exposed]) -> String {
    let header = ["NAMESPACE", "NAME", "TARGET PORT", "URL"].map(str::to_owned);
    let mut rows: Vec<[String; 4]> = Vec::new();
    for service in services {
        let mut first = [service.namespace.clone(), service.name.clone()];
        let reachable = service.ports.iter().filter_map(|port| Some((port.title.clone(), port.url.clone()?)));
        let mut cells: Vec<(String, String)> = reachable.collect();
        if cells.is_empty() {
            cells.push((String::new(), "No node port".to_owned()));
        }
        for (title, url) in cells {
            let [namespace, name] = std::mem::take(&mut first);
            rows.push([namespace, name, title, url]);
        }
    }
    let mut widths = [0; 4];
    for row in rows.iter().chain([&header]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let rule = format!("|{}|\n", widths.map(|width| "-".repeat(width + 2)).join("|"));
    let line = |row: &[String; 4]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!(" {cell:<width$} ")).collect();
        format!("|{}|\n", cells.join("|"))
    };
    let body: String = rows.iter().map(line).collect();
    format!("{rule}{}{rule}{body}{rule}", line(&header))
}

#[cfg(test)]
mod tests;
