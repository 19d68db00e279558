//! Service (upstream: `registry/core/service`, `ValidateService`). Allocating addresses and ports is the API server's
//! work; [`allocations`] says which.

mod allocate;
mod validate;

pub use allocate::{Allocations, NodePort, allocations, default_ip_families};

use apimachinery::names::dns_label;
use apimachinery::{FieldError, FieldPath, Subresource, WriteContext};
use serde_json::{Value, json};

use crate::kinds::without_dash;
use crate::print;
use crate::rules::{Rules, Selectable, at_path};
use crate::value::{has, int, list, text};
use crate::warnings::{cidr, ip};

pub(crate) static RULES: Rules = Rules {
    name: |name, prefix| dns_label(&without_dash(name, prefix)),
    create_on_update: true,
    prepare_create: |o, _| allocate::agree_on_cluster_ips(o, None),
    prepare_update,
    validate: |o| validate::service(o),
    validate_update: |new, old, subresource| match subresource {
        Subresource::Status => validate::status(new),
        _ => validate::update(new, old),
    },
    warnings: |new, _| warnings(new),
    selectable: Selectable { names: &["spec.clusterIP", "spec.type"], read: at_path },
    row: Some(row),
    ..Rules::NONE
};

fn prepare_update(new: &mut Value, old: &Value, context: &WriteContext<'_>) {
    if context.subresource == Subresource::None {
        allocate::keep_allocations(new, old);
        allocate::agree_on_cluster_ips(new, Some(old));
        allocate::drop_of_old_type(new, old);
    }
}

/// Where a Service answers on `port`, as `host:port`; why it does not is said in upstream's words (`ResolveCluster` in
/// `apiserver/pkg/util/proxy`).
pub fn cluster_address(service: &Value, port: u16) -> Result<String, String> {
    let spec = &service["spec"];
    match (text(spec, "type"), text(spec, "clusterIP")) {
        ("ExternalName", _) => Ok(format!("{}:{port}", text(spec, "externalName"))),
        (_, "None") => Err("cannot route to service with ClusterIP \"None\"".to_owned()),
        (_, address) if list(spec, "ports").iter().any(|p| int(p, "port") == Some(i64::from(port))) => {
            let v6 = address.contains(':');
            Ok(if v6 { format!("[{address}]:{port}") } else { format!("{address}:{port}") })
        }
        _ => {
            let name = text(&service["metadata"], "name");
            Err(format!("no service port {port} found for service {name:?}"))
        }
    }
}

/// Sentences about what is set but ignored or on its way out.
fn warnings(o: &Value) -> Vec<String> {
    let spec = &o["spec"];
    let (headless, external) = (spec["clusterIPs"][0] == "None", text(spec, "type") == "ExternalName");
    let has_external_ips = !list(spec, "externalIPs").is_empty();
    let mut warnings = Vec::new();
    if has(&o["metadata"]["annotations"], "service.kubernetes.io/topology-aware-hints") {
        warnings.push(
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use \
             service.kubernetes.io/topology-mode instead"
                .to_owned(),
        );
    }
    let path = FieldPath::new("spec");
    let addresses = |field: &str| -> Vec<String> {
        let items = list(spec, field).iter().map(|item| item.as_str().unwrap_or_default()).enumerate();
        items.filter_map(|(at, address)| ip(&path.child(field).index(at), address)).collect()
    };
    warnings.extend(addresses("clusterIPs"));
    if headless {
        for (ignored, key) in [
            (!text(spec, "loadBalancerIP").is_empty(), "loadBalancerIP"),
            (has_external_ips, "externalIPs"),
            (text(spec, "sessionAffinity") != "None", "SessionAffinity"),
        ] {
            if ignored {
                warnings.push(format!("spec.{key} is ignored for headless services"));
            }
        }
    }
    warnings.extend(addresses("externalIPs"));
    if has_external_ips && !headless && !external {
        warnings.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned());
    }
    warnings.extend(ip(&path.child("loadBalancerIP"), text(spec, "loadBalancerIP")));
    for (at, range) in list(spec, "loadBalancerSourceRanges").iter().enumerate() {
        let here = path.child("loadBalancerSourceRanges").index(at);
        warnings.extend(cidr(&here, range.as_str().unwrap_or_default()));
    }
    if external && has_external_ips {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !external && !text(spec, "externalName").is_empty() {
        warnings.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if text(spec, "trafficDistribution") == "PreferClose" {
        let sentence = "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"";
        warnings.push(sentence.to_owned());
    }
    warnings
}

/// Faults of an address that is only valid on the node or the link itself.
pub(crate) fn not_special(path: &FieldPath, address: &str) -> Vec<FieldError> {
    let Ok(ip) = address.parse::<std::net::IpAddr>() else {
        return vec![FieldError::invalid(path, address, "must be a valid IP address")];
    };
    let (link_local, link_multicast) = match ip {
        std::net::IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        std::net::IpAddr::V6(v6) => ((v6.segments()[0] & 0xffc0) == 0xfe80, (v6.segments()[0] & 0xff0f) == 0xff02),
    };
    let rules = [
        (ip.is_unspecified(), format!("may not be unspecified ({address})")),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (link_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()),
    ];
    rules.into_iter().filter(|(broken, _)| *broken).map(|(_, rule)| FieldError::invalid(path, address, rule)).collect()
}

fn row(o: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let spec = &o["spec"];
    let ports: Vec<String> = list(spec, "ports")
        .iter()
        .map(|port| {
            let (number, protocol) = (int(port, "port").unwrap_or_default(), text(port, "protocol"));
            match int(port, "nodePort").unwrap_or_default() {
                0 => format!("{number}/{protocol}"),
                node => format!("{number}:{node}/{protocol}"),
            }
        })
        .collect();
    vec![
        print::name(o),
        json!(text(spec, "type")),
        json!(spec["clusterIPs"][0].as_str().unwrap_or("<none>")),
        json!(external_ips(o)),
        json!(print::or_none(&ports.join(","))),
        print::age(o, now),
        print::labels(spec, "selector"),
    ]
}

fn external_ips(o: &Value) -> String {
    let spec = &o["spec"];
    let given: Vec<&str> = list(spec, "externalIPs").iter().filter_map(Value::as_str).collect();
    match text(spec, "type") {
        "ClusterIP" | "NodePort" => print::or_none(&given.join(",")).to_owned(),
        "LoadBalancer" => {
            let ingress = list(&o["status"]["loadBalancer"], "ingress").iter();
            let mut all: Vec<&str> = ingress
                .map(|i| if text(i, "ip").is_empty() { text(i, "hostname") } else { text(i, "ip") })
                .filter(|a| !a.is_empty())
                .collect();
            all.sort_unstable();
            all.dedup();
            all.extend(given);
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        "ExternalName" => text(spec, "externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}
