//! Endpoints and EndpointSlice.

use apimachinery::{FieldError, FieldPath};
use serde_json::{Value, json};

use super::subdomain;
use crate::check::{immutable_hidden, ip, one_of, port_number};
use crate::print;
use crate::rules::{Generation, Rules};
use crate::value::{int, list, text};
use crate::warnings;

pub(super) static ENDPOINTS: Rules = Rules {
    name: subdomain,
    create_on_update: true,
    validate: endpoints,
    validate_update: |new, _, _| endpoints(new),
    warnings: |new, _| endpoints_warnings(new),
    row: Some(|o, now| vec![print::name(o), json!(addresses(o)), print::age(o, now)]),
    ..Rules::NONE
};

pub(super) static ENDPOINT_SLICE: Rules = Rules {
    name: subdomain,
    generation: Generation::ContentAndLabels,
    validate: endpoint_slice,
    validate_update: |new, old, _| {
        let mut faults = endpoint_slice(new);
        faults.extend(immutable_hidden(&FieldPath::new("addressType"), &new["addressType"], &old["addressType"]));
        faults
    },
    warnings: slice_warnings,
    row: Some(slice_row),
    ..Rules::NONE
};

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// What is said of addresses; a controller's own are as they should be.
fn endpoints_warnings(o: &Value) -> Vec<String> {
    if text(&o["metadata"]["labels"], "endpoints.kubernetes.io/managed-by") == "endpoint-controller" {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    for (at, subset) in list(o, "subsets").iter().enumerate() {
        for addresses in ["addresses", "notReadyAddresses"] {
            let path = FieldPath::new("subsets").index(at).child(addresses);
            for (at, address) in list(subset, addresses).iter().enumerate() {
                warnings.extend(warnings::ip(&path.index(at).child("ip"), text(address, "ip")));
            }
        }
    }
    warnings
}

fn slice_warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    if old.is_none() && text(new, "addressType") == "FQDN" {
        warnings.push("spec.addressType: FQDN endpoints are deprecated".to_owned());
    }
    let controllers = ["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"];
    if controllers.contains(&text(&new["metadata"]["labels"], "endpointslice.kubernetes.io/managed-by")) {
        return warnings;
    }
    for (at, endpoint) in list(new, "endpoints").iter().enumerate() {
        let path = FieldPath::new("endpoints").index(at).child("addresses");
        for (at, address) in list(endpoint, "addresses").iter().enumerate() {
            warnings.extend(warnings::ip(&path.index(at), address.as_str().unwrap_or_default()));
        }
    }
    warnings
}

fn endpoints(o: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for (at, subset) in list(o, "subsets").iter().enumerate() {
        let path = FieldPath::new("subsets").index(at);
        if list(subset, "addresses").is_empty() && list(subset, "notReadyAddresses").is_empty() {
            faults.push(FieldError::required(&path, "must specify `addresses` or `notReadyAddresses`"));
        }
        for field in ["addresses", "notReadyAddresses"] {
            for (at, address) in list(subset, field).iter().enumerate() {
                let path = path.child(field).index(at).child("ip");
                faults.extend(endpoint_ip(&path, text(address, "ip")));
            }
        }
        let ports = list(subset, "ports");
        for (at, port) in ports.iter().enumerate() {
            let path = path.child("ports").index(at);
            let name = text(port, "name");
            if name.is_empty() {
                if ports.len() > 1 {
                    faults.push(FieldError::required(&path.child("name"), ""));
                }
            } else {
                let wrong = apimachinery::names::dns_label(name);
                faults.extend(crate::check::invalid_each(&path.child("name"), name, wrong));
            }
            faults.extend(port_number(&path.child("port"), int(port, "port").unwrap_or_default()));
            faults.extend(one_of(&path.child("protocol"), text(port, "protocol"), &PROTOCOLS));
        }
    }
    faults
}

/// An address of an endpoint: none that means the node itself or everybody.
fn endpoint_ip(path: &FieldPath, address: &str) -> Vec<FieldError> {
    let mut faults = ip(path, address);
    faults.extend(crate::services::not_special(path, address));
    faults
}

fn endpoint_slice(o: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let kind = text(o, "addressType");
    if kind.is_empty() {
        faults.push(FieldError::required(&FieldPath::new("addressType"), ""));
    } else {
        faults.extend(one_of(&FieldPath::new("addressType"), kind, &["FQDN", "IPv4", "IPv6"]));
    }
    for (at, endpoint) in list(o, "endpoints").iter().enumerate() {
        let path = FieldPath::new("endpoints").index(at).child("addresses");
        let addresses = list(endpoint, "addresses");
        if addresses.is_empty() {
            faults.push(FieldError::required(&path, ""));
        }
        for (at, address) in addresses.iter().enumerate() {
            if kind == "IPv4" || kind == "IPv6" {
                faults.extend(endpoint_ip(&path.index(at), address.as_str().unwrap_or_default()));
            }
        }
    }
    let mut names = crate::check::Seen::default();
    for (at, port) in list(o, "ports").iter().enumerate() {
        let path = FieldPath::new("ports").index(at);
        faults.extend(names.check(&path.child("name"), text(port, "name")));
        faults.extend(one_of(&path.child("protocol"), text(port, "protocol"), &PROTOCOLS));
    }
    faults
}

fn addresses(o: &Value) -> String {
    let mut all = Vec::new();
    for subset in list(o, "subsets") {
        let ips = || list(subset, "addresses").iter().map(|a| text(a, "ip"));
        let ports = list(subset, "ports");
        if ports.is_empty() {
            all.extend(ips().map(str::to_owned));
        }
        for port in ports {
            let number = int(port, "port").unwrap_or_default();
            all.extend(ips().map(
                |ip| {
                    if ip.contains(':') { format!("[{ip}]:{number}") } else { format!("{ip}:{number}") }
                },
            ));
        }
    }
    print::with_more(&all, if list(o, "subsets").is_empty() { "<none>" } else { "" })
}

fn slice_row(o: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let ports: Vec<String> = list(o, "ports")
        .iter()
        .map(|p| {
            int(p, "port").map_or_else(
                || Some(text(p, "name")).filter(|n| !n.is_empty()).unwrap_or("*").to_owned(),
                |n| n.to_string(),
            )
        })
        .collect();
    let addresses: Vec<String> = list(o, "endpoints")
        .iter()
        .flat_map(|e| list(e, "addresses"))
        .filter_map(|a| a.as_str().map(str::to_owned))
        .collect();
    vec![
        print::name(o),
        json!(text(o, "addressType")),
        json!(print::with_more(&ports, "<unset>")),
        json!(print::with_more(&addresses, "<unset>")),
        print::age(o, now),
    ]
}
