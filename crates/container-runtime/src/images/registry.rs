//! The distribution protocol: manifests, blobs, and the login that a registry asks for.

mod challenge;

use std::sync::Arc;

use bytes::Bytes;
use cri::{Auth, Reference};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RANGE, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde::Deserialize;

use super::http::{Ask, HttpClient, HttpError, Target, read_body};
use super::registries::{Endpoint, Registries, Url};
use super::spec::{Digest, MANIFEST_TYPES};
use challenge::{Challenge, form, query};

/// Largest manifest; the limit of the distribution specification.
const MANIFEST_BYTES_MAX: usize = 4 << 20;
/// Largest configuration of an image.
const CONFIG_BYTES_MAX: usize = 8 << 20;
/// Largest answer of a token server, and largest error text that is read.
const TOKEN_BYTES_MAX: usize = 1 << 20;
/// Shown of a registry's error.
const ERROR_BYTES_MAX: usize = 64 << 10;
const CONTENT_DIGEST: &str = "docker-content-digest";

/// The registry did not give what was asked. The texts are containerd's, without the steps around them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RegistryError {
    #[error("{what}: not found")]
    NotFound { what: String },
    #[error("pull access denied, repository does not exist or may require authorization: {reason}")]
    Denied { reason: String },
    #[error("failed to authorize: {reason}")]
    Token { reason: String },
    #[error("unexpected status from {method} request to {url}: {status}{detail}")]
    Status { method: &'static str, url: String, status: StatusCode, detail: String },
    #[error("failed to do request: {0}")]
    Http(#[from] HttpError),
    #[error("{0}")]
    Content(String),
}

/// A manifest as it was sent.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    pub(super) bytes: Bytes,
    pub(super) digest: Digest,
    pub(super) content_type: String,
}

/// Speaks to registries. A login is kept for the pull of one image.
#[derive(Debug)]
pub(super) struct RegistryClient {
    http: Arc<HttpClient>,
    registries: Arc<Registries>,
}

/// An image's repository, at the endpoint that answered.
#[derive(Debug)]
pub(super) struct Repository {
    http: Arc<HttpClient>,
    endpoint: Endpoint,
    /// The last login, sent unasked from then on.
    login: Mutex<Option<HeaderValue>>,
}

impl RegistryClient {
    pub(super) fn new(http: Arc<HttpClient>, registries: Arc<Registries>) -> Self {
        Self { http, registries }
    }

    /// Finds the image at the first endpoint that has it.
    pub(super) async fn resolve(
        &self,
        reference: &Reference,
        auth: Option<&Auth>,
    ) -> Result<(Repository, Fetched), RegistryError> {
        let mut first_error = None;
        for mut endpoint in self.registries.endpoints(reference, auth) {
            loop {
                let repository =
                    Repository { http: self.http.clone(), endpoint: endpoint.clone(), login: Mutex::default() };
                match repository.manifest(reference).await {
                    Ok(fetched) => return Ok((repository, fetched)),
                    Err(RegistryError::Http(HttpError::NotTls { .. })) if endpoint.fall_back_to_http => {
                        endpoint.fall_back_to_http = false;
                        endpoint.url.https = false;
                    }
                    Err(error) => {
                        // That one endpoint does not have it says less than that another one fails.
                        match &first_error {
                            None | Some(RegistryError::NotFound { .. }) => first_error = Some(error),
                            Some(_) => {}
                        }
                        break;
                    }
                }
            }
        }
        Err(first_error.unwrap_or_else(|| RegistryError::Content(format!("no endpoint for {}", reference.domain))))
    }
}

impl Repository {
    async fn manifest(&self, reference: &Reference) -> Result<Fetched, RegistryError> {
        let wanted = match &reference.digest {
            Some(digest) => Some(
                Digest::parse(digest)
                    .ok_or_else(|| RegistryError::Content(format!("unsupported digest algorithm of {digest}")))?,
            ),
            None => None,
        };
        let tag = reference.tag.as_deref().unwrap_or_default();
        self.fetch_manifest(wanted.as_ref(), tag, &reference.to_string()).await
    }

    /// A manifest that an index named.
    pub(super) async fn manifest_by_digest(&self, digest: &Digest) -> Result<Fetched, RegistryError> {
        self.fetch_manifest(Some(digest), "", digest.as_str()).await
    }

    async fn fetch_manifest(&self, wanted: Option<&Digest>, tag: &str, what: &str) -> Result<Fetched, RegistryError> {
        let target = self.target(&format!("manifests/{}", wanted.map_or(tag, Digest::as_str)));
        let accept = MANIFEST_TYPES.join(", ") + ", */*";
        let accept = HeaderValue::from_str(&accept).expect("media types are plain text");
        let response = self.get(&target, vec![(ACCEPT, accept)], what).await?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let content_type =
            header(CONTENT_TYPE.as_str()).unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        let said = header(CONTENT_DIGEST).and_then(Digest::parse);
        let bytes = read_body(response, MANIFEST_BYTES_MAX).await.map_err(|reason| unread(&target, reason))?;
        let digest = Digest::of(&bytes);
        for expected in wanted.into_iter().chain(&said) {
            if *expected != digest {
                return Err(RegistryError::Content(format!(
                    "failed to verify the manifest: unexpected digest {digest}, expected {expected}"
                )));
            }
        }
        Ok(Fetched { bytes, digest, content_type })
    }

    /// A small blob, checked.
    pub(super) async fn config(&self, digest: &Digest) -> Result<Bytes, RegistryError> {
        let target = self.target(&format!("blobs/{digest}"));
        let response = self.get(&target, Vec::new(), &format!("content at {}", target.text())).await?;
        let bytes = read_body(response, CONFIG_BYTES_MAX).await.map_err(|reason| unread(&target, reason))?;
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(RegistryError::Content(format!(
                "failed to verify the image's configuration: unexpected digest {found}, expected {digest}"
            )));
        }
        Ok(bytes)
    }

    /// A blob's stream from this byte on. Says whether the registry begins there; if not, it begins at the start.
    pub(super) async fn blob(&self, digest: &Digest, from: u64) -> Result<(Response<Incoming>, bool), RegistryError> {
        let target = self.target(&format!("blobs/{digest}"));
        let range = HeaderValue::from_str(&format!("bytes={from}-")).expect("digits are plain text");
        let headers = if from > 0 { vec![(RANGE, range)] } else { Vec::new() };
        let response = self.get(&target, headers, &format!("content at {}", target.text())).await?;
        let partial = response.status() == StatusCode::PARTIAL_CONTENT;
        Ok((response, partial))
    }

    fn target(&self, rest: &str) -> Target {
        let Endpoint { url, repository, namespace, tls, .. } = &self.endpoint;
        let mut path = format!("{}/{repository}/{rest}", url.path);
        if let Some(namespace) = namespace {
            path.push_str(&format!("?{}", query(&[("ns", namespace)])));
        }
        Target { url: url.clone(), path, tls: tls.clone() }
    }

    /// Asks, and logs in once if it has to.
    async fn get(
        &self,
        target: &Target,
        headers: Vec<(http::HeaderName, HeaderValue)>,
        what: &str,
    ) -> Result<Response<Incoming>, RegistryError> {
        let mut logged_in = false;
        loop {
            let mut headers = headers.clone();
            let login = self.login.lock().clone();
            headers.extend(login.clone().map(|login| (AUTHORIZATION, login)));
            let ask = Ask { method: Method::GET, headers, body: Bytes::new() };
            let (response, url) = self.http.send(target, &ask).await?;
            match response.status() {
                status if status.is_success() => return Ok(response),
                StatusCode::NOT_FOUND => return Err(RegistryError::NotFound { what: what.to_owned() }),
                StatusCode::UNAUTHORIZED => {
                    let challenges = challenge::parse(response.headers().get_all(WWW_AUTHENTICATE));
                    if logged_in {
                        let reason = match server_error(response).await {
                            Some(code) => format!("server message: {code}: authorization failed"),
                            None => "authorization failed".to_owned(),
                        };
                        return Err(RegistryError::Denied { reason });
                    }
                    let login = self.log_in(&challenges).await?;
                    *self.login.lock() = Some(login);
                    logged_in = true;
                }
                status => {
                    let detail = match server_error(response).await {
                        Some(code) => format!(": {code}"),
                        None => String::new(),
                    };
                    return Err(RegistryError::Status { method: "GET", url, status, detail });
                }
            }
        }
    }

    async fn log_in(&self, challenges: &[Challenge]) -> Result<HeaderValue, RegistryError> {
        let denied = |reason: &str| RegistryError::Denied { reason: reason.to_owned() };
        let challenge = challenges.first().ok_or_else(|| denied("authorization failed"))?;
        match (challenge, &self.endpoint.auth) {
            (Challenge::Bearer { .. }, Some(Auth::RegistryToken(token))) => secret(&format!("Bearer {}", token.0)),
            (Challenge::Bearer { realm, service, scope }, _) => self.fetch_token(realm, service, scope).await,
            (Challenge::Basic, Some(Auth::Basic { username, password })) => secret(&basic(username, &password.0)),
            (Challenge::Basic, _) => Err(denied("authorization failed: no basic auth credentials")),
        }
    }

    /// The token flow of the distribution specification: by `GET` with user and password or anonymously, by `POST` with an identity token.
    async fn fetch_token(&self, realm: &str, service: &str, scope: &str) -> Result<HeaderValue, RegistryError> {
        let scope = match scope {
            "" => format!("repository:{}:pull", self.endpoint.repository),
            scope => scope.to_owned(),
        };
        let auth = self.endpoint.auth.as_ref();
        let kind = if auth.is_some() { "oauth" } else { "anonymous" };
        let failed =
            |reason: String| RegistryError::Token { reason: format!("failed to fetch {kind} token: {reason}") };
        let (base, path) = split_realm(realm).ok_or_else(|| failed(format!("invalid token server {realm:?}")))?;
        let separator = if path.contains('?') { '&' } else { '?' };
        let tls = if base.authority() == self.endpoint.url.authority() {
            self.endpoint.tls.clone()
        } else {
            super::registries::Tls {
                insecure_skip_verify: self.endpoint.tls.insecure_skip_verify,
                ..Default::default()
            }
        };
        let mut pairs = Vec::new();
        if !service.is_empty() {
            pairs.push(("service", service));
        }
        pairs.extend(scope.split(' ').map(|scope| ("scope", scope)));
        let (target, ask) = match auth {
            Some(Auth::IdentityToken(token)) => {
                let mut fields = vec![("grant_type", "refresh_token"), ("service", service), ("client_id", "skiff")];
                fields.extend([("scope", scope.as_str()), ("refresh_token", token.0.as_str())]);
                let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
                let ask = Ask {
                    method: Method::POST,
                    headers: vec![(CONTENT_TYPE, content_type)],
                    body: form(&fields).into(),
                };
                (Target { url: base, path, tls }, ask)
            }
            _ => {
                let mut headers = Vec::new();
                if let Some(Auth::Basic { username, password }) = auth {
                    pairs.insert(0, ("account", username));
                    headers.push((AUTHORIZATION, secret(&basic(username, &password.0))?));
                }
                let path = format!("{path}{separator}{}", query(&pairs));
                (Target { url: base, path, tls }, Ask { method: Method::GET, headers, body: Bytes::new() })
            }
        };
        let (response, url) = self.http.send(&target, &ask).await.map_err(|error| failed(error.to_string()))?;
        let status = response.status();
        if !status.is_success() {
            return Err(failed(format!("unexpected status from {} request to {url}: {status}", ask.method)));
        }
        let body = read_body(response, TOKEN_BYTES_MAX).await.map_err(&failed)?;
        let answer: TokenAnswer =
            serde_json::from_slice(&body).map_err(|_| failed("unable to decode token response".into()))?;
        let token = [answer.token, answer.access_token].into_iter().flatten().find(|token| !token.is_empty());
        secret(&format!(
            "Bearer {}",
            token.ok_or_else(|| failed("authorization server did not include a token in the response".into()))?
        ))
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

fn unread(target: &Target, reason: String) -> RegistryError {
    RegistryError::Http(HttpError::Unreachable { method: "Get", url: target.text(), reason })
}

fn split_realm(realm: &str) -> Option<(Url, String)> {
    let (scheme, rest) = realm.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let url = Url::parse(&format!("{scheme}://{authority}")).ok()?;
    Some((url, if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }))
}

fn basic(username: &str, password: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}")))
}

/// A header that is not shown in logs.
fn secret(value: &str) -> Result<HeaderValue, RegistryError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| RegistryError::Token {
        reason: "the credentials contain characters that no header can hold".into(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What a registry says about its refusal.
async fn server_error(response: Response<Incoming>) -> Option<String> {
    let said = response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if let Some(at) = said.as_deref().and_then(|said| said.find("error=\"")) {
        let said = said.unwrap_or_default();
        return said[at + 7..].split('"').next().map(str::to_owned);
    }
    let body = read_body(response, ERROR_BYTES_MAX).await.ok()?;
    let first = serde_json::from_slice::<Errors>(&body).ok()?.errors.into_iter().next()?;
    let said = [first.code.to_lowercase(), first.message].into_iter().filter(|part| !part.is_empty());
    Some(said.collect::<Vec<_>>().join(": ")).filter(|said| !said.is_empty())
}
