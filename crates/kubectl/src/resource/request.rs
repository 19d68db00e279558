//! Requests about objects: upstream's `resource.Helper`.

use bytes::Bytes;
use client::rest::{Streaming, encode_query, encode_segment};
use client::{PatchKind, Propagation, RestClient, RestError};
use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};

use super::Selection;
use crate::discovery::ResourceType;
use crate::error::KubectlError;

const JSON: &str = "application/json";

/// What a list or watch selects.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListQuery {
    /// `-l`.
    pub(crate) label_selector: String,
    /// `--field-selector`.
    pub(crate) field_selector: String,
    /// The most objects of one answer; 0 for all.
    pub(crate) limit: u64,
    /// Where the last answer ended.
    pub(crate) continue_token: String,
    /// For watches: after which revision.
    pub(crate) resource_version: String,
    /// The `Accept` header; JSON if empty.
    pub(crate) accept: String,
    /// Further parameters.
    pub(crate) parameters: Vec<(String, String)>,
}

impl ListQuery {
    fn pairs(&self) -> Vec<(String, String)> {
        let limit = if self.limit > 0 { self.limit.to_string() } else { String::new() };
        let known = [
            ("labelSelector", &self.label_selector),
            ("fieldSelector", &self.field_selector),
            ("limit", &limit),
            ("continue", &self.continue_token),
            ("resourceVersion", &self.resource_version),
        ];
        let known = known.into_iter().filter(|(_, value)| !value.is_empty());
        known.map(|(key, value)| (key.to_owned(), value.clone())).chain(self.parameters.clone()).collect()
    }

    fn accept(&self) -> &str {
        if self.accept.is_empty() { JSON } else { &self.accept }
    }
}

/// Requests with the parameters that writes of one command have in common.
#[derive(Debug, Clone)]
pub(crate) struct Requests<'a> {
    client: &'a RestClient,
    parameters: Vec<(&'static str, String)>,
}

impl<'a> Requests<'a> {
    /// Without parameters.
    pub(crate) fn new(client: &'a RestClient) -> Self {
        Self { client, parameters: Vec::new() }
    }

    /// Adds a parameter to writes: `dryRun`, `fieldManager`, `fieldValidation`. Empty values are left out.
    #[must_use]
    pub(crate) fn with(mut self, key: &'static str, value: &str) -> Self {
        if !value.is_empty() {
            self.parameters.push((key, value.to_owned()));
        }
        self
    }

    fn write_path(&self, resource: &ResourceType, namespace: &str, name: &str, subresource: &str) -> String {
        let mut path = resource.path(namespace, name);
        if !subresource.is_empty() {
            path.push_str(&format!("/{}", encode_segment(subresource)));
        }
        path + &encode_query(self.parameters.iter().map(|(key, value)| (key, value)))
    }

    /// Reads an object, or its subresource, as `selection` wants it.
    pub(crate) async fn get(
        &self,
        resource: &ResourceType,
        namespace: &str,
        name: &str,
        selection: &Selection,
    ) -> Result<Value, KubectlError> {
        let mut path = resource.path(namespace, name);
        if !selection.subresource.is_empty() {
            path.push_str(&format!("/{}", encode_segment(&selection.subresource)));
        }
        path.push_str(&encode_query(selection.parameters.iter().map(|(key, value)| (key, value))));
        let accept = if selection.accept.is_empty() { JSON } else { &selection.accept };
        let response = self.client.request(Method::GET, &path, &[(ACCEPT, accept)], Bytes::new()).await?;
        Ok(response.json()?)
    }

    /// Reads an object as JSON.
    pub(crate) async fn read(
        &self,
        resource: &ResourceType,
        namespace: &str,
        name: &str,
    ) -> Result<Value, KubectlError> {
        Ok(self.client.get_json(&resource.path(namespace, name)).await?)
    }

    /// Lists a collection.
    pub(crate) async fn list(
        &self,
        resource: &ResourceType,
        namespace: &str,
        query: &ListQuery,
    ) -> Result<Value, KubectlError> {
        let path = resource.path(namespace, "") + &encode_query(query.pairs());
        let response = self.client.request(Method::GET, &path, &[(ACCEPT, query.accept())], Bytes::new()).await?;
        Ok(response.json()?)
    }

    /// Watches a collection.
    pub(crate) async fn watch(
        &self,
        resource: &ResourceType,
        namespace: &str,
        query: &ListQuery,
    ) -> Result<WatchEvents, KubectlError> {
        let mut pairs = query.pairs();
        pairs.push(("watch".to_owned(), "true".to_owned()));
        let path = resource.path(namespace, "") + &encode_query(pairs);
        let stream = self.client.stream(Method::GET, &path, &[(ACCEPT, query.accept())], Bytes::new()).await?;
        Ok(WatchEvents { stream })
    }

    /// Creates an object. A resource version that it had elsewhere, or before, is not sent.
    pub(crate) async fn create(
        &self,
        resource: &ResourceType,
        namespace: &str,
        object: &Value,
    ) -> Result<Value, KubectlError> {
        let path = self.write_path(resource, namespace, "", "");
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        Ok(self.client.send_json(Method::POST, &path, JSON, &object).await?)
    }

    /// Creates a subresource of an object: `token`, `eviction`.
    pub(crate) async fn create_subresource(
        &self,
        resource: &ResourceType,
        (namespace, name): (&str, &str),
        subresource: &str,
        body: &Value,
    ) -> Result<Value, KubectlError> {
        let path = self.write_path(resource, namespace, name, subresource);
        Ok(self.client.send_json(Method::POST, &path, JSON, body).await?)
    }

    /// Replaces an object, or its subresource.
    pub(crate) async fn replace(
        &self,
        resource: &ResourceType,
        (namespace, name): (&str, &str),
        subresource: &str,
        object: &Value,
    ) -> Result<Value, KubectlError> {
        let path = self.write_path(resource, namespace, name, subresource);
        Ok(self.client.send_json(Method::PUT, &path, JSON, object).await?)
    }

    /// Patches an object, or its subresource.
    pub(crate) async fn patch(
        &self,
        resource: &ResourceType,
        (namespace, name): (&str, &str),
        subresource: &str,
        kind: PatchKind,
        patch: &Value,
    ) -> Result<Value, KubectlError> {
        let path = self.write_path(resource, namespace, name, subresource);
        Ok(self.client.send_json(Method::PATCH, &path, kind.media_type(), patch).await?)
    }

    /// Applies a configuration on the server.
    pub(crate) async fn apply(
        &self,
        resource: &ResourceType,
        (namespace, name): (&str, &str),
        configuration: &Value,
    ) -> Result<Value, KubectlError> {
        let path = self.write_path(resource, namespace, name, "");
        Ok(self.client.send_json(Method::PATCH, &path, "application/apply-patch+yaml", configuration).await?)
    }

    /// Patches with a text that the server shall judge.
    pub(crate) async fn patch_text(
        &self,
        resource: &ResourceType,
        (namespace, name): (&str, &str),
        subresource: &str,
        kind: PatchKind,
        patch: &str,
    ) -> Result<Value, KubectlError> {
        let path = self.write_path(resource, namespace, name, subresource);
        let headers = [(ACCEPT, JSON), (CONTENT_TYPE, kind.media_type())];
        let body = Bytes::copy_from_slice(patch.as_bytes());
        Ok(self.client.request(Method::PATCH, &path, &headers, body).await?.json()?)
    }

    /// Deletes an object. Gives the object or Status that the server answers.
    pub(crate) async fn delete(
        &self,
        resource: &ResourceType,
        namespace: &str,
        name: &str,
        options: &Value,
    ) -> Result<Value, KubectlError> {
        let path = self.write_path(resource, namespace, name, "");
        Ok(self.client.send_json(Method::DELETE, &path, JSON, options).await?)
    }
}

/// The body of a deletion.
pub(crate) fn delete_options(grace_period_seconds: Option<i64>, propagation: Option<Propagation>) -> Value {
    let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
    if let Some(seconds) = grace_period_seconds {
        options["gracePeriodSeconds"] = json!(seconds);
    }
    if let Some(propagation) = propagation {
        options["propagationPolicy"] = json!(propagation.as_str());
    }
    options
}

/// A watch in progress.
#[derive(Debug)]
pub(crate) struct WatchEvents {
    stream: Streaming,
}

impl WatchEvents {
    /// The next event's type and object; `None` when the server ends the watch.
    pub(crate) async fn next(&mut self) -> Result<Option<(String, Value)>, KubectlError> {
        loop {
            let Some(line) = self.stream.line().await? else { return Ok(None) };
            if line.is_empty() {
                continue;
            }
            let mut event: Value = serde_json::from_slice(&line).map_err(|error| {
                RestError::Invalid(format!("unable to decode an event from the watch stream: {error}"))
            })?;
            let kind = event["type"].as_str().unwrap_or_default().to_owned();
            if kind == "ERROR" {
                return Err(apimachinery::ApiError::from_status(&event["object"], 500).into());
            }
            return Ok(Some((kind, event["object"].take())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_of_a_deletion() {
        assert_eq!(
            delete_options(Some(0), Some(Propagation::Background)),
            json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "propagationPolicy": "Background"})
        );
        assert_eq!(delete_options(None, None), json!({"kind": "DeleteOptions", "apiVersion": "v1"}));
    }
}
