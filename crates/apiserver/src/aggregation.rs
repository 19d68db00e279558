//! API servers behind Services: which group versions they serve, where they are, and what they say of themselves
//! (upstream: `kube-aggregator/pkg/apiserver`).
//!
//! The APIServices in the watch cache say who serves what; nothing is kept beside them but documents that were fetched.

mod documents;
mod order;
mod probe;
mod resources;

use std::sync::Arc;

use api::resources::{APISERVICES, SERVICES};
use apimachinery::{Reader, UserInfo};
use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use serde::Deserialize;

use crate::cache::Caches;
use documents::Documents;

pub(crate) use order::{GroupVersions, group_versions};

/// The group of the APIServices themselves, which nobody else serves.
const OWN_GROUP: &str = "apiregistration.k8s.io";
/// What begins the names of headers that tell of a user.
const REMOTE_EXTRA: &str = "x-remote-extra-";

/// A body that comes as it is read.
pub type RemoteBody = BoxBody<Bytes, std::io::Error>;

/// An API server behind a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemoteServer {
    /// The name in its certificate: `NAME.NAMESPACE.svc`.
    pub name: String,
    /// Where it is dialled: `10.96.0.7:443`.
    pub address: String,
    /// The authorities that its certificate is checked by, PEM; the machine's if there are none.
    pub ca: Option<Vec<u8>>,
    /// Any certificate will do.
    pub insecure: bool,
}

/// The way to API servers behind Services: HTTPS, with the front proxy's certificate.
#[async_trait]
pub trait RemoteServers: Send + Sync + std::fmt::Debug {
    /// Sends a request, whose URI is a path. The answer may switch to another protocol. An error is a sentence in Go's
    /// words.
    async fn send(&self, server: &RemoteServer, request: Request<RemoteBody>) -> Result<Response<RemoteBody>, String>;
}

/// An APIService, as far as it is read here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ApiService {
    metadata: Metadata,
    pub(crate) spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: String,
    resource_version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Spec {
    pub(crate) group: String,
    pub(crate) version: String,
    service: Option<ServiceReference>,
    ca_bundle: Option<String>,
    #[serde(rename = "insecureSkipTLSVerify")]
    insecure_skip_tls_verify: bool,
    group_priority_minimum: i64,
    version_priority: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServiceReference {
    name: String,
    namespace: String,
    port: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl ApiService {
    /// Whether another server serves it.
    pub(crate) fn is_remote(&self) -> bool {
        self.spec.service.is_some() && self.spec.group != OWN_GROUP
    }

    /// Whether it was found to answer.
    pub(crate) fn is_available(&self) -> bool {
        self.status.conditions.iter().any(|condition| condition.kind == "Available" && condition.status == "True")
    }

    /// Where its resources are: `/apis/GROUP/VERSION`.
    pub(crate) fn path(&self) -> String {
        match self.spec.group.as_str() {
            "" => format!("/api/{}", self.spec.version),
            group => format!("/apis/{group}/{}", self.spec.version),
        }
    }
}

/// Knows the API servers behind Services.
#[derive(Debug)]
pub(crate) struct Aggregator {
    remotes: Arc<dyn RemoteServers>,
    caches: Arc<Caches>,
    documents: Documents,
}

impl Aggregator {
    /// An aggregator of what the APIServices in `caches` name.
    pub(crate) fn new(remotes: Arc<dyn RemoteServers>, caches: Arc<Caches>) -> Self {
        Self { remotes, caches, documents: Documents::default() }
    }

    /// All APIServices.
    pub(crate) fn api_services(&self) -> Vec<Arc<ApiService>> {
        let all = self.caches.list(APISERVICES, "");
        all.iter().filter_map(|object| object.typed::<ApiService>().ok()).collect()
    }

    /// The APIService of a group version that another server serves.
    pub(crate) fn remote(&self, group: &str, version: &str) -> Option<Arc<ApiService>> {
        self.named(&format!("{version}.{group}")).filter(|found| found.is_remote())
    }

    fn named(&self, name: &str) -> Option<Arc<ApiService>> {
        self.caches.get(APISERVICES, "", name)?.typed::<ApiService>().ok()
    }

    /// Where the server of an APIService is.
    pub(crate) fn server_of(&self, api_service: &ApiService) -> Result<RemoteServer, String> {
        let spec = &api_service.spec;
        let reference = spec.service.as_ref().ok_or("the APIService is local")?;
        let (name, namespace) = (&reference.name, &reference.namespace);
        let service = self.caches.get(SERVICES, namespace, name);
        let service = service.ok_or_else(|| format!("services {name:?} not found"))?.value();
        let address = registry::services::cluster_address(&service, reference.port.unwrap_or(443))?;
        let ca = spec.ca_bundle.as_deref().filter(|text| !text.is_empty()).map(|text| BASE64_STANDARD.decode(text));
        let ca = ca.transpose().map_err(|error| format!("caBundle is not base64: {error}"))?;
        Ok(RemoteServer {
            name: format!("{name}.{namespace}.svc"),
            address,
            ca,
            insecure: spec.insecure_skip_tls_verify,
        })
    }

    /// Sends a request to a server.
    pub(crate) async fn send(
        &self,
        server: &RemoteServer,
        request: Request<RemoteBody>,
    ) -> Result<Response<RemoteBody>, String> {
        self.remotes.send(server, request).await
    }
}

/// This server's own identity towards others: one that may do everything.
fn own_identity() -> UserInfo {
    let (name, groups) = ("system:kube-aggregator".to_owned(), vec!["system:masters".to_owned()]);
    UserInfo { name, groups, ..UserInfo::default() }
}

/// Tells a server behind this one who asks, and takes away what a client may have said of itself
/// (upstream: `SetAuthProxyHeaders` in `client-go/transport`).
pub(crate) fn identify(headers: &mut HeaderMap, user: &UserInfo) -> Result<(), String> {
    let claimed = |name: &HeaderName| {
        let name = name.as_str();
        matches!(name, "x-remote-user" | "x-remote-uid" | "x-remote-group") || name.starts_with(REMOTE_EXTRA)
    };
    let claims: Vec<HeaderName> = headers.keys().filter(|name| claimed(name)).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
    let invalid = |what: &str| format!("net/http: invalid header field value for {what:?}");
    let mut say = |name: &str, value: &str| -> Result<(), String> {
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid(name))?;
        headers.append(header, HeaderValue::from_str(value).map_err(|_| invalid(name))?);
        Ok(())
    };
    say("x-remote-user", &user.name)?;
    if !user.uid.is_empty() {
        say("x-remote-uid", &user.uid)?;
    }
    for group in &user.groups {
        say("x-remote-group", group)?;
    }
    for (key, values) in &user.extra {
        for value in values {
            say(&format!("{REMOTE_EXTRA}{}", escaped(key)), value)?;
        }
    }
    Ok(())
}

/// A key as part of a header's name: bytes that none may hold, and `%`, are written as `%XX`.
fn escaped(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'!' | b'#' | b'$' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~' => {
                out.push(byte.into());
            }
            byte if byte.is_ascii_alphanumeric() => out.push(byte.into()),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests;
