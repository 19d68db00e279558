//! Ingresses, network policies, and the addresses of Services.

use super::Case;
use super::events::events;
use super::fields::{Fields, or, or_none, selector};
use super::page::{Page, dated_conditions, line};
use super::service;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn ingress(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.name(object);
    page.labels("Labels", object, "metadata/labels");
    page.field(0, "Namespace", object.text("metadata/namespace"));
    let points = object.list("status/loadBalancer/ingress").iter();
    let addresses: BTreeSet<_> = points.map(|point| or(point.text("ip"), point.text("hostname"))).collect();
    let addresses: Vec<_> = addresses.into_iter().filter(|address| !address.is_empty()).collect();
    page.field(0, "Address", &addresses.join(","));
    page.field(0, "Ingress Class", or_none(object.text("spec/ingressClassName")));
    let fallback = match object.at("spec/defaultBackend") {
        Value::Null => "<default>".to_string(),
        default => backend(case, default),
    };
    page.field(0, "Default backend", &fallback);
    tls(page, object.list("spec/tls"));
    line!(page, 0, "Rules:\n  Host\tPath\tBackends");
    line!(page, 1, "----\t----\t--------");
    let rules: Vec<_> = object.list("spec/rules").iter().filter(|rule| rule.has("http")).collect();
    for rule in &rules {
        line!(page, 1, "{}\t", or(rule.text("host"), "*"));
        for path in rule.list("http/paths") {
            line!(page, 2, "\t{} \t{}", path.text("path"), backend(case, path.at("backend")));
        }
    }
    if rules.is_empty() {
        line!(page, 1, "*\t*\t{fallback}");
    }
    page.annotations("Annotations", object, "metadata/annotations");
    events(case, page);
}

fn tls(page: &mut Page, entries: &[Value]) {
    if !entries.is_empty() {
        line!(page, 0, "TLS:");
    }
    for entry in entries {
        let hosts = entry.joined("hosts", ",");
        match entry.text("secretName") {
            "" => line!(page, 1, "SNI routes {hosts}"),
            secret => line!(page, 1, "{secret} terminates {hosts}"),
        }
    }
}

/// A Service with its ready endpoints, or another resource.
fn backend(case: &Case<'_>, backend: &Value) -> String {
    if backend.has("resource") {
        let resource = backend.at("resource");
        let group = or_none(resource.text("apiGroup"));
        return format!("APIGroup: {group}, Kind: {}, Name: {}", resource.text("kind"), resource.text("name"));
    }
    if !backend.has("service") {
        return String::new();
    }
    let (name, port) = (backend.text("service/name"), backend.at("service/port"));
    let shown = match port.int("number") {
        0 => format!("{name}:{}", port.text("name")),
        number => format!("{name}:{number}"),
    };
    let behind = match case.related.backends.get(name) {
        Some(Ok(behind)) => behind,
        Some(Err(error)) => return format!("{shown} (<error: {error}>)"),
        None => return shown,
    };
    let is_meant = |known: &&Value| match port.int("number") {
        0 => !port.text("name").is_empty() && known.text("name") == port.text("name"),
        number => known.int("port") == number,
    };
    let meant = behind.service.list("spec/ports").iter().rfind(is_meant);
    let port_name = meant.map_or("", |port| port.text("name"));
    format!("{shown} ({})", service::slices(&behind.endpoint_slices, port_name))
}

/// The names of the Services that an Ingress leads to.
pub(super) fn backends(object: &Value) -> Vec<String> {
    let paths = object.list("spec/rules").iter().flat_map(|rule| rule.list("http/paths"));
    let backends = paths.map(|path| path.at("backend")).chain([object.at("spec/defaultBackend")]);
    let names: BTreeSet<_> = backends.map(|backend| backend.text("service/name")).collect();
    names.into_iter().filter(|name| !name.is_empty()).map(str::to_string).collect()
}

pub(super) fn ingress_class(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.name(object);
    page.metadata(object);
    page.field(0, "Controller", object.text("spec/controller"));
    if object.has("spec/parameters") {
        let parameters = object.at("spec/parameters");
        line!(page, 0, "Parameters:");
        page.field_if(1, "APIGroup", parameters.text("apiGroup"));
        page.field(1, "Kind", parameters.text("kind"));
        page.field(1, "Name", parameters.text("name"));
    }
    events(case, page);
}

pub(super) fn service_cidr(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.name(object);
    page.metadata(object);
    page.field(0, "CIDRs", &object.joined("spec/cidrs", ", "));
    dated_conditions(case, page, "Status:\nConditions:");
    events(case, page);
}

pub(super) fn ip_address(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.name(object);
    page.metadata(object);
    if object.has("spec/parentRef") {
        let parent = object.at("spec/parentRef");
        line!(page, 0, "Parent Reference:");
        for (title, field) in
            [("Group", "group"), ("Resource", "resource"), ("Namespace", "namespace"), ("Name", "name")]
        {
            page.field(1, title, parent.text(field));
        }
    }
    events(case, page);
}

pub(super) fn network_policy(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    let spec = object.at("spec");
    page.names(object);
    let created = match object.text("metadata/creationTimestamp").parse::<Timestamp>() {
        Ok(time) => time.to_zoned(case.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string(),
        Err(_) => "0001-01-01 00:00:00 +0000 UTC".to_string(),
    };
    page.field(0, "Created on", &created);
    page.metadata(object);
    line!(page, 0, "Spec:");
    let pods = match selector(spec.at("podSelector")) {
        text if text.is_empty() => "<none> (Allowing the specific traffic to all pods in this namespace)".to_string(),
        text => text,
    };
    // The second part of this line is set in, too.
    line!(page, 1, "PodSelector:     {pods}");
    for (way, kind, peers, peer_title, restricted) in
        [("ingress", "Ingress", "from", "From", "source"), ("egress", "Egress", "to", "To", "destination")]
    {
        if spec.list("policyTypes").iter().any(|known| known == kind) {
            line!(page, 1, "Allowing {way} traffic:");
            rules(page, way, spec.list(way), (peers, peer_title, restricted));
        } else {
            line!(page, 1, "Not affecting {way} traffic");
        }
    }
    line!(page, 1, "Policy Types: {}", or_none(&spec.joined("policyTypes", ", ")));
}

fn rules(page: &mut Page, way: &str, rules: &[Value], (peers, title, restricted): (&str, &str, &str)) {
    if rules.is_empty() {
        return line!(page, 2, "<none> (Selected pods are isolated for {way} connectivity)");
    }
    for (at, rule) in rules.iter().enumerate() {
        if at > 0 {
            line!(page, 2, "----------");
        }
        if rule.list("ports").is_empty() {
            line!(page, 2, "To Port: <any> (traffic allowed to all ports)");
        }
        for port in rule.list("ports") {
            let protocol = or(port.text("protocol"), "TCP");
            let number = port.shown("port");
            let number = or(&number, "<nil>");
            match port.has("endPort") {
                false => line!(page, 2, "To Port: {number}/{protocol}"),
                true => line!(page, 2, "To Port Range: {number}-{}/{protocol}", port.int("endPort")),
            }
        }
        if rule.list(peers).is_empty() {
            line!(page, 2, "{title}: <any> (traffic not restricted by {restricted})");
        }
        for peer in rule.list(peers) {
            line!(page, 2, "{title}:");
            let selectors = [("NamespaceSelector", "namespaceSelector"), ("PodSelector", "podSelector")];
            let given: Vec<_> = selectors.into_iter().filter(|(_, field)| peer.has(field)).collect();
            for (name, field) in &given {
                line!(page, 3, "{name}: {}", or_none(&selector(peer.at(field))));
            }
            if given.is_empty() && peer.has("ipBlock") {
                line!(page, 3, "IPBlock:");
                line!(page, 4, "CIDR: {}", peer.text("ipBlock/cidr"));
                line!(page, 4, "Except: {}", peer.joined("ipBlock/except", ", "));
            }
        }
    }
}
