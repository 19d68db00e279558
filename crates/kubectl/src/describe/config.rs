//! Namespaces, what bounds them, and what configures Pods.

use super::Case;
use super::events::events;
use super::fields::{Fields, label_set};
use super::page::{Page, dated_conditions, line};
use super::resources::{canonical, quantity};
use apimachinery::Quantity;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn namespace(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.name(object);
    page.metadata(object);
    page.field(0, "Status", object.text("status/phase"));
    dated_conditions(case, page, "Conditions:");
    if let Some(quotas) = &case.related.quotas {
        line!(page, 0, "");
        all_quotas(page, quotas);
    }
    if let Some(ranges) = &case.related.limit_ranges {
        line!(page, 0, "");
        if ranges.is_empty() {
            line!(page, 0, "No LimitRange resource.");
            return;
        }
        line!(
            page,
            0,
            "Resource Limits\n Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio"
        );
        line!(page, 0, " ----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
        for range in ranges {
            limits(page, " ", range);
        }
    }
}

fn all_quotas(page: &mut Page, quotas: &[Value]) {
    if quotas.is_empty() {
        return line!(page, 0, "No resource quota.");
    }
    let mut sorted: Vec<_> = quotas.iter().collect();
    sorted.sort_by_key(|quota| quota.text("metadata/name"));
    line!(page, 0, "Resource Quotas");
    for quota in sorted {
        page.field(1, "Name", quota.text("metadata/name"));
        scopes(page, 1, "* ", quota);
        line!(page, 1, "Resource\tUsed\tHard");
        line!(page, 1, "--------\t---\t---");
        for (name, hard) in quota.entries("status/hard") {
            let used = canonical(quota.at("status/used").get(name).unwrap_or(&Value::Null));
            line!(page, 1, "{name}\t{used}\t{}", canonical(hard));
        }
    }
}

/// The scopes of a quota, and what they mean.
fn scopes(page: &mut Page, level: usize, bullet: &str, quota: &Value) {
    let mut scopes: Vec<_> = quota.list("spec/scopes").iter().filter_map(Value::as_str).collect();
    if scopes.is_empty() {
        return;
    }
    scopes.sort_unstable();
    page.field(level, "Scopes", &scopes.join(", "));
    for scope in scopes {
        let meaning = match scope {
            "Terminating" => {
                "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being \
                 actively terminated by the system."
            }
            "NotTerminating" => {
                "Matches all pods that do not have an active deadline. These pods usually include long running pods whose \
                 container command is not expected to terminate."
            }
            "BestEffort" => {
                "Matches all pods that do not have resource requirements set. These pods have a best effort quality of \
                 service."
            }
            "NotBestEffort" => {
                "Matches all pods that have at least one resource requirement set. These pods have a burstable or \
                 guaranteed quality of service."
            }
            _ => continue,
        };
        line!(page, level, "{bullet}{meaning}");
    }
}

pub(super) fn resource_quota(case: &Case<'_>, page: &mut Page) {
    let quota = case.object;
    page.names(quota);
    scopes(page, 0, " * ", quota);
    line!(page, 0, "Resource\tUsed\tHard");
    line!(page, 0, "--------\t----\t----");
    for (name, hard) in quota.entries("status/hard") {
        let hard = quantity(hard);
        let mut used = quantity(quota.at("status/used").get(name).unwrap_or(&Value::Null));
        if used.format() != hard.format() {
            used = Quantity::new(used.value(), hard.format());
        }
        line!(page, 0, "{name}\t{used}\t{hard}");
    }
}

pub(super) fn limit_range(case: &Case<'_>, page: &mut Page) {
    page.names(case.object);
    line!(page, 0, "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio");
    line!(page, 0, "----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
    limits(page, "", case.object);
}

/// A line for each resource of each item. Upstream's order of resources is random; here it is that of their names.
fn limits(page: &mut Page, indent: &str, range: &Value) {
    const COLUMNS: [&str; 5] = ["min", "max", "defaultRequest", "default", "maxLimitRequestRatio"];
    for item in range.list("spec/limits") {
        let names: BTreeSet<_> =
            COLUMNS.iter().flat_map(|column| item.entries(column)).map(|(name, _)| name.as_str()).collect();
        for name in names {
            let cells = COLUMNS.map(|column| match item.at(column).get(name) {
                Some(amount) => canonical(amount),
                None => "-".to_string(),
            });
            line!(page, 0, "{indent}{}\t{name}\t{}", item.text("type"), cells.join("\t"));
        }
    }
}

pub(super) fn config_map(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.names(object);
    page.metadata(object);
    line!(page, 0, "\nData\n====");
    for (key, value) in object.entries("data") {
        line!(page, 0, "{key}:\n----\n{}\n", value.as_str().unwrap_or_default());
    }
    line!(page, 0, "\nBinaryData\n====");
    for (key, value) in object.entries("binaryData") {
        line!(page, 0, "{key}: {} bytes", decoded(value).len());
    }
    line!(page, 0, "");
    events(case, page);
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default()
}

pub(super) fn secret(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.names(object);
    page.metadata(object);
    line!(page, 0, "\nType:\t{}", object.text("type"));
    line!(page, 0, "\nData\n====");
    for (key, value) in object.entries("data") {
        let value = decoded(value);
        if key == "token" && object.text("type") == "kubernetes.io/service-account-token" {
            page.field(0, key, &String::from_utf8_lossy(&value));
        } else {
            line!(page, 0, "{key}:\t{} bytes", value.len());
        }
    }
}

pub(super) fn service_account(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.names(object);
    page.metadata(object);
    let secrets = object.list("imagePullSecrets");
    if secrets.is_empty() {
        page.field(0, "Image pull secrets", "<none>");
    }
    for (at, secret) in secrets.iter().enumerate() {
        let title = if at == 0 { "Image pull secrets:" } else { "                   " };
        line!(page, 0, "{title}\t{}", secret.text("name"));
    }
    events(case, page);
}

pub(super) fn priority_class(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.name(object);
    line!(page, 0, "Value:\t{}", object.int("value"));
    line!(page, 0, "GlobalDefault:\t{}", object.flag("globalDefault"));
    page.field(0, "PreemptionPolicy", object.text("preemptionPolicy"));
    page.field(0, "Description", object.text("description"));
    page.field(0, "Annotations", &label_set(object, "metadata/annotations"));
    events(case, page);
}
