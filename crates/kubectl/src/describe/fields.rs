//! Reading an object's fields, where what is missing is Go's zero value.

use serde_json::{Map, Value};

/// Access by a path of names with `/` between.
pub(super) trait Fields {
    /// The field, or null.
    fn at(&self, path: &str) -> &Value;

    /// A string, or nothing.
    fn text(&self, path: &str) -> &str {
        self.at(path).as_str().unwrap_or_default()
    }

    /// A whole number, or 0.
    fn int(&self, path: &str) -> i64 {
        self.at(path).as_i64().unwrap_or_default()
    }

    /// A boolean, or false.
    fn flag(&self, path: &str) -> bool {
        self.at(path).as_bool().unwrap_or_default()
    }

    /// A list, or an empty one.
    fn list(&self, path: &str) -> &[Value] {
        self.at(path).as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether there is a value other than null.
    fn has(&self, path: &str) -> bool {
        !self.at(path).is_null()
    }

    /// A map's fields in the order of their names.
    fn entries(&self, path: &str) -> Vec<(&String, &Value)> {
        let mut entries: Vec<_> = self.at(path).as_object().map(Map::iter).into_iter().flatten().collect();
        entries.sort_by_key(|(key, _)| *key);
        entries
    }

    /// The strings in a list, joined.
    fn joined(&self, path: &str, separator: &str) -> String {
        self.list(path).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(separator)
    }

    /// Whatever the field holds, as `%v` prints it; nothing where it is missing.
    fn shown(&self, path: &str) -> String {
        match self.at(path) {
            Value::Null => String::new(),
            value => apimachinery::jsonpath::print_value(value),
        }
    }
}

impl Fields for Value {
    fn at(&self, path: &str) -> &Value {
        path.split('/').try_fold(self, |value, name| value.get(name)).unwrap_or(&Value::Null)
    }
}

/// `text`, or `<none>` where it is empty.
pub(super) fn or_none(text: &str) -> &str {
    or(text, "<none>")
}

/// `text`, or `fallback` where it is empty.
pub(super) fn or<'a>(text: &'a str, fallback: &'a str) -> &'a str {
    if text.is_empty() { fallback } else { text }
}

/// `Kind/name` of the controller that owns an object.
pub(super) fn controller(object: &Value) -> Option<String> {
    let owner = object.list("metadata/ownerReferences").iter().find(|owner| owner.flag("controller"))?;
    Some(format!("{}/{}", owner.text("kind"), owner.text("name")))
}

/// A label selector as text: nothing for the empty one.
pub(super) fn selector(selector: &Value) -> String {
    let equal = selector.entries("matchLabels").into_iter().map(|(key, value)| {
        let text = format!("{key}={}", value.as_str().unwrap_or_default());
        (key.as_str(), text)
    });
    let expressions = selector.list("matchExpressions").iter().map(|expression| {
        let key = expression.text("key");
        let mut values: Vec<_> = expression.list("values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let text = match expression.text("operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_string(),
        };
        (key, text)
    });
    let mut requirements: Vec<_> = equal.chain(expressions).collect();
    requirements.sort_by_key(|(key, _)| *key);
    requirements.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

/// A map of labels as `a=b,c=d`, or `<none>`.
pub(super) fn label_set(object: &Value, path: &str) -> String {
    let pairs = object.entries(path).into_iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()));
    or_none(&pairs.collect::<Vec<_>>().join(",")).to_string()
}
