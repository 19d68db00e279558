//! What changed between two states of an object, in short.

use serde_json::Value;

/// Changes that are told of one write; more are counted.
const CHANGES_MAX: usize = 8;
/// Characters of a value that are shown.
const VALUE_MAX: usize = 60;

/// Fields that change with their neighbours, and would hide them.
const TIMES: &[&str] = &["lastTransitionTime", "lastProbeTime", "lastUpdateTime", "lastHeartbeatTime"];

/// `spec.replicas: 4, status.conditions[Ready].status: "True"`: paths and what is there now.
pub(super) fn differences(before: &Value, now: &Value) -> String {
    let mut changes = Vec::new();
    collect("", before, now, &mut changes);
    let more = changes.len().saturating_sub(CHANGES_MAX);
    changes.truncate(CHANGES_MAX);
    if more > 0 {
        changes.push(format!("and {more} more"));
    }
    match changes.is_empty() {
        true if before == now => "nothing".to_owned(),
        true => "times".to_owned(),
        false => changes.join(", "),
    }
}

fn collect(path: &str, before: &Value, now: &Value, changes: &mut Vec<String>) {
    if before == now {
        return;
    }
    match (before, now) {
        (Value::Object(old), Value::Object(new)) => {
            let dot = if path.is_empty() { "" } else { "." };
            for (key, value) in new.iter().filter(|(key, _)| !TIMES.contains(&key.as_str())) {
                collect(&format!("{path}{dot}{key}"), old.get(key).unwrap_or(&Value::Null), value, changes);
            }
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                changes.push(format!("{path}{dot}{key}: gone"));
            }
        }
        (Value::Array(old), Value::Array(new)) if keyed(old) && keyed(new) => {
            for item in new {
                let name = item_key(item).unwrap_or_default();
                let before = old.iter().find(|o| item_key(o) == Some(name)).unwrap_or(&Value::Null);
                collect(&format!("{path}[{name}]"), before, item, changes);
            }
            for item in old {
                let name = item_key(item).unwrap_or_default();
                if !new.iter().any(|n| item_key(n) == Some(name)) {
                    changes.push(format!("{path}[{name}]: gone"));
                }
            }
        }
        (Value::Null, Value::Array(new)) if !new.is_empty() && keyed(new) => {
            for item in new {
                collect(&format!("{path}[{}]", item_key(item).unwrap_or_default()), &Value::Null, item, changes);
            }
        }
        _ => changes.push(format!("{path}: {}", short(now))),
    }
}

/// What tells the items of a list of objects apart, as in conditions and containers.
fn item_key(item: &Value) -> Option<&str> {
    item["type"].as_str().or_else(|| item["name"].as_str())
}

fn keyed(items: &[Value]) -> bool {
    items.iter().all(|item| item_key(item).is_some())
}

/// A value in one line. Of a condition what it says.
fn short(value: &Value) -> String {
    let text = match (value["type"].as_str(), value["status"].as_str(), value["reason"].as_str()) {
        (Some(_), Some(status), Some(reason)) => format!("{status} ({reason})"),
        (Some(_), Some(status), None) => status.to_owned(),
        _ => value.to_string(),
    };
    match text.char_indices().nth(VALUE_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
