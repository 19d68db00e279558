//! Node (upstream: `ValidateNode`, `ValidateNodeUpdate`).

use std::collections::BTreeSet;

use apimachinery::names::{label_value, qualified_name};
use apimachinery::{FieldError, FieldPath, Subresource};
use serde_json::{Value, json};

use super::subdomain;
use crate::check::{Seen, invalid_each, one_of};
use crate::print;
use crate::rules::{Rules, Selectable};
use crate::value::{child, entries, flag, list, text};

pub(super) static RULES: Rules = Rules {
    name: subdomain,
    // Kubelets register themselves with their status.
    resets_status: false,
    prepare_create: |o, _| agree_on_pod_cidrs(o),
    prepare_update: |new, _, _| agree_on_pod_cidrs(new),
    validate,
    validate_update,
    selectable: Selectable {
        names: &["spec.unschedulable"],
        read: |o, _| flag(&o["spec"], "unschedulable").to_string(),
    },
    row: Some(row),
    ..Rules::NONE
};

/// `podCIDR` and the first of `podCIDRs` are the same thing under two names; the single one wins.
fn agree_on_pod_cidrs(o: &mut Value) {
    let spec = child(o, "spec");
    let single = text(spec, "podCIDR").to_owned();
    let first = spec["podCIDRs"][0].as_str().map(str::to_owned);
    match first {
        Some(first) if single.is_empty() => spec["podCIDR"] = json!(first),
        Some(first) if first == single => {}
        _ if !single.is_empty() => spec["podCIDRs"] = json!([single]),
        _ => {}
    }
}

fn validate(o: &Value) -> Vec<FieldError> {
    let spec = FieldPath::new("spec");
    // Upstream names the taints of a new node after its metadata.
    let mut faults = taints(&FieldPath::new("metadata").child("taints"), list(&o["spec"], "taints"));
    let cidrs = list(&o["spec"], "podCIDRs");
    let path = spec.child("podCIDRs");
    for (at, cidr) in cidrs.iter().enumerate() {
        let cidr = cidr.as_str().unwrap_or_default();
        if !is_cidr(cidr) {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            faults.push(FieldError::invalid(&path.index(at), cidr, detail));
        }
    }
    faults
}

/// `10.0.0.0/24`.
pub(crate) fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let most = match address.parse() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|b| b <= most) && !bits.starts_with('+')
}

fn taints(path: &FieldPath, taints: &[Value]) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (at, taint) in taints.iter().enumerate() {
        let here = path.index(at);
        let (key, value, effect) = (text(taint, "key"), text(taint, "value"), text(taint, "effect"));
        faults.extend(invalid_each(&here.child("key"), key, qualified_name(key)));
        faults.extend(invalid_each(&here.child("value"), value, label_value(value)));
        let effect_path = here.child("effect");
        if effect.is_empty() {
            faults.push(FieldError::required(&effect_path, ""));
        } else {
            faults.extend(one_of(&effect_path, effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]));
        }
        if !seen.insert((effect, key)) {
            let shown = json!({ "key": key, "effect": effect, "value": value });
            let shown = crate::metadata::Raw(format!(
                "{{\"Key\":{},\"Value\":{},\"Effect\":{},\"TimeAdded\":null}}",
                shown["key"], shown["value"], shown["effect"]
            ));
            let mut fault = FieldError::duplicate(&path.index(at), shown);
            fault.detail = "taints must be unique by key and effect pair".to_owned();
            faults.push(fault);
        }
    }
    faults
}

fn validate_update(new: &Value, old: &Value, _: Subresource<'_>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut seen = Seen::default();
    for (at, address) in list(&new["status"], "addresses").iter().enumerate() {
        let both = format!("{}/{}", text(address, "type"), text(address, "address"));
        let path = FieldPath::new("status").child("addresses").index(at);
        let shown = crate::metadata::Raw(format!(
            "{{\"Type\":{},\"Address\":{}}}",
            json!(text(address, "type")),
            json!(text(address, "address"))
        ));
        faults.extend(seen.check_as(&path, &both, shown));
    }
    let path = FieldPath::new("spec");
    let (before, after) = (&old["spec"], &new["spec"]);
    if !list(before, "podCIDRs").is_empty() && list(before, "podCIDRs") != list(after, "podCIDRs") {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        faults.push(FieldError::forbidden(&path.child("podCIDRs"), detail));
    }
    let provider = text(before, "providerID");
    if !provider.is_empty() && provider != text(after, "providerID") {
        // Upstream shows no value here.
        let fault = FieldError::invalid(&path.child("providerID"), &Value::Null, "field cannot be modified once set");
        faults.push(fault);
    }
    faults.extend(taints(&path.child("taints"), list(after, "taints")));
    faults
}

fn row(o: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let status = &o["status"];
    let ready = list(status, "conditions").iter().rfind(|c| text(c, "type") == "Ready");
    let mut shown = match ready.map(|c| text(c, "status")) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if flag(&o["spec"], "unschedulable") {
        shown.push_str(",SchedulingDisabled");
    }
    let mut roles: BTreeSet<&str> = BTreeSet::new();
    for (key, value) in entries(&o["metadata"], "labels") {
        let role = match (key.strip_prefix("node-role.kubernetes.io/"), key.as_str()) {
            (Some(role), _) => role,
            (None, "kubernetes.io/role") => value.as_str().unwrap_or_default(),
            _ => "",
        };
        roles.extend(Some(role).filter(|r| !r.is_empty()));
    }
    let roles = roles.into_iter().collect::<Vec<_>>().join(",");
    let info = &status["nodeInfo"];
    let address = |kind: &str| {
        let found = list(status, "addresses").iter().find(|a| text(a, "type") == kind);
        found.map_or("<none>", |a| text(a, "address"))
    };
    let known = |key: &str| Some(text(info, key)).filter(|t| !t.is_empty()).unwrap_or("<unknown>").to_owned();
    let mut kernel = known("kernelVersion");
    let architecture = text(info, "architecture");
    if !architecture.is_empty() {
        kernel = format!("{kernel} ({architecture})");
    }
    vec![
        print::name(o),
        json!(shown),
        json!(print::or_none(&roles)),
        print::age(o, now),
        json!(text(info, "kubeletVersion")),
        json!(address("InternalIP")),
        json!(address("ExternalIP")),
        json!(known("osImage")),
        json!(kernel),
        json!(known("containerRuntimeVersion")),
    ]
}
