//! `--sort-by`: objects by a field (upstream: `kubectl/pkg/cmd/get/sorter.go`).

use std::cmp::Ordering;

use apimachinery::Quantity;
use serde_json::Value;

use crate::error::KubectlError;
use apimachinery::jsonpath::{JsonPath, relaxed};

/// Sorts `items` by the field that `path` names in what `object` gives of an item.
pub(crate) fn sort_by<T>(items: &mut [T], path: &str, object: impl Fn(&T) -> &Value) -> Result<(), KubectlError> {
    let fault = |error: &dyn std::fmt::Display| KubectlError::new(error.to_string());
    let field = relaxed(path).map_err(|error| fault(&error))?;
    let parsed = JsonPath::parse(&field).map_err(|error| fault(&error))?.allow_missing_keys(true);
    if items.is_empty() {
        return Ok(());
    }
    let mut keys = Vec::new();
    for item in items.iter() {
        let found = parsed.find(object(item)).map_err(|error| fault(&error))?;
        keys.push(found.into_iter().next().and_then(|values| values.into_iter().next()));
    }
    if keys.iter().all(Option::is_none) {
        return Err(KubectlError::new(format!("couldn't find any field with path {field:?} in the list of objects")));
    }
    if let Some(unsortable) = keys.iter().flatten().find(|key| matches!(key, Value::Object(_) | Value::Bool(_))) {
        let kind = if unsortable.is_object() { "map[string]interface {}" } else { "bool" };
        return Err(KubectlError::new(format!(
            "Field {field} in *unstructured.Unstructured is an unsortable type: interface, err: unsortable type: {kind}"
        )));
    }
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by(|a, b| compare(keys[*a].as_ref(), keys[*b].as_ref()));
    permute(items, order);
    Ok(())
}

/// Moves `items[order[i]]` to place `i`.
fn permute<T>(items: &mut [T], mut order: Vec<usize>) {
    for start in 0..order.len() {
        let mut at = start;
        while order[at] != start {
            let next = order[at];
            items.swap(at, next);
            order[at] = at;
            at = next;
        }
        order[at] = at;
    }
}

/// Objects without the field come first.
fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        },
        // Amounts sort by how much they are: `900m` before `1`.
        (Some(Value::String(a)), Some(Value::String(b))) => match (a.parse::<Quantity>(), b.parse::<Quantity>()) {
            (Ok(left), Ok(right)) => left.cmp(&right),
            _ => a.cmp(b),
        },
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            let pairs = a.iter().zip(b).map(|(a, b)| compare(Some(a), Some(b)));
            pairs.fold(Ordering::Equal, Ordering::then)
        }
        (None | Some(Value::Null), None | Some(Value::Null)) => Ordering::Equal,
        (None | Some(Value::Null), _) => Ordering::Less,
        (_, None | Some(Value::Null)) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sorted(mut items: Vec<Value>, path: &str) -> String {
        match sort_by(&mut items, path, |item| item) {
            Ok(()) => items.iter().map(|item| item["n"].to_string()).collect::<Vec<_>>().join(" "),
            Err(error) => error.printed(),
        }
    }

    #[test]
    fn sorting() {
        let items = vec![json!({"n": 3, "q": "1"}), json!({"n": 1, "q": "900m"}), json!({"n": 2})];
        assert_eq!(sorted(items.clone(), ".n"), "1 2 3");
        assert_eq!(sorted(items.clone(), "{.q}"), "2 1 3");
        assert_eq!(sorted(items, ".x"), "error: couldn't find any field with path \"{.x}\" in the list of objects\n");
    }
}
