//! What servers behind Services say of themselves, fetched when somebody asks for it here and kept for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::resources::APISERVICES;
use apimachinery::Reader;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::resources::{resources_of, with_kinds};
use super::{Aggregator, ApiService, RemoteServer, identify, own_identity};

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a document is good for (upstream's interval of asking again).
const FRESH: Duration = Duration::from_secs(60);
/// How long a server that did not answer is left alone.
const FAILED: Duration = Duration::from_secs(5);
/// The largest document that is read. That of all built-in kinds' resources has a tenth of it.
const DOCUMENT_MAX: usize = 3 << 20;
/// The newer form of discovery.
const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    media_type: String,
    body: Bytes,
}

/// The last attempt at a document, and the last one that was got.
#[derive(Debug, Clone)]
struct Kept {
    /// The state of the APIService for which it was fetched.
    resource_version: String,
    until: Instant,
    failed: bool,
    document: Option<Arc<Value>>,
}

/// By the name of the APIService and what kind of a document it is.
#[derive(Debug, Default)]
pub(crate) struct Documents(Mutex<BTreeMap<(String, Kind), Kept>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Discovery,
    OpenApi,
}

impl Aggregator {
    /// The version's entry in aggregated discovery. One that can't be had as it is now is said to be stale.
    pub(crate) async fn discovery(&self, api_service: &ApiService) -> Value {
        let kept = self.kept(api_service, Kind::Discovery).await;
        let mut entry = kept.document.map_or_else(|| json!({}), |document| (*document).clone());
        entry["version"] = json!(api_service.spec.version);
        entry["freshness"] = json!(if kept.failed { "Stale" } else { "Current" });
        entry
    }

    /// The version's entry in the index of OpenAPI documents, if the server has one.
    pub(crate) async fn openapi_entry(&self, api_service: &ApiService) -> Option<Value> {
        let document = self.kept(api_service, Kind::OpenApi).await.document?;
        document["paths"].get(api_service.path().trim_start_matches('/')).cloned()
    }

    async fn kept(&self, api_service: &ApiService, kind: Kind) -> Kept {
        let meta = &api_service.metadata;
        let key = (meta.name.clone(), kind);
        let before = self.documents.0.lock().get(&key).cloned();
        if let Some(kept) = &before
            && kept.resource_version == meta.resource_version
            && kept.until > Instant::now()
        {
            return kept.clone();
        }
        let fetched = match api_service.is_available() {
            true => timeout(ANSWER_TIMEOUT, self.fetch(api_service, kind)).await.map_err(|_| "it timed out".to_owned()),
            false => Err("it is not available".to_owned()),
        };
        let fetched = fetched.flatten().inspect_err(|why| {
            tracing::debug!(api_service = meta.name, why, "a document of an aggregated API server can't be had");
        });
        let kept = Kept {
            resource_version: meta.resource_version.clone(),
            until: Instant::now() + if fetched.is_ok() { FRESH } else { FAILED },
            failed: fetched.is_err(),
            document: fetched.ok().map(Arc::new).or_else(|| before?.document),
        };
        let mut documents = self.documents.0.lock();
        documents.retain(|(name, _), _| self.caches.get(APISERVICES, "", name).is_some());
        documents.insert(key, kept.clone());
        kept
    }

    async fn fetch(&self, api_service: &ApiService, kind: Kind) -> Result<Value, String> {
        let server = self.server_of(api_service)?;
        match kind {
            Kind::Discovery => self.fetch_discovery(api_service, &server).await,
            Kind::OpenApi => {
                let answer = self.get(&server, "/openapi/v3", "application/json").await?;
                match answer.status {
                    // One that has no documents of this form is no failure.
                    StatusCode::NOT_FOUND => Ok(json!({})),
                    _ => answer.json(),
                }
            }
        }
    }

    async fn fetch_discovery(&self, api_service: &ApiService, server: &RemoteServer) -> Result<Value, String> {
        let spec = &api_service.spec;
        let answer = self.get(server, "/apis", DISCOVERY).await?;
        if answer.status == StatusCode::OK && answer.is_aggregated_discovery() {
            let mut document = answer.json()?;
            let groups = document["items"].as_array_mut().into_iter().flatten();
            let mut own = groups.filter(|group| group["metadata"]["name"].as_str().unwrap_or_default() == spec.group);
            let versions = own.next().and_then(|group| group["versions"].as_array_mut());
            let entry = versions.into_iter().flatten().find(|entry| entry["version"] == spec.version.as_str());
            // A server that does not speak of the version has nothing in it.
            return Ok(entry.map_or_else(|| json!({}), |entry| with_kinds(entry.take())));
        }
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            return Err("the server answered with HTTP status 503".to_owned());
        }
        let list = self.get(server, &api_service.path(), "application/json").await?.json()?;
        Ok(json!({"resources": resources_of(&list)?}))
    }

    /// Gets a document with this server's own identity.
    pub(super) async fn get(&self, server: &RemoteServer, path: &str, accept: &str) -> Result<Answer, String> {
        let mut headers = HeaderMap::new();
        identify(&mut headers, &own_identity())?;
        let value = |text: &str| HeaderValue::from_str(text).map_err(|error| error.to_string());
        headers.insert(HOST, value(&server.address)?);
        headers.insert(ACCEPT, value(accept)?);
        let body = Empty::new().map_err(|never| match never {}).boxed();
        let mut request = Request::get(path).body(body).map_err(|error| error.to_string())?;
        *request.headers_mut() = headers;
        let (parts, body) = self.send(server, request).await?.into_parts();
        let body = Limited::new(body, DOCUMENT_MAX).collect().await.map_err(|error| error.to_string())?.to_bytes();
        let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Answer { status: parts.status, media_type: media_type.to_owned(), body })
    }
}

impl Answer {
    fn json(&self) -> Result<Value, String> {
        if self.status != StatusCode::OK {
            return Err(format!("the server answered with HTTP status {}", self.status.as_u16()));
        }
        serde_json::from_slice(&self.body).map_err(|error| error.to_string())
    }

    fn is_aggregated_discovery(&self) -> bool {
        let mut parts = self.media_type.split(';').map(str::trim);
        let parameters = ["g=apidiscovery.k8s.io", "v=v2", "as=APIGroupDiscoveryList"];
        parts.next() == Some("application/json") && {
            let given: Vec<&str> = parts.collect();
            parameters.iter().all(|parameter| given.contains(parameter))
        }
    }
}
