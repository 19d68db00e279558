//! `kubectl create poddisruptionbudget`.

use apimachinery::IntOrString;
use apimachinery::labels::{Requirement, Selector};
use clap::Args;
use serde_json::{Value, json};

use super::{create_object, known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::write::CreateFlags;

/// Create a pod disruption budget with the specified name, selector, and desired minimum available pods
#[derive(Debug, Args)]
pub(crate) struct CreatePodDisruptionBudget {
    /// Its name
    #[arg(value_name = "NAME --selector=SELECTOR --min-available=N")]
    arguments: Vec<String>,
    /// How many Pods must be available: a number or a percentage
    #[arg(long, default_value = "", hide_default_value = true)]
    min_available: String,
    /// How many Pods may be unavailable: a number or a percentage
    #[arg(long, default_value = "", hide_default_value = true)]
    max_unavailable: String,
    /// The labels of the Pods
    #[arg(long, default_value = "", hide_default_value = true)]
    selector: String,
    #[command(flatten)]
    flags: CreateFlags,
}

impl CreatePodDisruptionBudget {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = name_of(context, &self.arguments)?;
        let (field, number) = self.limit().map_err(KubectlError::new)?;
        let mut spec = json!({"selector": label_selector(&self.selector).map_err(KubectlError::new)?});
        spec[field] = IntOrString::parse(number).to_value();
        let object = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec,
        });
        let resource = known_type("policy", "v1", "poddisruptionbudgets")?;
        create_object(context, &self.flags, &resource, object, "failed to create poddisruptionbudgets:").await
    }

    /// The field that limits disruptions, and its value.
    fn limit(&self) -> Result<(&'static str, &str), &'static str> {
        if self.selector.is_empty() {
            return Err("a selector must be specified");
        }
        let (field, flag, text) = match (self.min_available.as_str(), self.max_unavailable.as_str()) {
            ("", "") => return Err("one of min-available or max-unavailable must be specified"),
            (minimum, "") => ("minAvailable", "invalid format specified for min-available", minimum),
            ("", maximum) => ("maxUnavailable", "invalid format specified for max-unavailable", maximum),
            _ => return Err("min-available and max-unavailable cannot be both specified"),
        };
        let digits = text.strip_suffix('%').unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { Ok((field, text)) } else { Err(flag) }
    }
}

/// The text of a selector as an object.
pub(crate) fn label_selector(text: &str) -> Result<Value, String> {
    let parsed =
        Selector::parse(text).map_err(|error| format!("couldn't parse the selector string \"{text}\": {error}"))?;
    if text.contains("!=") {
        return Err("\"!=\" is not a valid label selector operator".to_owned());
    }
    let (mut labels, mut expressions) = (serde_json::Map::new(), Vec::new());
    for requirement in parsed.requirements {
        let (key, operator, values) = match requirement {
            Requirement::In(key, values) if values.len() == 1 => {
                labels.insert(key, json!(values[0]));
                continue;
            }
            Requirement::In(key, values) => (key, "In", values),
            Requirement::NotIn(key, values) => (key, "NotIn", values),
            Requirement::Exists(key) => (key, "Exists", Vec::new()),
            Requirement::DoesNotExist(key) => (key, "DoesNotExist", Vec::new()),
            Requirement::GreaterThan(..) => return Err("\"gt\" isn't supported in label selectors".to_owned()),
            Requirement::LessThan(..) => return Err("\"lt\" isn't supported in label selectors".to_owned()),
        };
        let mut expression = json!({"key": key, "operator": operator});
        if !values.is_empty() {
            expression["values"] = json!(values);
        }
        expressions.push(expression);
    }
    expressions.sort_by_key(|expression| expression["key"].to_string());
    let mut selector = json!({});
    if !labels.is_empty() {
        selector["matchLabels"] = Value::Object(labels);
    }
    if !expressions.is_empty() {
        selector["matchExpressions"] = Value::Array(expressions);
    }
    Ok(selector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_become_objects() {
        for (text, expected) in [
            ("app=web", json!({"matchLabels": {"app": "web"}})),
            ("app=web,tier==a", json!({"matchLabels": {"app": "web", "tier": "a"}})),
            (
                "!x,b in (1,2),a",
                json!({"matchExpressions": [
                    {"key": "a", "operator": "Exists"},
                    {"key": "b", "operator": "In", "values": ["1", "2"]},
                    {"key": "x", "operator": "DoesNotExist"},
                ]}),
            ),
        ] {
            assert_eq!(label_selector(text), Ok(expected), "{text}");
        }
        assert_eq!(label_selector("a>1").unwrap_err(), "\"gt\" isn't supported in label selectors");
        assert_eq!(label_selector("a!=1").unwrap_err(), "\"!=\" is not a valid label selector operator");
    }
}
