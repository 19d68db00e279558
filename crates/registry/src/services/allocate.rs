//! Which cluster addresses and node ports a Service needs, keeps and gives back.

use serde_json::{Value, json};

use crate::value::{child, entries, flag, has, int, items_mut, list, put, text};

/// A node port that is wanted or given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePort {
    /// The index of the port in `spec.ports`.
    pub index: usize,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The number that is asked for or given back; 0: any.
    pub number: u16,
}

/// What a write of a Service changes in the pools of addresses and ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allocations {
    /// Addresses to take: for each family that needs one the address that is asked for, empty for any.
    pub cluster_ips: Vec<(String, String)>,
    /// Addresses to give back once the write has succeeded.
    pub released_ips: Vec<String>,
    /// Node ports to take.
    pub node_ports: Vec<NodePort>,
    /// Node ports to give back.
    pub released_node_ports: Vec<NodePort>,
    /// The port for health checks to take; `Some(0)`: any.
    pub health_check_node_port: Option<u16>,
    /// The port for health checks to give back.
    pub released_health_check_node_port: Option<u16>,
}

fn needs_cluster_ip(o: &Value) -> bool {
    !o.is_null() && text(&o["spec"], "type") != "ExternalName"
}

fn is_headless(o: &Value) -> bool {
    let spec = &o["spec"];
    spec["clusterIPs"][0] == "None" || (list(spec, "clusterIPs").is_empty() && text(spec, "clusterIP") == "None")
}

fn needs_node_ports(o: &Value) -> bool {
    matches!(text(&o["spec"], "type"), "NodePort" | "LoadBalancer")
}

fn allocates_node_ports(o: &Value) -> bool {
    let spec = &o["spec"];
    match text(spec, "type") {
        "NodePort" => true,
        "LoadBalancer" => !has(spec, "allocateLoadBalancerNodePorts") || flag(spec, "allocateLoadBalancerNodePorts"),
        _ => false,
    }
}

pub(super) fn needs_health_check(o: &Value) -> bool {
    let spec = &o["spec"];
    text(spec, "type") == "LoadBalancer" && text(spec, "externalTrafficPolicy") == "Local"
}

fn number(value: Option<i64>) -> u16 {
    value.and_then(|n| u16::try_from(n).ok()).unwrap_or_default()
}

fn cluster_ips(o: &Value) -> Vec<String> {
    if !needs_cluster_ip(o) || is_headless(o) {
        return Vec::new();
    }
    list(&o["spec"], "clusterIPs").iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn node_ports(o: &Value) -> Vec<NodePort> {
    let port = |(index, port): (usize, &Value)| {
        let given = number(int(port, "nodePort"));
        NodePort { index, protocol: text(port, "protocol").to_owned(), number: given }
    };
    list(&o["spec"], "ports").iter().enumerate().map(port).collect()
}

/// What has to be taken and given back when `old` (null if there is none) becomes `new` (null if it is deleted). The
/// new object has gone through the strategy: allocations that it keeps are in it.
pub fn allocations(old: &Value, new: &Value) -> Allocations {
    let mut out = Allocations::default();
    let (before, after) = (cluster_ips(old), cluster_ips(new));
    out.released_ips = before.iter().filter(|ip| !after.contains(ip)).cloned().collect();
    if needs_cluster_ip(new) && !is_headless(new) {
        for (at, family) in list(&new["spec"], "ipFamilies").iter().enumerate() {
            let asked = after.get(at).cloned().unwrap_or_default();
            if asked.is_empty() || !before.contains(&asked) {
                out.cluster_ips.push((family.as_str().unwrap_or("IPv4").to_owned(), asked));
            }
        }
    }
    let held: Vec<NodePort> = node_ports(old).into_iter().filter(|p| p.number != 0).collect();
    let wanted: Vec<NodePort> = if needs_node_ports(new) { node_ports(new) } else { Vec::new() };
    let same = |a: &NodePort, b: &NodePort| a.protocol == b.protocol && a.number == b.number;
    out.released_node_ports = held.iter().filter(|h| !wanted.iter().any(|w| same(w, h))).cloned().collect();
    out.node_ports = wanted
        .into_iter()
        .filter(|w| if w.number == 0 { allocates_node_ports(new) } else { !held.iter().any(|h| same(w, h)) })
        .collect();
    let health = |o: &Value| needs_health_check(o).then(|| number(int(&o["spec"], "healthCheckNodePort")));
    let (had, wants) = (health(old).filter(|n| *n != 0), health(new));
    out.health_check_node_port = wants.filter(|n| *n == 0 || Some(*n) != had);
    out.released_health_check_node_port = had.filter(|n| wants != Some(*n));
    out
}

/// Fills in the address families on a cluster of `families` (`["IPv4"]`, or two on a dual-stack one), as upstream's
/// allocator does: one family unless more are asked for; headless Services without a selector get both.
pub fn default_ip_families(o: &mut Value, families: &[&str]) {
    if !needs_cluster_ip(o) {
        return;
    }
    let selectorless = is_headless(o) && entries(&o["spec"], "selector").next().is_none();
    let spec = child(o, "spec");
    let by_address = |spec: &Value| -> Vec<Value> {
        let given =
            list(spec, "clusterIPs").iter().filter_map(Value::as_str).filter(|ip| *ip != "None" && !ip.is_empty());
        given.map(|ip| json!(if ip.contains(':') { "IPv6" } else { "IPv4" })).collect()
    };
    if !has(spec, "ipFamilyPolicy") {
        let several = list(spec, "ipFamilies").len() > 1 || list(spec, "clusterIPs").len() > 1;
        let policy = if (selectorless && list(spec, "ipFamilies").is_empty()) || several {
            "RequireDualStack"
        } else {
            "SingleStack"
        };
        spec["ipFamilyPolicy"] = json!(policy);
    }
    let mut chosen = list(spec, "ipFamilies").to_vec();
    for family in by_address(spec) {
        if !chosen.contains(&family) {
            chosen.push(family);
        }
    }
    if chosen.is_empty() {
        chosen.extend(families.first().map(|f| json!(f)));
    }
    let second = match text(spec, "ipFamilyPolicy") {
        "RequireDualStack" => selectorless || families.len() > 1,
        "PreferDualStack" => selectorless || families.len() > 1,
        _ => false,
    };
    if chosen.len() == 1 && second {
        let other = if chosen[0] == "IPv4" { "IPv6" } else { "IPv4" };
        chosen.push(json!(other));
    }
    spec["ipFamilies"] = json!(chosen);
}

/// `clusterIP` and the first of `clusterIPs` are the same thing under two names; a client may know only one of them.
pub(super) fn agree_on_cluster_ips(o: &mut Value, old: Option<&Value>) {
    let spec = child(o, "spec");
    let single = text(spec, "clusterIP").to_owned();
    let plural = spec["clusterIPs"].clone();
    let empty = list(spec, "clusterIPs").is_empty();
    let Some(old) = old else {
        if !single.is_empty() && empty {
            spec["clusterIPs"] = json!([single]);
        }
        return;
    };
    let (old_single, old_plural) = (text(&old["spec"], "clusterIP"), &old["spec"]["clusterIPs"]);
    let (single_changed, plural_changed) = (single != old_single, plural != *old_plural);
    match (single_changed, plural_changed) {
        // Cleared by a client that knows only the one.
        (true, false) if single.is_empty() => put(spec, "clusterIPs", Value::Null),
        (true, false) => spec["clusterIPs"] = json!([single]),
        (false, true) if empty => put(spec, "clusterIP", Value::Null),
        _ => {
            if !single.is_empty() && empty {
                spec["clusterIPs"] = json!([single]);
            }
        }
    }
}

/// Takes over what was allocated and the client did not repeat.
pub(super) fn keep_allocations(new: &mut Value, old: &Value) {
    if needs_cluster_ip(old) && needs_cluster_ip(new) {
        let spec = child(new, "spec");
        if text(spec, "clusterIP").is_empty() {
            put(spec, "clusterIP", old["spec"]["clusterIP"].clone());
        }
        if list(spec, "clusterIPs").is_empty() && !list(&old["spec"], "clusterIPs").is_empty() {
            put(spec, "clusterIPs", old["spec"]["clusterIPs"].clone());
        }
    }
    if needs_node_ports(old) && needs_node_ports(new) {
        let numbers =
            |o: &Value| -> Vec<u16> { node_ports(o).into_iter().map(|p| p.number).filter(|n| *n != 0).collect() };
        let used: Vec<u16> = {
            let after = numbers(new);
            numbers(old).into_iter().filter(|n| after.contains(n)).collect()
        };
        for port in items_mut(child(new, "spec"), "ports") {
            let known = list(&old["spec"], "ports").iter().find(|p| text(p, "name") == text(port, "name"));
            let known = known.map(|p| number(int(p, "nodePort"))).filter(|n| *n != 0 && !used.contains(n));
            if int(port, "nodePort").unwrap_or_default() == 0
                && let Some(known) = known
            {
                port["nodePort"] = json!(known);
            }
        }
    }
    if needs_health_check(old) && needs_health_check(new) && int(&new["spec"], "healthCheckNodePort").is_none() {
        put(child(new, "spec"), "healthCheckNodePort", old["spec"]["healthCheckNodePort"].clone());
    }
}

/// Drops what only made sense for the old type, unless the client has just set it.
pub(super) fn drop_of_old_type(new: &mut Value, old: &Value) {
    let (before, after) = (old["spec"].clone(), new["spec"].clone());
    let same = |key: &str| before[key] == after[key];
    let mut gone: Vec<&str> = Vec::new();
    if needs_cluster_ip(old) && !needs_cluster_ip(new) {
        if same("clusterIP") && same("clusterIPs") {
            gone.extend(["clusterIP", "clusterIPs"]);
        }
        gone.extend(["ipFamilies", "ipFamilyPolicy"].into_iter().filter(|key| same(key)));
    }
    let numbers = |spec: &Value| -> Vec<i64> {
        list(spec, "ports").iter().filter_map(|p| int(p, "nodePort")).filter(|n| *n != 0).collect()
    };
    let ports_unchanged = numbers(&after).iter().all(|n| numbers(&before).contains(n));
    let drops_node_ports = needs_node_ports(old) && !needs_node_ports(new) && ports_unchanged;
    if needs_health_check(old) && !needs_health_check(new) && same("healthCheckNodePort") {
        gone.push("healthCheckNodePort");
    }
    let balanced = |spec: &Value| text(spec, "type") == "LoadBalancer";
    if balanced(&before) && !balanced(&after) {
        gone.extend(["allocateLoadBalancerNodePorts", "loadBalancerClass"].into_iter().filter(|key| same(key)));
    }
    if externally_accessible(&before) && !externally_accessible(&after) && same("externalTrafficPolicy") {
        gone.push("externalTrafficPolicy");
    }
    let spec = child(new, "spec");
    for key in gone {
        put(spec, key, Value::Null);
    }
    if drops_node_ports {
        for port in items_mut(spec, "ports") {
            put(port, "nodePort", Value::Null);
        }
    }
    if !balanced(&after) {
        put(child(new, "status"), "loadBalancer", json!({}));
    }
}

/// Whether clients outside the cluster reach the Service.
pub(super) fn externally_accessible(spec: &Value) -> bool {
    match text(spec, "type") {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => !list(spec, "externalIPs").is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
