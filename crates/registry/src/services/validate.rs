//! Faults of a Service, in upstream's sentences.

use apimachinery::names::{dns_label, dns_subdomain, qualified_name};
use apimachinery::{FieldError, FieldPath};
use serde_json::{Value, json};

use super::allocate::{externally_accessible, needs_health_check};
use super::not_special;
use crate::check::{Seen, invalid_each, ip, one_of, port_number, port_number_or_name};
use crate::kinds::is_cidr;
use crate::metadata::Raw;
use crate::value::{has, int, list, text};

/// A client's affinity lasts at most a day.
const AFFINITY_SECONDS_MAX: i64 = 86_400;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

fn is_headless(spec: &Value) -> bool {
    spec["clusterIPs"][0] == "None"
}

pub(super) fn service(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let kind = text(spec, "type");
    let mut faults = Vec::new();
    if list(spec, "ports").is_empty() && !is_headless(spec) && kind != "ExternalName" {
        faults.push(FieldError::required(&path.child("ports"), ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            let detail = format!("may not be set to 'None' for {kind} services");
            faults.push(FieldError::invalid(&path.child("clusterIPs").index(0), "None", detail));
        }
        "ExternalName" => faults.extend(external_name(&path, spec)),
        _ => {}
    }
    faults.extend(ports(&path.child("ports"), spec));
    faults.extend(crate::metadata::labels(&path.child("selector"), &spec["selector"]));
    faults.extend(affinity(&path, spec));
    faults.extend(cluster_ips(&path, spec));
    for (at, address) in list(spec, "externalIPs").iter().enumerate() {
        let (here, address) = (path.child("externalIPs").index(at), address.as_str().unwrap_or_default());
        let malformed = ip(&here, address);
        faults.extend(if malformed.is_empty() { not_special(&here, address) } else { malformed });
    }
    if kind.is_empty() {
        faults.push(FieldError::required(&path.child("type"), ""));
    } else {
        faults.extend(one_of(&path.child("type"), kind, &TYPES));
    }
    faults.extend(load_balancer(&path, spec));
    faults.extend(traffic(&path, o));
    faults
}

fn external_name(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let detail = "may not be set for ExternalName services";
    for key in ["clusterIPs", "ipFamilies"] {
        if !list(spec, key).is_empty() {
            faults.push(FieldError::forbidden(&path.child(key), detail));
        }
    }
    if has(spec, "ipFamilyPolicy") {
        faults.push(FieldError::forbidden(&path.child("ipFamilyPolicy"), detail));
    }
    let name = text(spec, "externalName");
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        faults.push(FieldError::required(&path.child("externalName"), ""));
    } else {
        faults.extend(invalid_each(&path.child("externalName"), name, dns_subdomain(name)));
    }
    faults
}

fn ports(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let (mut names, mut numbers, mut node_ports) = (Seen::default(), Seen::default(), Seen::default());
    let ports = list(spec, "ports");
    for (at, port) in ports.iter().enumerate() {
        let here = path.index(at);
        let (name, protocol) = (text(port, "name"), text(port, "protocol"));
        if name.is_empty() {
            if ports.len() > 1 {
                faults.push(FieldError::required(&here.child("name"), ""));
            }
        } else {
            faults.extend(invalid_each(&here.child("name"), name, dns_label(name)));
            faults.extend(names.check(&here.child("name"), name));
        }
        let number = int(port, "port").unwrap_or_default();
        faults.extend(port_number(&here.child("port"), number));
        faults.extend(one_of(&here.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]));
        faults.extend(port_number_or_name(&here.child("targetPort"), &port["targetPort"]));
        if has(port, "appProtocol") {
            let app = text(port, "appProtocol");
            faults.extend(invalid_each(&here.child("appProtocol"), app, qualified_name(app)));
        }
        let node_port = int(port, "nodePort").unwrap_or_default();
        if node_port != 0 {
            if text(spec, "type") == "ClusterIP" {
                let detail = "may not be used when `type` is 'ClusterIP'";
                faults.push(FieldError::forbidden(&here.child("nodePort"), detail));
            }
            let key = format!("{protocol}/{node_port}");
            faults.extend(node_ports.check_as(&here.child("nodePort"), &key, node_port));
        }
        let shown = Raw(format!(
            "{{\"Name\":\"\",\"Protocol\":{},\"AppProtocol\":null,\"Port\":{number},\"TargetPort\":0,\"NodePort\":0}}",
            json!(protocol)
        ));
        faults.extend(numbers.check_as(&here, &format!("{protocol}/{number}"), shown));
    }
    faults
}

fn affinity(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let (kind, here) = (text(spec, "sessionAffinity"), path.child("sessionAffinity"));
    if kind.is_empty() {
        faults.push(FieldError::required(&here, ""));
    } else {
        faults.extend(one_of(&here, kind, &["ClientIP", "None"]));
    }
    let (config, here) = (&spec["sessionAffinityConfig"], path.child("sessionAffinityConfig"));
    match kind {
        "ClientIP" => match int(&config["clientIP"], "timeoutSeconds") {
            None => faults.push(FieldError::required(&here, "when session affinity type is ClientIP")),
            Some(seconds) if seconds <= 0 || seconds > AFFINITY_SECONDS_MAX => {
                let here = here.child("clientIP").child("timeoutSeconds");
                let detail = format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}");
                faults.push(FieldError::invalid(&here, seconds, detail));
            }
            Some(_) => {}
        },
        "None" if !config.is_null() => {
            faults.push(FieldError::forbidden(&here, "must not be set when session affinity is None"));
        }
        _ => {}
    }
    faults
}

fn cluster_ips(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if text(spec, "type") == "ExternalName" {
        return faults;
    }
    let (single, all) = (text(spec, "clusterIP"), list(spec, "clusterIPs"));
    let (here, shown) = (path.child("clusterIPs"), &spec["clusterIPs"]);
    match (single.is_empty(), all.first()) {
        (false, None) => faults.push(FieldError::required(&here, "")),
        (false, Some(first)) if first != single => {
            faults.push(FieldError::invalid(&here, shown, "first value must match `clusterIP`"));
        }
        (true, Some(_)) => {
            faults.push(FieldError::invalid(&here, shown, "must be empty when `clusterIP` is not specified"));
        }
        _ => {}
    }
    let mut seen = Seen::default();
    let families = list(spec, "ipFamilies");
    for (at, family) in families.iter().enumerate() {
        let (here, family) = (path.child("ipFamilies").index(at), family.as_str().unwrap_or_default());
        faults.extend(one_of(&here, family, &["IPv4", "IPv6"]));
        faults.extend(seen.check(&here, family));
    }
    if has(spec, "ipFamilyPolicy") {
        let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        faults.extend(one_of(&path.child("ipFamilyPolicy"), text(spec, "ipFamilyPolicy"), &policies));
    }
    let mut malformed = false;
    for (at, address) in all.iter().enumerate() {
        let address = address.as_str().unwrap_or_default();
        if at == 0 && address == "None" {
            if all.len() > 1 {
                malformed = true;
                faults.push(FieldError::invalid(&here, shown, "'None' must be the first and only value"));
            }
            continue;
        }
        let wrong = ip(&here.index(at), address);
        malformed |= !wrong.is_empty();
        faults.extend(wrong);
    }
    if all.len() > 2 {
        faults.push(FieldError::invalid(&here, shown, "may only hold up to 2 values"));
    }
    if malformed {
        return faults;
    }
    let is_v6 = |address: &Value| address.as_str().is_some_and(|a| a.contains(':'));
    if all.len() > 1 && all.iter().filter(|a| is_v6(a)).count() != 1 {
        faults.push(FieldError::invalid(&here, shown, "may specify no more than one IP for each IP family"));
    }
    for (at, (address, family)) in all.iter().zip(families).enumerate().filter(|_| !is_headless(spec)) {
        let expected = family.as_str().unwrap_or_default();
        if matches!(expected, "IPv4" | "IPv6") && is_v6(address) != (expected == "IPv6") {
            let detail = format!("expected an {expected} value as indicated by `ipFamilies[{at}]`");
            faults.push(FieldError::invalid(&here.index(at), address.as_str().unwrap_or_default(), detail));
        }
    }
    faults
}

fn load_balancer(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let balanced = text(spec, "type") == "LoadBalancer";
    let only = "may only be used when `type` is 'LoadBalancer'";
    let ranges = list(spec, "loadBalancerSourceRanges");
    // Upstream writes this path with a capital.
    let here = path.child("LoadBalancerSourceRanges");
    if !ranges.is_empty() && !balanced {
        faults.push(FieldError::forbidden(&here, only));
    }
    for (at, range) in ranges.iter().enumerate() {
        let range = range.as_str().unwrap_or_default().trim();
        if !is_cidr(range) {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            faults.push(FieldError::invalid(&here.index(at), range, detail));
        }
    }
    let here = path.child("allocateLoadBalancerNodePorts");
    if has(spec, "allocateLoadBalancerNodePorts") && !balanced {
        faults.push(FieldError::forbidden(&here, only));
    }
    let here = path.child("loadBalancerClass");
    if has(spec, "loadBalancerClass") {
        let class = text(spec, "loadBalancerClass");
        if balanced {
            faults.extend(invalid_each(&here, class, qualified_name(class)));
        } else {
            faults.push(FieldError::forbidden(&here, only));
        }
    }
    faults
}

fn traffic(path: &FieldPath, o: &Value) -> Vec<FieldError> {
    let spec = &o["spec"];
    let mut faults = Vec::new();
    let (policy, here) = (text(spec, "externalTrafficPolicy"), path.child("externalTrafficPolicy"));
    match (externally_accessible(spec), policy.is_empty()) {
        (false, false) => {
            faults.push(FieldError::invalid(&here, policy, "may only be set for externally-accessible services"));
        }
        (true, true) => faults.push(FieldError::required(&here, "")),
        (true, false) => faults.extend(one_of(&here, policy, &["Cluster", "Local"])),
        (false, true) => {}
    }
    let (port, here) = (int(spec, "healthCheckNodePort").unwrap_or_default(), path.child("healthCheckNodePort"));
    if !needs_health_check(o) {
        if port != 0 {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            faults.push(FieldError::invalid(&here, port, detail));
        }
    } else if port != 0 {
        // Upstream allocates the port before it validates; here it is allocated after.
        faults.extend(port_number(&here, port));
    }
    let here = path.child("internalTrafficPolicy");
    if has(spec, "internalTrafficPolicy") {
        faults.extend(one_of(&here, text(spec, "internalTrafficPolicy"), &["Cluster", "Local"]));
    } else if matches!(text(spec, "type"), "NodePort" | "LoadBalancer" | "ClusterIP") {
        faults.push(FieldError::required(&here, ""));
    }
    if has(spec, "trafficDistribution") {
        let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        faults.extend(one_of(&path.child("trafficDistribution"), text(spec, "trafficDistribution"), &known));
    }
    faults
}

pub(super) fn update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut faults = kept_cluster_ips(new, old);
    let (after, before) = (&new["spec"], &old["spec"]);
    let balanced = |spec: &Value| text(spec, "type") == "LoadBalancer";
    if balanced(after) && balanced(before) && after["loadBalancerClass"] != before["loadBalancerClass"] {
        let path = FieldPath::new("spec").child("loadBalancerClass");
        faults.push(FieldError::invalid(&path, &after["loadBalancerClass"], "may not change once set"));
    }
    if needs_health_check(new)
        && needs_health_check(old)
        && after["healthCheckNodePort"] != before["healthCheckNodePort"]
    {
        let path = FieldPath::new("spec").child("healthCheckNodePort");
        faults.push(FieldError::forbidden(&path, "field is immutable"));
    }
    faults.extend(service(new));
    faults
}

fn kept_cluster_ips(new: &Value, old: &Value) -> Vec<FieldError> {
    let (after, before) = (&new["spec"], &old["spec"]);
    let mut faults = Vec::new();
    if [after, before].iter().any(|spec| text(spec, "type") == "ExternalName")
        || (is_headless(after) && is_headless(before))
    {
        return faults;
    }
    let path = FieldPath::new("spec").child("clusterIPs");
    let (now, was) = (list(after, "clusterIPs"), list(before, "clusterIPs"));
    let shown = &after["clusterIPs"];
    if was.len() > now.len() && now.is_empty() {
        faults.push(FieldError::invalid(&path.index(0), shown, "primary clusterIP can not be unset"));
    }
    let compared = if now.len() == was.len() { was.len() } else { was.len().min(now.len()).min(1) };
    for at in 0..compared {
        if now[at] != was[at] {
            faults.push(FieldError::invalid(&path.index(at), shown, "may not change once set"));
        }
    }
    if was.len() > now.len() && now.len() == 1 && text(after, "ipFamilyPolicy") != "SingleStack" {
        let path = FieldPath::new("spec").child("ipFamilyPolicy");
        let detail = "must be set to 'SingleStack' when releasing the secondary clusterIP";
        faults.push(FieldError::invalid(&path, &after["ipFamilyPolicy"], detail));
    }
    faults
}

pub(super) fn status(o: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("status").child("loadBalancer").child("ingress");
    let mut faults = Vec::new();
    if text(&o["spec"], "type") != "LoadBalancer" && !list(&o["status"]["loadBalancer"], "ingress").is_empty() {
        return vec![FieldError::forbidden(&path, "may only be used when `spec.type` is 'LoadBalancer'")];
    }
    for (at, ingress) in list(&o["status"]["loadBalancer"], "ingress").iter().enumerate() {
        let here = path.index(at);
        let (address, host) = (text(ingress, "ip"), text(ingress, "hostname"));
        if !address.is_empty() {
            faults.extend(ip(&here.child("ip"), address));
        }
        if !host.is_empty() {
            faults.extend(invalid_each(&here.child("hostname"), host, dns_subdomain(host)));
            if host.parse::<std::net::IpAddr>().is_ok() {
                let detail = "must be a DNS name, not an IP address";
                faults.push(FieldError::invalid(&here.child("hostname"), host, detail));
            }
        }
    }
    faults
}
