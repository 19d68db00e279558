//! Kinds without a layout of their own: every field by its name.

use super::Case;
use super::events::events;
use super::page::{Page, line};
use apimachinery::gotext::{self, Any};
use serde_json::Value;

/// What is shown at the top, or not at all.
const SKIPPED: [&str; 5] =
    [".metadata.managedFields", ".metadata.name", ".metadata.namespace", ".metadata.labels", ".metadata.annotations"];

pub(super) fn describe(case: &Case<'_>, page: &mut Page) {
    page.names(case.object);
    page.metadata(case.object);
    fields(page, 0, case.object, "");
    events(case, page);
}

fn fields(page: &mut Page, level: usize, content: &Value, prefix: &str) {
    let Some(map) = content.as_object() else {
        return;
    };
    let mut sorted: Vec<_> = map.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    for (name, value) in sorted {
        let path = format!("{prefix}.{name}");
        if SKIPPED.contains(&path.as_str()) {
            continue;
        }
        let label = label(name);
        match value {
            Value::Object(_) => {
                line!(page, level, "{label}:");
                fields(page, level + 1, value, &path);
            }
            Value::Array(items) => {
                line!(page, level, "{label}:");
                for item in items {
                    match item {
                        Value::Object(_) => fields(page, level + 1, item, &path),
                        other => line!(page, level + 1, "{}", shown(other)),
                    }
                }
            }
            other => line!(page, level, "{label}:\t{}", shown(other)),
        }
    }
}

fn shown(value: &Value) -> String {
    gotext::value(&Any::from_json(value))
}

/// `podCIDR` as `Pod CIDR` (`smartLabelFor`). Names with other characters than letters and `-` stay as they are.
fn label(name: &str) -> String {
    if name.contains(|c: char| !c.is_alphabetic() && c != '-') {
        return name.to_string();
    }
    let mut merged: Vec<String> = Vec::new();
    let parts = split_words(name);
    let mut at = 0;
    while at < parts.len() {
        let part = &parts[at];
        let is_upper = part.chars().all(|c| !c.is_alphabetic() || c.is_uppercase());
        match parts.get(at + 1) {
            Some(next) if part.len() >= 2 && is_upper && next.starts_with(|c: char| c.is_ascii_uppercase()) => {
                merged.push(format!("{part}{next}"));
                at += 2;
            }
            _ => {
                merged.push(part.clone());
                at += 1;
            }
        }
    }
    let labels = merged.into_iter().map(|part| {
        if ["API", "URL", "UID", "GUID"].contains(&part.to_uppercase().as_str()) {
            part.to_uppercase()
        } else if part.to_lowercase() == part {
            let mut letters = part.chars();
            let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
            first + letters.as_str()
        } else {
            part
        }
    });
    labels.collect::<Vec<_>>().join(" ")
}

/// Splits at changes of case, where the last of several capitals belongs to the word behind them.
fn split_words(name: &str) -> Vec<String> {
    let class = |c: char| match c {
        c if c.is_lowercase() => 1,
        c if c.is_uppercase() => 2,
        c if c.is_numeric() => 3,
        _ => 4,
    };
    let mut runs: Vec<String> = Vec::new();
    let mut last = 0;
    for c in name.chars() {
        match runs.last_mut() {
            Some(run) if class(c) == last => run.push(c),
            _ => runs.push(c.into()),
        }
        last = class(c);
    }
    for at in 1..runs.len() {
        let is_word = runs[at].starts_with(char::is_lowercase) && runs[at - 1].starts_with(char::is_uppercase);
        if is_word && let Some(capital) = runs[at - 1].pop() {
            runs[at].insert(0, capital);
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}
