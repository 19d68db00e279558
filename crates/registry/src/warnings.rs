//! Sentences of the `Warning` header that many kinds share: what is allowed, but likely a mistake or on its way out
//! (upstream: `pkg/api/node`, `apimachinery/pkg/util/validation/ip.go`).

use std::net::{IpAddr, Ipv6Addr};

use apimachinery::{FieldPath, Resource};
use serde_json::Value;

use crate::value::{has, quantity, text};

/// What is said of a kind on its way out, to every request (upstream: `APILifecycleDeprecated`).
pub fn deprecation(resource: &Resource) -> Option<&'static str> {
    match (resource.group, resource.version, resource.kind) {
        ("", "v1", "ComponentStatus") => Some("v1 ComponentStatus is deprecated in v1.19+"),
        ("", "v1", "Endpoints") => Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
        _ => None,
    }
}

/// What is said of a label of nodes that has another name now.
pub(crate) fn deprecated_label(key: &str) -> Option<&'static str> {
    Some(match key {
        "beta.kubernetes.io/arch" => "deprecated since v1.14; use \"kubernetes.io/arch\" instead",
        "beta.kubernetes.io/os" => "deprecated since v1.14; use \"kubernetes.io/os\" instead",
        "failure-domain.beta.kubernetes.io/region" => {
            "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead"
        }
        "failure-domain.beta.kubernetes.io/zone" => {
            "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"
        }
        "beta.kubernetes.io/instance-type" => {
            "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"
        }
        "app.kubernetes.io/created-by" => "deprecated since v1.9",
        "scheduler.alpha.kubernetes.io/preferAvoidPods" => "deprecated since v1.22; use Taints and Tolerations instead",
        "node-role.kubernetes.io/master" => "use \"node-role.kubernetes.io/control-plane\" instead",
        _ => return None,
    })
}

/// The labels of nodes that `expressions` ask for under names of old.
pub(crate) fn node_expressions(path: &FieldPath, expressions: &[Value]) -> Vec<String> {
    let label = |(at, expression): (usize, &Value)| {
        let key = text(expression, "key");
        deprecated_label(key).map(|what| format!("{}: {key} is {what}", path.index(at).child("key")))
    };
    expressions.iter().enumerate().filter_map(label).collect()
}

/// What is said of annotations that became fields.
pub(crate) fn annotations(path: &FieldPath, metadata: &Value, names: &[(&str, &str)]) -> Vec<String> {
    let used = names.iter().filter(|(name, _)| has(&metadata["annotations"], name));
    used.map(|(name, what)| format!("{}: {what}", path.child("annotations").key(name))).collect()
}

/// An amount of bytes that is no whole number.
pub(crate) fn fractional(path: &FieldPath, amounts: &Value, name: &str) -> Option<String> {
    let amount = quantity(amounts, name).filter(|amount| amount.milli_value() % 1000 != 0)?;
    let shown = amount.to_string();
    Some(format!("{}: fractional byte value {shown:?} is invalid, must be an integer", path.key(name)))
}

/// An address in a form that others do not understand.
pub(crate) fn ip(path: &FieldPath, value: &str) -> Option<String> {
    let IpAddr::V6(address) = value.parse().ok()? else { return None };
    if let Some(v4) = address.to_ipv4_mapped() {
        return Some(format!("{path}: non-standard IP address {value:?} is invalid: use \"{v4}\""));
    }
    let canonical = address.to_string();
    (canonical != value)
        .then(|| format!("{path}: IPv6 address {value:?} should be in RFC 5952 canonical format ({canonical:?})"))
}

/// A range of addresses in a form that others do not understand, or one that may be meant for a single address.
pub(crate) fn cidr(path: &FieldPath, value: &str) -> Option<String> {
    let (address, length) = value.split_once('/')?;
    let (address, bits): (IpAddr, u32) = (address.parse().ok()?, length.parse().ok()?);
    let (network, whole) = match address {
        IpAddr::V4(v4) => {
            (IpAddr::from((v4.to_bits() & mask(32, bits, u128::from(u32::MAX)) as u32).to_be_bytes()), 32)
        }
        IpAddr::V6(v6) => (IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask(128, bits, u128::MAX))), 128),
    };
    if network != address {
        return Some(format!(
            "{path}: CIDR value {value:?} is ambiguous in this context (should be \"{network}/{bits}\" or \"{address}/{whole}\"?)"
        ));
    }
    let canonical = format!("{address}/{bits}");
    (address.is_ipv6() && canonical != value)
        .then(|| format!("{path}: IPv6 CIDR value {value:?} should be in RFC 5952 canonical format ({canonical:?})"))
}

/// The first `bits` of `whole` ones.
fn mask(whole: u32, bits: u32, ones: u128) -> u128 {
    ones.checked_shl(whole.saturating_sub(bits)).unwrap_or_default() & ones
}

#[cfg(test)]
mod tests;
