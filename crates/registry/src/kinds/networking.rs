//! Ingress, IngressClass and NetworkPolicy (upstream: `pkg/apis/networking/validation`).

use std::collections::BTreeSet;

use apimachinery::names::{dns_label, dns_subdomain};
use apimachinery::{FieldError, FieldPath, Subresource};
use serde_json::{Value, json};

use super::node::is_cidr;
use super::subdomain;
use crate::check::{immutable, invalid_each, label_selector, one_of, port_name, port_number, port_number_or_name};
use crate::print;
use crate::rules::{Generation, Rules};
use crate::value::{has, int, list, text};
use crate::warnings;

/// Where the class stood before it was a field.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

pub(super) static INGRESS: Rules = Rules {
    name: subdomain,
    generation: Generation::Of("spec"),
    validate: ingress,
    validate_update: |new, _, subresource| if subresource == Subresource::None { ingress(new) } else { Vec::new() },
    warnings: |new, old| {
        let deprecated = old.is_none()
            && has(&new["metadata"]["annotations"], CLASS_ANNOTATION)
            && !has(&new["spec"], "ingressClassName");
        let sentence =
            || format!("annotation {CLASS_ANNOTATION:?} is deprecated, please use 'spec.ingressClassName' instead");
        deprecated.then(sentence).into_iter().collect()
    },
    row: Some(ingress_row),
    ..Rules::NONE
};

pub(super) static INGRESS_CLASS: Rules = Rules {
    name: subdomain,
    generation: Generation::Of("spec"),
    validate: ingress_class,
    validate_update: |new, old, _| {
        let path = FieldPath::new("spec").child("controller");
        immutable(&path, &new["spec"]["controller"], &old["spec"]["controller"])
    },
    row: Some(|o, now| {
        let annotations = &o["metadata"]["annotations"];
        let is_default = text(annotations, "ingressclass.kubernetes.io/is-default-class") == "true";
        let name = text(&o["metadata"], "name");
        let parameters = &o["spec"]["parameters"];
        let shown = if parameters.is_null() {
            "<none>".to_owned()
        } else {
            let group = parameters["apiGroup"].as_str().map(|g| format!(".{g}")).unwrap_or_default();
            format!("{}{group}/{}", text(parameters, "kind"), text(parameters, "name"))
        };
        vec![
            json!(if is_default { format!("{name} (default)") } else { name.to_owned() }),
            json!(text(&o["spec"], "controller")),
            json!(shown),
            print::age(o, now),
        ]
    }),
    ..Rules::NONE
};

pub(super) static NETWORK_POLICY: Rules = Rules {
    name: subdomain,
    generation: Generation::Of("spec"),
    validate: network_policy,
    validate_update: |new, _, _| network_policy(new),
    warnings: |new, _| policy_warnings(&new["spec"]),
    row: Some(|o, now| vec![print::name(o), print::selector_or_none(&o["spec"]["podSelector"]), print::age(o, now)]),
    ..Rules::NONE
};

/// What is said of the ranges of addresses in a policy.
fn policy_warnings(spec: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for (at, rule) in list(spec, rules).iter().enumerate() {
            for (index, peer) in list(rule, peers).iter().enumerate() {
                let path = FieldPath::new("spec").child(rules).index(at).child(peers).index(index).child("ipBlock");
                let block = &peer["ipBlock"];
                warnings.extend(warnings::cidr(&path.child("cidr"), text(block, "cidr")));
                for (at, except) in list(block, "except").iter().enumerate() {
                    let except = except.as_str().unwrap_or_default();
                    warnings.extend(warnings::cidr(&path.child("except").index(at), except));
                }
            }
        }
    }
    warnings
}

fn ingress(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let mut faults = Vec::new();
    if list(spec, "rules").is_empty() && !has(spec, "defaultBackend") {
        let detail = "either `defaultBackend` or `rules` must be specified";
        faults.push(FieldError::invalid(&path, &spec["rules"], detail));
    }
    if has(spec, "defaultBackend") {
        faults.extend(backend(&path.child("defaultBackend"), &spec["defaultBackend"]));
    }
    for (at, rule) in list(spec, "rules").iter().enumerate() {
        let here = path.child("rules").index(at);
        faults.extend(host(&here.child("host"), text(rule, "host")));
        if has(rule, "http") {
            let here = here.child("http").child("paths");
            let paths = list(&rule["http"], "paths");
            if paths.is_empty() {
                faults.push(FieldError::required(&here, ""));
            }
            for (at, path) in paths.iter().enumerate() {
                faults.extend(http_path(&here.index(at), path));
            }
        }
    }
    for (at, tls) in list(spec, "tls").iter().enumerate() {
        for (nth, name) in list(tls, "hosts").iter().filter_map(Value::as_str).enumerate() {
            faults.extend(host(&path.child("tls").index(at).child("hosts").index(nth), name));
        }
    }
    if has(spec, "ingressClassName") {
        let name = text(spec, "ingressClassName");
        faults.extend(invalid_each(&path.child("ingressClassName"), name, dns_subdomain(name)));
    }
    faults
}

/// A host name, perhaps with a wildcard as its first label.
fn host(path: &FieldPath, host: &str) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if host.is_empty() {
        return faults;
    }
    if host.parse::<std::net::IpAddr>().is_ok() {
        faults.push(FieldError::invalid(path, host, "must be a DNS name, not an IP address"));
    }
    if !host.contains('*') {
        faults.extend(invalid_each(path, host, dns_subdomain(host)));
    } else if !host.strip_prefix("*.").is_some_and(|rest| dns_subdomain(rest).is_empty()) {
        let detail = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
        faults.push(FieldError::invalid(path, host, detail));
    }
    faults
}

fn http_path(path: &FieldPath, rule: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let (target, here) = (text(rule, "path"), path.child("path"));
    match text(rule, "pathType") {
        "" => return vec![FieldError::required(&path.child("pathType"), "pathType must be specified")],
        "Exact" | "Prefix" => {
            if !target.starts_with('/') {
                faults.push(FieldError::invalid(&here, target, "must be an absolute path"));
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"].into_iter().filter(|part| target.contains(part)) {
                faults.push(FieldError::invalid(&here, target, format!("must not contain '{part}'")));
            }
            for end in ["/..", "/."].into_iter().filter(|end| target.ends_with(end)) {
                faults.push(FieldError::invalid(&here, target, format!("cannot end with '{end}'")));
            }
        }
        "ImplementationSpecific" => {
            if !target.is_empty() && !target.starts_with('/') {
                faults.push(FieldError::invalid(&here, target, "must be an absolute path"));
            }
        }
        other => {
            let known = ["Exact", "ImplementationSpecific", "Prefix"];
            faults.extend(one_of(&path.child("pathType"), other, &known));
        }
    }
    faults.extend(backend(&path.child("backend"), &rule["backend"]));
    faults
}

fn backend(path: &FieldPath, backend: &Value) -> Vec<FieldError> {
    match (has(backend, "service"), has(backend, "resource")) {
        (true, true) => vec![FieldError::invalid(path, "", "cannot set both resource and service backends")],
        (false, false) => vec![FieldError::invalid(path, "", "resource or service backend is required")],
        (false, true) => {
            let here = path.child("resource");
            let empty = ["kind", "name"].into_iter().filter(|key| text(&backend["resource"], key).is_empty());
            empty.map(|key| FieldError::required(&here.child(key), "")).collect()
        }
        (true, false) => {
            let mut faults = Vec::new();
            let (here, service) = (path.child("service"), &backend["service"]);
            let name = text(service, "name");
            if name.is_empty() {
                faults.push(FieldError::required(&here.child("name"), ""));
            } else {
                faults.extend(invalid_each(&here.child("name"), name, dns_label(name)));
            }
            let (named, number) = (text(&service["port"], "name"), int(&service["port"], "number").unwrap_or_default());
            let port = here.child("port");
            match (named.is_empty(), number) {
                (false, 0) => faults.extend(invalid_each(&port.child("name"), named, port_name(named))),
                (false, _) => faults.push(FieldError::invalid(path, "", "cannot set both port name & port number")),
                (true, 0) => faults.push(FieldError::required(path, "port name or number is required")),
                (true, number) => faults.extend(port_number(&port.child("number"), number)),
            }
            faults
        }
    }
}

fn ingress_class(o: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("spec").child("controller");
    let controller = text(&o["spec"], "controller");
    if controller.is_empty() {
        return vec![FieldError::required(&path, "")];
    }
    if controller.contains('/') {
        Vec::new()
    } else {
        vec![FieldError::invalid(&path, controller, "must be a domain-prefixed path (such as \"acme.io/foo\")")]
    }
}

fn ingress_row(o: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let (spec, status) = (&o["spec"], &o["status"]);
    let rules = list(spec, "rules");
    let hosts: Vec<&str> = rules.iter().map(|r| text(r, "host")).filter(|h| !h.is_empty()).collect();
    let shown = match hosts.len() {
        0 => "*".to_owned(),
        n if n > 3 => format!("{} + {} more...", hosts[..3].join(","), rules.len() - 3),
        _ => hosts.join(","),
    };
    let addresses: BTreeSet<&str> = list(&status["loadBalancer"], "ingress")
        .iter()
        .map(|i| if text(i, "ip").is_empty() { text(i, "hostname") } else { text(i, "ip") })
        .filter(|a| !a.is_empty())
        .collect();
    vec![
        print::name(o),
        json!(spec["ingressClassName"].as_str().unwrap_or("<none>")),
        json!(shown),
        json!(addresses.into_iter().collect::<Vec<_>>().join(",")),
        json!(if list(spec, "tls").is_empty() { "80" } else { "80, 443" }),
        print::age(o, now),
    ]
}

fn network_policy(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let mut faults = label_selector(&path.child("podSelector"), &spec["podSelector"]);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (at, rule) in list(spec, direction).iter().enumerate() {
            let path = path.child(direction).index(at);
            for (at, port) in list(rule, "ports").iter().enumerate() {
                faults.extend(policy_port(&path.child("ports").index(at), port));
            }
            for (at, peer) in list(rule, peers).iter().enumerate() {
                faults.extend(policy_peer(&path.child(peers).index(at), peer));
            }
        }
    }
    let types = list(spec, "policyTypes");
    if types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        faults.push(FieldError::invalid(&path.child("policyTypes"), &spec["policyTypes"], detail));
        return faults;
    }
    for (at, kind) in types.iter().enumerate() {
        let path = path.child("policyTypes").index(at);
        faults.extend(one_of(&path, kind.as_str().unwrap_or_default(), &["Ingress", "Egress"]));
    }
    faults
}

fn policy_port(path: &FieldPath, port: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let protocol = text(port, "protocol");
    if !protocol.is_empty() {
        faults.extend(one_of(&path.child("protocol"), protocol, &["TCP", "UDP", "SCTP"]));
    }
    if has(port, "port") {
        faults.extend(port_number_or_name(&path.child("port"), &port["port"]));
    }
    if let Some(end) = port["endPort"].as_i64() {
        match &port["port"] {
            Value::Null => {
                faults.push(FieldError::required(&path.child("port"), "must be specified when `endPort` is specified"));
            }
            Value::String(_) => {
                let detail = "may not be specified when `port` is non-numeric";
                faults.push(FieldError::invalid(&path.child("endPort"), end, detail));
            }
            first if first.as_i64().is_some_and(|first| end < first) => {
                let detail = "must be greater than or equal to `port`";
                faults.push(FieldError::invalid(&path.child("endPort"), end, detail));
            }
            _ => {}
        }
    }
    faults
}

fn policy_peer(path: &FieldPath, peer: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut kinds = 0;
    for key in ["podSelector", "namespaceSelector"] {
        if has(peer, key) {
            kinds += 1;
            faults.extend(label_selector(&path.child(key), &peer[key]));
        }
    }
    if has(peer, "ipBlock") {
        if kinds > 0 {
            faults.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer"));
        }
        let (path, block) = (path.child("ipBlock"), &peer["ipBlock"]);
        kinds += 1;
        let cidr = text(block, "cidr");
        if cidr.is_empty() {
            faults.push(FieldError::required(&path.child("cidr"), ""));
        } else if !is_cidr(cidr) {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            faults.push(FieldError::invalid(&path.child("cidr"), cidr, detail));
        }
        for (at, except) in list(block, "except").iter().filter_map(Value::as_str).enumerate() {
            let here = path.child("except").index(at);
            if !is_cidr(except) {
                let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
                faults.push(FieldError::invalid(&here, except, detail));
            } else if is_cidr(cidr) && !lies_within(except, cidr) {
                faults.push(FieldError::invalid(&here, except, "must be a strict subset of `cidr`"));
            }
        }
    }
    if kinds == 0 {
        faults.push(FieldError::required(path, "must specify a peer"));
    }
    faults
}

/// Whether the first network is a smaller part of the second. Both are well-formed.
fn lies_within(inner: &str, outer: &str) -> bool {
    let bits = |cidr: &str| -> Option<(u128, u32, u32)> {
        let (address, length) = cidr.split_once('/')?;
        let length: u32 = length.parse().ok()?;
        Some(match address.parse().ok()? {
            std::net::IpAddr::V4(v4) => (u128::from(u32::from(v4)), length, 32),
            std::net::IpAddr::V6(v6) => (u128::from(v6), length, 128),
        })
    };
    let (Some((inner, inner_length, width)), Some((outer, outer_length, outer_width))) = (bits(inner), bits(outer))
    else {
        return false;
    };
    let prefix = |address: u128| address.checked_shr(width - outer_length).unwrap_or_default();
    width == outer_width && inner_length > outer_length && prefix(inner) == prefix(outer)
}
