//! `kubectl create quota`.

use apimachinery::Quantity;
use clap::Args;
use serde_json::{Map, Value, json};

use super::{create_object, known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::write::CreateFlags;

/// Create a resource quota with the specified name, hard limits, and optional scopes.
#[derive(Debug, Args)]
pub(crate) struct CreateQuota {
    /// Its name
    #[arg(value_name = "NAME [--hard=KEY1=VALUE1,KEY2=VALUE2] [--scopes=SCOPE1,SCOPE2]")]
    arguments: Vec<String>,
    /// The limits, as RESOURCE=QUANTITY in commas
    #[arg(long, default_value = "", hide_default_value = true)]
    hard: String,
    /// The scopes, in commas, that an object must all match
    #[arg(long, default_value = "", hide_default_value = true)]
    scopes: String,
    #[command(flatten)]
    flags: CreateFlags,
}

impl CreateQuota {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = name_of(context, &self.arguments)?;
        let mut object = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {}});
        let limits = limits(&self.hard, "Invalid").map_err(KubectlError::new)?;
        if !limits.is_empty() {
            object["spec"]["hard"] = Value::Object(limits);
        }
        if !self.scopes.is_empty() {
            let scopes: Vec<&str> = self.scopes.split(',').collect();
            if scopes.contains(&"") {
                return Err(KubectlError::new("invalid resource quota scope \"\""));
            }
            object["spec"]["scopes"] = json!(scopes);
        }
        let resource = known_type("", "v1", "resourcequotas")?;
        create_object(context, &self.flags, &resource, object, "failed to create quota:").await
    }
}

/// `cpu=1,pods=3` as an object. A fault begins with the word `invalid` as the command writes it.
pub(crate) fn limits(text: &str, invalid: &str) -> Result<Map<String, Value>, String> {
    let mut limits = Map::new();
    for limit in text.split(',').filter(|_| !text.is_empty()) {
        let parts: Vec<&str> = limit.split('=').collect();
        let [resource, quantity] = parts[..] else {
            return Err(format!("{invalid} argument syntax {limit}, expected <resource>=<value>"));
        };
        let quantity: Quantity = quantity.parse().map_err(|error| format!("{error}"))?;
        limits.insert(resource.to_owned(), json!(quantity.to_string()));
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_quantities() {
        let expected = json!({"cpu": "1", "memory": "2Gi"});
        assert_eq!(limits("cpu=1000m,memory=2048Mi", "").map(Value::Object), Ok(expected));
        assert_eq!(
            limits("cpu", "Invalid"),
            Err("Invalid argument syntax cpu, expected <resource>=<value>".to_owned())
        );
        assert!(limits("cpu=much", "").unwrap_err().starts_with("quantities must match the regular expression"));
    }
}
