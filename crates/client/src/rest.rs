//! HTTP/1.1 to an API server: requests, streams (watches, followed logs) and WebSockets, with credentials and
//! impersonation. Mirrors upstream's `client-go/rest` and `client-go/transport`.
//!
//! A [`RestClient`] keeps connections and hands them out again; each is driven by a task of the caller's [`Supervisor`].

mod answer;
mod connections;
mod websocket;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::ApiError;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use component_base::Supervisor;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

pub use answer::{Response, Streaming};
pub use websocket::{WebSocket, bytes};

use crate::https::{Secret, ServerUrl, TlsSettings};
pub(crate) use connections::Connections;

/// How the server knows who asks, apart from a client certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// Not at all, or by the certificate.
    #[default]
    None,
    /// `Authorization: Bearer`.
    Bearer(Secret<String>),
    /// `Authorization: Basic`.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret<String>,
    },
}

/// In whose place requests are made; nobody's where `user` is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Impersonation {
    /// `Impersonate-User`.
    pub user: String,
    /// `Impersonate-Uid`.
    pub uid: String,
    /// `Impersonate-Group`.
    pub groups: Vec<String>,
    /// `Impersonate-Extra-…`.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Where to connect and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestConfig {
    /// The server.
    pub server: ServerUrl,
    /// How it is known, and the client certificate.
    pub tls: TlsSettings,
    /// Token or password.
    pub credentials: Credentials,
    /// In whose place.
    pub impersonation: Impersonation,
    /// The longest that one request may take, from its start to the end of the answer.
    pub timeout: Option<Duration>,
    /// `User-Agent`.
    pub user_agent: String,
}

impl RestConfig {
    /// A server, and nothing else.
    pub fn new(server: ServerUrl) -> Self {
        Self {
            server,
            tls: TlsSettings::default(),
            credentials: Credentials::None,
            impersonation: Impersonation::default(),
            timeout: None,
            user_agent: "skiff".to_owned(),
        }
    }
}

/// A request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// The server answered that it does not.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The server gave no (whole) answer. Reads like Go's `url.Error`.
    #[error("{method} {url:?}: {reason}")]
    Unreachable {
        /// `Get`, `Post` …
        method: String,
        /// The whole URL.
        url: String,
        /// Host and port as the configuration has them.
        authority: String,
        /// Why.
        reason: String,
    },
    /// The configuration or the request can't be used.
    #[error("{0}")]
    Invalid(String),
}

impl RestError {
    /// The API's error, if it is one.
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            _ => None,
        }
    }
}

/// One request that was answered, for logs.
#[derive(Debug, Clone)]
pub struct Exchange<'a> {
    /// The method.
    pub method: &'a Method,
    /// The whole URL.
    pub url: &'a str,
    /// What the server said.
    pub status: StatusCode,
    /// How long the header took.
    pub elapsed: Duration,
}

/// Who wants to know what happens on the way.
pub trait RestObserver: Send + Sync + fmt::Debug {
    /// The server warned (a `Warning` header of code 299).
    fn warning(&self, _text: &str) {}
    /// The server answered.
    fn exchanged(&self, _exchange: &Exchange<'_>) {}
}

/// Nobody.
impl RestObserver for () {}

/// An API server over HTTP or HTTPS, as one identity sees it. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub struct RestClient {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: RestConfig,
    headers: HeaderMap,
    connections: Connections,
    observer: Arc<dyn RestObserver>,
}

impl RestClient {
    /// A client that spawns its connections' tasks on `supervisor`. Connects when it is first used.
    ///
    /// # Errors
    /// Certificates or credentials that can't be used.
    pub fn new(config: RestConfig, supervisor: Supervisor, observer: Arc<dyn RestObserver>) -> Result<Self, RestError> {
        let headers = standing_headers(&config).map_err(RestError::Invalid)?;
        let tls = if config.server.https {
            Some(Arc::new(crate::https::client_config(&config.tls).map_err(RestError::Invalid)?))
        } else {
            None
        };
        let connections = Connections::new(config.server.clone(), tls, config.tls.server_name.clone(), supervisor);
        Ok(Self { inner: Arc::new(Inner { config, headers, connections, observer }) })
    }

    /// Where it connects.
    pub fn server(&self) -> &ServerUrl {
        &self.inner.config.server
    }

    /// Sends a request and reads the whole answer. `path_and_query` starts with a slash and is percent-encoded.
    ///
    /// # Errors
    /// No answer, or one whose status is not 2xx, as [`RestError::Api`].
    pub async fn request(
        &self,
        method: Method,
        path_and_query: &str,
        headers: &[(HeaderName, &str)],
        body: Bytes,
    ) -> Result<Response, RestError> {
        self.stream(method, path_and_query, headers, body).await?.collect().await
    }

    /// Sends a request and gives the answer as it comes: watches, followed logs.
    ///
    /// # Errors
    /// As [`RestClient::request`].
    pub async fn stream(
        &self,
        method: Method,
        path_and_query: &str,
        headers: &[(HeaderName, &str)],
        body: Bytes,
    ) -> Result<Streaming, RestError> {
        let deadline = self.inner.config.timeout.map(|timeout| Instant::now() + timeout);
        let request = self.build(method.clone(), path_and_query, headers, body)?;
        let started = Instant::now();
        let sending = self.inner.connections.send(request);
        let response = match deadline {
            Some(deadline) => timeout_at(deadline, sending).await.unwrap_or_else(|_| {
                let why = "net/http: request canceled (Client.Timeout exceeded while awaiting headers)";
                Err(why.to_owned())
            }),
            None => sending.await,
        };
        let response = response.map_err(|reason| self.unreachable(&method, path_and_query, reason))?;
        self.observe(&method, path_and_query, &response, started);
        let streaming = Streaming::new(response, deadline, self.unreachable(&method, path_and_query, String::new()));
        if streaming.status().is_success() { Ok(streaming) } else { Err(streaming.into_error(&method).await) }
    }

    /// GET, as JSON.
    ///
    /// # Errors
    /// As [`RestClient::request`]; also an answer that is no JSON.
    pub async fn get_json(&self, path_and_query: &str) -> Result<Value, RestError> {
        self.request(Method::GET, path_and_query, &[(ACCEPT, "application/json")], Bytes::new()).await?.json()
    }

    /// Sends a JSON body of this media type, and reads the answer as JSON.
    ///
    /// # Errors
    /// As [`RestClient::get_json`].
    pub async fn send_json(
        &self,
        method: Method,
        path_and_query: &str,
        media_type: &str,
        body: &Value,
    ) -> Result<Value, RestError> {
        let headers = [(ACCEPT, "application/json"), (CONTENT_TYPE, media_type)];
        let body = serde_json::to_vec(body).map_err(|error| RestError::Invalid(error.to_string()))?;
        self.request(method, path_and_query, &headers, body.into()).await?.json()
    }

    /// Passes on somebody else's request, with this client's credentials unless it has its own, over a connection of its
    /// own, which may switch protocols.
    ///
    /// # Errors
    /// No answer. Whatever the answer says is not looked at.
    pub async fn forward<B>(&self, mut request: Request<B>) -> Result<hyper::Response<Incoming>, RestError>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let server = self.server();
        let invalid = |error: &dyn fmt::Display| RestError::Invalid(error.to_string());
        *request.uri_mut() = format!("{}{path}", server.path).parse().map_err(|error| invalid(&error))?;
        let host = HeaderValue::from_str(&server.authority).map_err(|error| invalid(&error))?;
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        for name in self.inner.headers.keys() {
            if !headers.contains_key(name) {
                for value in self.inner.headers.get_all(name) {
                    headers.append(name, value.clone());
                }
            }
        }
        let method = request.method().clone();
        let sent = self.inner.connections.send_upgrade(request).await;
        sent.map_err(|reason| self.unreachable(&method, &path, reason))
    }

    fn observe(&self, method: &Method, path_and_query: &str, response: &hyper::Response<Incoming>, started: Instant) {
        for warning in response.headers().get_all(http::header::WARNING) {
            for text in std::str::from_utf8(warning.as_bytes()).map(answer::warnings).unwrap_or_default() {
                self.inner.observer.warning(&text);
            }
        }
        let url = self.url(path_and_query);
        let status = response.status();
        self.inner.observer.exchanged(&Exchange { method, url: &url, status, elapsed: started.elapsed() });
    }

    fn url(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.server().text())
    }

    fn unreachable(&self, method: &Method, path_and_query: &str, reason: String) -> RestError {
        let method = method.as_str();
        RestError::Unreachable {
            method: format!("{}{}", &method[..1], method[1..].to_ascii_lowercase()),
            url: self.url(path_and_query),
            authority: self.server().authority.clone(),
            reason,
        }
    }

    fn build(
        &self,
        method: Method,
        path_and_query: &str,
        headers: &[(HeaderName, &str)],
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, RestError> {
        let invalid = |error: &dyn fmt::Display| RestError::Invalid(error.to_string());
        let server = self.server();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path_and_query}", server.path))
            .header(HOST, &server.authority)
            .body(Full::new(body))
            .map_err(|error| invalid(&error))?;
        for (name, value) in &self.inner.headers {
            request.headers_mut().append(name, value.clone());
        }
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|error| invalid(&error))?;
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }
}

/// The headers of every request.
fn standing_headers(config: &RestConfig) -> Result<HeaderMap, String> {
    let value = |text: &str| {
        let mut value = HeaderValue::from_str(text).map_err(|_| format!("net/http: invalid header value {text:?}"))?;
        value.set_sensitive(true);
        Ok::<_, String>(value)
    };
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, value(&config.user_agent)?);
    match &config.credentials {
        Credentials::None => {}
        Credentials::Bearer(Secret(token)) => {
            headers.insert(AUTHORIZATION, value(&format!("Bearer {token}"))?);
        }
        Credentials::Basic { username, password: Secret(password) } => {
            let pair = BASE64_STANDARD.encode(format!("{username}:{password}"));
            headers.insert(AUTHORIZATION, value(&format!("Basic {pair}"))?);
        }
    }
    let who = &config.impersonation;
    if !who.user.is_empty() {
        headers.insert("impersonate-user", value(&who.user)?);
        if !who.uid.is_empty() {
            headers.insert("impersonate-uid", value(&who.uid)?);
        }
        for group in &who.groups {
            headers.append("impersonate-group", value(group)?);
        }
        for (key, values) in &who.extra {
            let name = format!("impersonate-extra-{}", encode_segment(&key.to_ascii_lowercase()));
            let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
            for extra in values {
                headers.append(name.clone(), value(extra)?);
            }
        }
    }
    Ok(headers)
}

/// Percent-encodes one segment of a path.
pub fn encode_segment(text: &str) -> String {
    encode(text, b"-_.~$&+=:@")
}

/// A query with its question mark, percent-encoded; empty where there are no pairs.
pub fn encode_query<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> String {
    let mut query = String::new();
    for (key, value) in pairs {
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(&encode(key.as_ref(), b"-_.~"));
        query.push('=');
        query.push_str(&encode(value.as_ref(), b"-_.~"));
    }
    query
}

fn encode(text: &str, also: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;
