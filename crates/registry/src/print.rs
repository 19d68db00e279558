//! What rows of Tables have in common (upstream: `printers/internalversion`, `apimachinery/pkg/util/duration`).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::value::{entries, list, text, time};

/// How much longer a list is than the items that are shown.
const SHOWN_MAX: usize = 3;

/// `metadata.name`.
pub(crate) fn name(object: &Value) -> Value {
    json!(text(&object["metadata"], "name"))
}

/// How long ago the object was made.
pub(crate) fn age(object: &Value, now: Timestamp) -> Value {
    json!(since(time(&object["metadata"], "creationTimestamp"), now))
}

/// How long ago something was; `<unknown>` if it is not known.
pub(crate) fn since(then: Option<Timestamp>, now: Timestamp) -> String {
    then.map_or_else(|| "<unknown>".to_owned(), |then| human_duration(now.duration_since(then).as_secs()))
}

/// A span of time with two or three digits that matter.
pub(crate) fn human_duration(seconds: i64) -> String {
    let two = |big: i64, big_unit: char, small: i64, small_unit: char| match small {
        0 => format!("{big}{big_unit}"),
        _ => format!("{big}{big_unit}{small}{small_unit}"),
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, 'm', seconds % 60, 's'),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, 'h', minutes % 60, 'm'),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => two(days, 'd', hours % 24, 'h'),
        _ if days < 730 => format!("{days}d"),
        _ if days < 2920 => two(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
}

/// The text, or `<none>`.
pub(crate) fn or_none(text: &str) -> &str {
    if text.is_empty() { "<none>" } else { text }
}

/// `a=b,c=d`, or `<none>`.
pub(crate) fn labels(object: &Value, key: &str) -> Value {
    let all: Vec<String> =
        entries(object, key).map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    json!(or_none(&all.join(",")))
}

/// A `LabelSelector` as text; empty if it selects all or nothing.
pub(crate) fn selector(selector: &Value) -> String {
    let mut all: Vec<(String, String)> = entries(selector, "matchLabels")
        .map(|(k, v)| (k.clone(), format!("{k}={}", v.as_str().unwrap_or_default())))
        .collect();
    for expression in list(selector, "matchExpressions") {
        let key = text(expression, "key");
        let mut values: Vec<&str> = list(expression, "values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let shown = match text(expression, "operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return "<invalid>".to_owned(),
        };
        all.push((key.to_owned(), shown));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.into_iter().map(|(_, shown)| shown).collect::<Vec<_>>().join(",")
}

/// A selector, or `<none>`.
pub(crate) fn selector_or_none(value: &Value) -> Value {
    let shown = selector(value);
    json!(or_none(if value.is_null() { "" } else { &shown }))
}

/// Names and images of a pod template's containers.
pub(crate) fn containers(template: &Value) -> [Value; 2] {
    let all = |key: &str| {
        json!(list(&template["spec"], "containers").iter().map(|c| text(c, key)).collect::<Vec<_>>().join(","))
    };
    [all("name"), all("image")]
}

/// `a,b,c + 2 more...`.
pub(crate) fn with_more(all: &[String], nothing: &str) -> String {
    let shown = all.iter().take(SHOWN_MAX).map(String::as_str).collect::<Vec<_>>().join(",");
    match all.len() {
        0 => nothing.to_owned(),
        n if n > SHOWN_MAX => format!("{shown} + {} more...", n - SHOWN_MAX),
        _ => shown,
    }
}

/// A whole number at a path, 0 if there is none.
pub(crate) fn number(value: &Value) -> Value {
    json!(value.as_i64().unwrap_or_default())
}
