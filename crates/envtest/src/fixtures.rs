//! YAML in tests.

use apimachinery::{Reason, Resource, yaml};
use client::{Client, PatchKind};
use serde_json::Value;

use crate::failure::Failure;

/// The namespace of objects that name none.
pub(crate) const NAMESPACE: &str = "default";

/// Creates each object of `text`, or merges it into the one that is there, as `kubectl apply` does.
pub(crate) async fn apply(client: &Client, text: &str) -> Result<(), Failure> {
    let documents = yaml::parse_all(text).map_err(|error| Failure::Fixture(error.to_string()))?;
    for document in documents {
        apply_one(client, document).await?;
    }
    Ok(())
}

async fn apply_one(client: &Client, mut object: Value) -> Result<(), Failure> {
    let resource = resource_of(&object)?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let namespace = match object["metadata"]["namespace"].as_str() {
        _ if !resource.namespaced() => String::new(),
        Some(namespace) => namespace.to_owned(),
        None => {
            object["metadata"]["namespace"] = NAMESPACE.into();
            NAMESPACE.to_owned()
        }
    };
    match client.create(resource, &namespace, object.clone()).await {
        Err(error) if error.reason == Reason::AlreadyExists => {
            client.patch(resource, &namespace, &name, PatchKind::Strategic, object).await?;
        }
        created => drop(created?),
    }
    Ok(())
}

fn resource_of(object: &Value) -> Result<&'static Resource, Failure> {
    let word = |field: &str| {
        let text = object[field].as_str();
        text.ok_or_else(|| Failure::Fixture(format!("an object has no {field}")))
    };
    let (version, kind) = (word("apiVersion")?, word("kind")?);
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    api::find_kind(group, version, kind)
        .ok_or_else(|| Failure::Fixture(format!("no kind {kind:?} is served in {group:?} {version:?}")))
}
