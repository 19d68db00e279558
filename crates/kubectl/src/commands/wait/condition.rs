//! What can be waited for.

use serde_json::Value;

use crate::error::KubectlError;
use apimachinery::gotext::{self, Any, quote};
use apimachinery::jsonpath::{JsonPath, relaxed};

/// One `--for`.
#[derive(Debug)]
pub(super) enum Condition {
    Created,
    Deleted,
    Holds(Watched),
}

/// What an object's fields say.
#[derive(Debug)]
pub(super) enum Watched {
    /// `status.conditions` has this type with this status.
    Status { name: String, status: String },
    /// The path gives this value, or any.
    Path { path: JsonPath, value: Option<String> },
}

impl Condition {
    pub(super) fn parse(text: &str) -> Result<Self, KubectlError> {
        match text.to_lowercase().as_str() {
            "delete" => return Ok(Self::Deleted),
            "create" => return Ok(Self::Created),
            _ => {}
        }
        if let Some(condition) = text.strip_prefix("condition=") {
            let (name, status) = condition.split_once('=').unwrap_or((condition, "true"));
            return Ok(Self::Holds(Watched::Status { name: name.into(), status: status.into() }));
        }
        if let Some(path) = text.strip_prefix("jsonpath=") {
            return parse_path(path).map(Self::Holds);
        }
        Err(KubectlError::new(format!("unrecognized condition: {}", quote(text))))
    }
}

fn parse_path(text: &str) -> Result<Watched, KubectlError> {
    let parts = split(text);
    let (path, value) = match parts.as_slice() {
        [path] => (path, None),
        [path, value] => (path, Some(value.trim_matches(['\'', '"']).to_owned())),
        _ => {
            return Err(KubectlError::new(
                "jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 or \
                 --for=jsonpath='{.status.readyReplicas}'",
            ));
        }
    };
    let fault = |error: apimachinery::jsonpath::JsonPathError| KubectlError::new(error.to_string());
    let path = relaxed(path).map_err(fault)?;
    if value.as_deref() == Some("") {
        return Err(KubectlError::new(
            "jsonpath wait has to have a value after equal sign, like --for=jsonpath='{.status.readyReplicas}'=3",
        ));
    }
    if path.is_empty() {
        return Err(KubectlError::new("jsonpath expression cannot be empty"));
    }
    let path = JsonPath::parse(&path).map_err(fault)?.allow_missing_keys(true);
    Ok(Watched::Path { path, value })
}

/// Splits at single `=`; `==` belongs to the path.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let part = parts.last_mut().expect("there is always one part");
        match c {
            '=' if characters.next_if_eq(&'=').is_some() => part.push_str("=="),
            '=' => parts.push(String::new()),
            c => part.push(c),
        }
    }
    parts
}

impl Watched {
    /// Whether it is so. An error where the path does not lead to one plain value.
    pub(super) fn holds(&self, object: &Value) -> Result<bool, KubectlError> {
        match self {
            Self::Status { name, status } => Ok(has_status(object, name, status)),
            Self::Path { path, value } => {
                let found = path.find(object).map_err(|error| KubectlError::new(error.to_string()))?;
                let values = match found.as_slice() {
                    [] => return Ok(false),
                    [values, ..] if values.is_empty() => return Ok(false),
                    [values] => values,
                    _ => return Err(KubectlError::new("given jsonpath expression matches more than one list")),
                };
                match (values.as_slice(), value) {
                    ([_, _, ..], _) => Err(KubectlError::new("given jsonpath expression matches more than one value")),
                    (_, None) => Ok(true),
                    ([Value::Array(_) | Value::Object(_), ..], _) => {
                        Err(KubectlError::new("jsonpath leads to a nested object or list which is not supported"))
                    }
                    ([found, ..], Some(value)) => Ok(gotext::value(&Any::from_json(found)).trim() == value.trim()),
                    ([], _) => Ok(false),
                }
            }
        }
    }
}

/// Whether the condition has this status, and was seen of the object's present generation.
fn has_status(object: &Value, name: &str, status: &str) -> bool {
    let same = |value: &Value, text: &str| value.as_str().is_some_and(|v| v.to_lowercase() == text.to_lowercase());
    let conditions = object["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let Some(condition) = conditions.find(|c| same(&c["type"], name) && c["status"].is_string()) else {
        return false;
    };
    let observed = condition["observedGeneration"].as_i64().or(object["status"]["observedGeneration"].as_i64());
    let is_old = match (object["metadata"]["generation"].as_i64(), observed) {
        (Some(generation), Some(observed)) => observed < generation,
        _ => false,
    };
    !is_old && same(&condition["status"], status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(condition: &str, object: &Value) -> Result<bool, String> {
        match Condition::parse(condition).map_err(|error| error.to_string())? {
            Condition::Holds(watched) => watched.holds(object).map_err(|error| error.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn conditions_count_for_the_present_generation_only() {
        let object = |generation: i64| {
            json!({
                "metadata": {"generation": generation},
                "status": {"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "True"}]},
            })
        };
        assert_eq!(holds("condition=ready", &object(2)), Ok(true));
        assert_eq!(holds("condition=Ready=false", &object(2)), Ok(false));
        assert_eq!(holds("condition=Ready", &object(3)), Ok(false));
        assert_eq!(holds("condition=Other", &object(2)), Ok(false));
    }

    #[test]
    fn paths_lead_to_one_plain_value() {
        let object = json!({"a": {"b": 3, "l": [1, 2], "s": "x=y"}});
        assert_eq!(holds("jsonpath={.a.b}=3", &object), Ok(true));
        assert_eq!(holds("jsonpath=.a.b='3'", &object), Ok(true));
        assert_eq!(holds("jsonpath={.a.b}=4", &object), Ok(false));
        assert_eq!(holds("jsonpath={.a.missing}", &object), Ok(false));
        assert_eq!(holds("jsonpath={.a.l}", &object), Ok(true));
        let fault = |condition: &str| holds(condition, &object).unwrap_err();
        assert_eq!(fault("jsonpath={.a.l}=1"), "jsonpath leads to a nested object or list which is not supported");
        assert_eq!(fault("jsonpath={.a.l[*]}=1"), "given jsonpath expression matches more than one value");
        assert_eq!(fault("nothing"), "unrecognized condition: \"nothing\"");
        assert!(fault("jsonpath={.a}=").starts_with("jsonpath wait has to have a value"));
        assert!(fault("jsonpath={.a}=1=2").starts_with("jsonpath wait format must be"));
        assert_eq!(split("a==b=c"), ["a==b", "c"]);
    }
}
