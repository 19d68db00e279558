//! Services and where they lead.

use super::Case;
use super::events::events;
use super::fields::{Fields, label_set, or, or_none};
use super::page::{Page, line};
use serde_json::Value;

/// So many endpoints of a port are shown.
const ENDPOINTS_SHOWN: usize = 3;

pub(super) fn service(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    let spec = object.at("spec");
    page.names(object);
    page.metadata(object);
    page.field(0, "Selector", &label_set(spec, "selector"));
    page.field(0, "Type", spec.text("type"));
    page.field_if(0, "IP Family Policy", spec.text("ipFamilyPolicy"));
    page.field(0, "IP Families", or_none(&spec.joined("ipFamilies", ",")));
    page.field(0, "IP", spec.text("clusterIP"));
    page.field(0, "IPs", or_none(&spec.joined("clusterIPs", ",")));
    page.field_if(0, "External IPs", &spec.joined("externalIPs", ","));
    page.field_if(0, "Desired LoadBalancer IP", spec.text("loadBalancerIP"));
    page.field_if(0, "External Name", spec.text("externalName"));
    page.field_if(0, "LoadBalancer Ingress", &ingress(object.list("status/loadBalancer/ingress")));
    for port in spec.list("ports") {
        let (name, protocol) = (or(port.text("name"), "<unset>"), port.text("protocol"));
        line!(page, 0, "Port:\t{name}\t{}/{protocol}", port.int("port"));
        line!(page, 0, "TargetPort:\t{}/{protocol}", or(&port.shown("targetPort"), "0"));
        page.field_if(0, "AppProtocol", port.text("appProtocol"));
        if port.int("nodePort") != 0 {
            line!(page, 0, "NodePort:\t{name}\t{}/{protocol}", port.int("nodePort"));
        }
        page.field(0, "Endpoints", &slices(&case.related.endpoint_slices, port.text("name")));
    }
    page.field(0, "Session Affinity", spec.text("sessionAffinity"));
    page.field_if(0, "External Traffic Policy", spec.text("externalTrafficPolicy"));
    page.field_if(0, "Internal Traffic Policy", spec.text("internalTrafficPolicy"));
    if spec.int("healthCheckNodePort") != 0 {
        line!(page, 0, "HealthCheck NodePort:\t{}", spec.int("healthCheckNodePort"));
    }
    page.field_if(0, "LoadBalancer Source Ranges", &spec.joined("loadBalancerSourceRanges", ","));
    page.field_if(0, "Traffic Distribution", spec.text("trafficDistribution"));
    events(case, page);
}

fn ingress(points: &[Value]) -> String {
    let texts = points.iter().map(|point| match (point.text("ip"), point.text("ipMode")) {
        ("", _) => point.text("hostname").to_string(),
        (ip, "") => ip.to_string(),
        (ip, mode) => format!("{ip} ({mode})"),
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// The ready endpoints of the port `name`, the first few by address.
pub(super) fn slices(slices: &[Value], name: &str) -> String {
    if slices.is_empty() {
        return "<none>".into();
    }
    let mut found = Vec::new();
    let mut more = false;
    let mut take = |endpoint: &Value, port: Option<i64>| {
        // Upstream looks whether the list is full before it looks whether the endpoint is ready.
        more |= found.len() >= ENDPOINTS_SHOWN;
        if endpoint.at("conditions/ready") != &Value::Bool(false) {
            let address = endpoint.list("addresses").first().and_then(Value::as_str).unwrap_or_default();
            found.push(match port {
                Some(port) if address.contains(':') => format!("[{address}]:{port}"),
                Some(port) => format!("{address}:{port}"),
                None => address.to_string(),
            });
        }
    };
    for slice in slices {
        let (ports, endpoints) = (slice.list("ports"), slice.list("endpoints"));
        if ports.is_empty() {
            endpoints.iter().for_each(|endpoint| take(endpoint, None));
        }
        for port in ports.iter().filter(|port| port.text("name") == name) {
            endpoints.iter().for_each(|endpoint| take(endpoint, Some(port.int("port"))));
        }
    }
    let shown = found.iter().take(ENDPOINTS_SHOWN).map(String::as_str).collect::<Vec<_>>().join(",");
    if more { format!("{shown} + {} more...", found.len() as i64 - ENDPOINTS_SHOWN as i64) } else { shown }
}

pub(super) fn endpoints(case: &Case<'_>, page: &mut Page) {
    page.names(case.object);
    page.metadata(case.object);
    line!(page, 0, "Subsets:");
    for subset in case.object.list("subsets") {
        let addresses = |path: &str| {
            let addresses: Vec<_> = subset.list(path).iter().map(|address| address.text("ip")).collect();
            or_none(&addresses.join(",")).to_string()
        };
        page.field(1, "Addresses", &addresses("addresses"));
        page.field(1, "NotReadyAddresses", &addresses("notReadyAddresses"));
        if !subset.list("ports").is_empty() {
            line!(page, 1, "Ports:");
            line!(page, 2, "Name\tPort\tProtocol");
            line!(page, 2, "----\t----\t--------");
        }
        for port in subset.list("ports") {
            let name = or(port.text("name"), "<unset>");
            line!(page, 2, "{name}\t{}\t{}", port.int("port"), port.text("protocol"));
        }
        line!(page, 0, "");
    }
    events(case, page);
}

pub(super) fn endpoint_slice(case: &Case<'_>, page: &mut Page) {
    let slice = case.object;
    page.names(slice);
    page.metadata(slice);
    page.field(0, "AddressType", slice.text("addressType"));
    if slice.list("ports").is_empty() {
        line!(page, 0, "Ports: <unset>");
    } else {
        line!(page, 0, "Ports:");
        line!(page, 1, "Name\tPort\tProtocol");
        line!(page, 1, "----\t----\t--------");
    }
    for port in slice.list("ports") {
        let (name, number) = (or(port.text("name"), "<unset>"), port.shown("port"));
        line!(page, 1, "{name}\t{}\t{}", or(&number, "<unset>"), port.text("protocol"));
    }
    let none = if slice.list("endpoints").is_empty() { " <none>" } else { "" };
    line!(page, 0, "Endpoints:{none}");
    for endpoint in slice.list("endpoints") {
        let unset = |path: &str| or(&endpoint.shown(path), "<unset>").to_string();
        page.field(1, "- Addresses", or_none(&endpoint.joined("addresses", ", ")));
        line!(page, 2, "Conditions:");
        page.field(3, "Ready", &unset("conditions/ready"));
        page.field(2, "Hostname", &unset("hostname"));
        if endpoint.has("targetRef") {
            let target = endpoint.at("targetRef");
            line!(page, 2, "TargetRef:\t{}/{}", target.text("kind"), target.text("name"));
        }
        page.field(2, "NodeName", &unset("nodeName"));
        page.field(2, "Zone", &unset("zone"));
    }
    events(case, page);
}
