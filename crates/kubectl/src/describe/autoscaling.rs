//! HorizontalPodAutoscalers and PodDisruptionBudgets.

use super::Case;
use super::events::events;
use super::fields::{Fields, or, or_none, selector};
use super::page::{Page, line, time};
use super::resources::canonical;
use apimachinery::gotext::quote;
use serde_json::Value;

pub(super) fn horizontal_pod_autoscaler(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    let (spec, status) = (object.at("spec"), object.at("status"));
    page.names(object);
    page.metadata(object);
    page.field(0, "CreationTimestamp", &time(object.at("metadata/creationTimestamp"), case.zone));
    let target = spec.at("scaleTargetRef");
    line!(page, 0, "Reference:\t{}/{}", target.text("kind"), target.text("name"));
    line!(page, 0, "Metrics:\t( current / target )");
    for (at, metric) in spec.list("metrics").iter().enumerate() {
        let current = status.list("currentMetrics").get(at).unwrap_or(&Value::Null);
        line!(page, 1, "{}", self::metric(metric, current));
    }
    page.field(0, "Min replicas", or(&spec.shown("minReplicas"), "<unset>"));
    line!(page, 0, "Max replicas:\t{}", spec.int("maxReplicas"));
    if spec.has("behavior") {
        line!(page, 0, "Behavior:");
        direction(page, "Scale Up", spec.at("behavior/scaleUp"));
        direction(page, "Scale Down", spec.at("behavior/scaleDown"));
    }
    let (replicas, desired) = (status.int("currentReplicas"), status.int("desiredReplicas"));
    line!(page, 0, "{} pods:\t{replicas} current / {desired} desired", target.text("kind"));
    let conditions = status.list("conditions");
    if !conditions.is_empty() {
        line!(page, 0, "Conditions:");
        line!(page, 1, "Type\tStatus\tReason\tMessage");
        line!(page, 1, "----\t------\t------\t-------");
    }
    for condition in conditions {
        let (kind, status) = (condition.text("type"), condition.text("status"));
        line!(page, 1, "{kind}\t{status}\t{}\t{}", condition.text("reason"), condition.text("message"));
    }
    events(case, page);
}

/// One metric: what it is now, and what it is to be.
fn metric(metric: &Value, current: &Value) -> String {
    let (source, kind) = match metric.text("type") {
        "External" => ("external", "External"),
        "Pods" => ("pods", "Pods"),
        "Object" => ("object", "Object"),
        "Resource" => ("resource", "Resource"),
        "ContainerResource" => ("containerResource", "ContainerResource"),
        other => return format!("<unknown metric type {}>", quote(other)),
    };
    let (of, now) = (metric.at(source), current.at(source));
    let amount = |value: &str| match now.is_null() {
        true => "<unknown>".to_string(),
        false => canonical(now.at("current").at(value)),
    };
    let target = |value: &str| canonical(of.at("target").at(value));
    let name = of.text("metric/name");
    match kind {
        "External" if of.has("target/averageValue") => {
            let current = if now.has("current/averageValue") { amount("averageValue") } else { "<unknown>".into() };
            format!("{} (target average value):\t{current} / {}", quote(name), target("averageValue"))
        }
        "External" => format!("{} (target value):\t{} / {}", quote(name), amount("value"), target("value")),
        "Pods" => format!("{} on pods:\t{} / {}", quote(name), amount("averageValue"), target("averageValue")),
        "Object" => {
            let described = format!("{}/{}", of.text("describedObject/kind"), of.text("describedObject/name"));
            let (what, value) = match of.text("target/type") {
                "AverageValue" => ("average value", "averageValue"),
                _ => ("value", "value"),
            };
            format!("\"{name}\" on {described} (target {what}):\t{} / {}", amount(value), target(value))
        }
        _ => {
            let of_container = match kind {
                "Resource" => String::new(),
                _ => format!(" of container \"{}\"", of.text("container")),
            };
            let head = format!("resource {}{of_container} on pods", of.text("name"));
            if of.has("target/averageValue") {
                return format!("{head}:\t{} / {}", amount("averageValue"), target("averageValue"));
            }
            let current = match now.has("current/averageUtilization") {
                true => format!("{}% ({})", now.int("current/averageUtilization"), amount("averageValue")),
                false => "<unknown>".to_string(),
            };
            let wanted = match of.has("target/averageUtilization") {
                true => format!("{}%", of.int("target/averageUtilization")),
                false => "<auto>".to_string(),
            };
            // Upstream sets this part in as if it began a line.
            format!("{head}  (as a percentage of request):\t{current} / {wanted}")
        }
    }
}

fn direction(page: &mut Page, title: &str, rules: &Value) {
    if rules.is_null() {
        return;
    }
    line!(page, 1, "{title}:");
    if rules.has("stabilizationWindowSeconds") {
        line!(page, 2, "Stabilization Window: {} seconds", rules.int("stabilizationWindowSeconds"));
    }
    let policies = rules.list("policies");
    if policies.is_empty() {
        return;
    }
    line!(page, 2, "Select Policy: {}", or(rules.text("selectPolicy"), "Max"));
    line!(page, 2, "Policies:");
    for policy in policies {
        let (kind, value) = (policy.text("type"), policy.int("value"));
        line!(page, 3, "- Type: {kind}\tValue: {value}\tPeriod: {} seconds", policy.int("periodSeconds"));
    }
}

pub(super) fn pod_disruption_budget(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    let (spec, status) = (object.at("spec"), object.at("status"));
    page.names(object);
    if spec.has("minAvailable") {
        page.field(0, "Min available", &spec.shown("minAvailable"));
    } else {
        page.field_if(0, "Max unavailable", &spec.shown("maxUnavailable"));
    }
    let pods = match spec.at("selector") {
        Value::Null => "<unset>".to_string(),
        labels => or_none(&selector(labels)).to_string(),
    };
    page.field(0, "Selector", &pods);
    line!(page, 0, "Status:");
    for (title, field) in [
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    ] {
        line!(page, 2, "{title}:\t{}", status.int(field));
    }
    events(case, page);
}
