//! Ingress, IngressClass and NetworkPolicy (upstream: `pkg/apis/networking/validation`).

use std::collections::BTreeSet;

use apimachinery::{FieldError, FieldPath, Subresource};
use serde_json::{Value, json};

use super::node::is_cidr;
use super::subdomain;
use crate::check::{immutable, label_selector, one_of, port_number_or_name};
use crate::print;
use crate::rules::{Generation, Rules};
use crate::value::{has, list, text};

pub(super) static INGRESS: Rules = Rules {
    name: subdomain,
    generation: Generation::Of("spec"),
    validate: ingress,
    validate_update: |new, _, subresource| if subresource == Subresource::None { ingress(new) } else { Vec::new() },
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
    row: Some(|o, now| vec![print::name(o), print::selector_or_none(&o["spec"]["podSelector"]), print::age(o, now)]),
    ..Rules::NONE
};

fn ingress(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    if list(spec, "rules").is_empty() && !has(spec, "defaultBackend") {
        return vec![FieldError::invalid(
            &path,
            crate::metadata::Raw("[]".to_owned()),
            "either `defaultBackend` or `rules` must be specified",
        )];
    }
    Vec::new()
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
        faults.extend(one_of(&path, kind.as_str().unwrap_or_default(), &["Egress", "Ingress"]));
    }
    faults
}

fn policy_port(path: &FieldPath, port: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let protocol = text(port, "protocol");
    if !protocol.is_empty() {
        faults.extend(one_of(&path.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]));
    }
    if has(port, "port") {
        faults.extend(port_number_or_name(&path.child("port"), &port["port"]));
    }
    if let Some(end) = port["endPort"].as_i64() {
        match &port["port"] {
            Value::Null => {
                faults.push(FieldError::required(&path.child("port"), "must be specified when `endPort` is specified"))
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
        let (path, block) = (path.child("ipBlock"), &peer["ipBlock"]);
        if kinds > 0 {
            faults.push(FieldError::forbidden(&path, "may not specify both ipBlock and another peer"));
        }
        kinds += 1;
        let cidr = text(block, "cidr");
        if cidr.is_empty() {
            faults.push(FieldError::required(&path.child("cidr"), ""));
        } else if !is_cidr(cidr) {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            faults.push(FieldError::invalid(&path.child("cidr"), cidr, detail));
        }
    }
    if kinds == 0 {
        faults.push(FieldError::required(path, "must specify a peer"));
    }
    faults
}
