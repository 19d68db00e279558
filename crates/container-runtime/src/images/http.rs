//! HTTP/1.1 to registries over [`Dial`], with TLS, kept connections and redirects.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use component_base::Supervisor;
use http::header::{AUTHORIZATION, HOST, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::dial::{Connection, Dial, io_text};
use super::registries::{Tls, Url};

/// From the connection to the end of the TLS handshake; Go's default.
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// From the request to the answer's header: registries that fetch from others take their time.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections kept for each registry: as many as layers are pulled at once.
const IDLE_MAX: usize = super::pull::LAYERS_AT_ONCE_MAX;
/// Redirects followed; Go's limit.
const REDIRECTS_MAX: usize = 10;
/// Where distributions keep their certificate authorities, as Go looks for them.
const CA_BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A request that got no answer. The texts are Go's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum HttpError {
    /// Nobody answers, or answers are cut off.
    #[error("{method} {url:?}: {reason}")]
    Unreachable { method: &'static str, url: String, reason: String },
    /// The other side does not speak TLS.
    #[error("{method} {url:?}: {reason}")]
    NotTls { method: &'static str, url: String, reason: String },
    /// The answer makes no sense.
    #[error("{method} {url:?}: {reason}")]
    Answer { method: &'static str, url: String, reason: String },
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) url: Url,
    /// The whole path with its query.
    pub(super) path: String,
    pub(super) tls: Tls,
}

impl Target {
    pub(super) fn text(&self) -> String {
        format!("{}://{}{}", self.url.scheme(), self.url.authority(), self.path)
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) headers: Vec<(http::HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

type Origin = (bool, String, u16, Tls);
type Sender = SendRequest<Full<Bytes>>;

#[derive(Debug)]
pub(super) struct HttpClient {
    dial: Arc<dyn Dial>,
    supervisor: Supervisor,
    /// Made at the first need: reading the authorities takes milliseconds.
    tls: Mutex<HashMap<Tls, Arc<ClientConfig>>>,
    idle: Mutex<HashMap<Origin, Vec<Sender>>>,
}

impl HttpClient {
    pub(super) fn new(dial: Arc<dyn Dial>, supervisor: Supervisor) -> Self {
        Self { dial, supervisor, tls: Mutex::default(), idle: Mutex::default() }
    }

    /// Asks, and follows redirects. Credentials stay with the host they are for. Returns the answer with where it came from.
    pub(super) async fn send(&self, target: &Target, ask: &Ask) -> Result<(Response<Incoming>, String), HttpError> {
        let mut target = target.clone();
        let mut ask = ask.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self.send_once(&target, &ask).await?;
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
                return Ok((response, target.text()));
            }
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let next =
                location.and_then(|location| redirected(&target, location)).ok_or_else(|| HttpError::Answer {
                    method: verb(&ask.method),
                    url: target.text(),
                    reason: format!("{} response missing Location header", response.status().as_u16()),
                })?;
            if next.url.authority() != target.url.authority() {
                ask.headers.retain(|(name, _)| name != AUTHORIZATION);
            }
            target = next;
        }
        let reason = format!("stopped after {REDIRECTS_MAX} redirects");
        Err(HttpError::Answer { method: verb(&ask.method), url: target.text(), reason })
    }

    async fn send_once(&self, target: &Target, ask: &Ask) -> Result<Response<Incoming>, HttpError> {
        let url = &target.url;
        let unreachable =
            |reason: String| HttpError::Unreachable { method: verb(&ask.method), url: target.text(), reason };
        let mut request = Request::builder().method(ask.method.clone()).uri(&target.path).header(HOST, url.authority());
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(ask.body.clone())).map_err(|error| HttpError::Answer {
            method: verb(&ask.method),
            url: target.text(),
            reason: error.to_string(),
        })?;
        let origin = (url.https, url.host.clone(), url.port, target.tls.clone());
        while let Some(mut sender) = self.take_idle(&origin) {
            // A kept connection may have been closed meanwhile: then it is not the registry's fault.
            match timeout(RESPONSE_TIMEOUT, sender.send_request(request.clone())).await {
                Ok(Ok(response)) => {
                    self.keep(origin, sender);
                    return Ok(response);
                }
                Ok(Err(_)) => {}
                Err(_) => return Err(unreachable("timeout awaiting response headers".into())),
            }
        }
        let mut sender = self.connect(target, verb(&ask.method)).await?;
        match timeout(RESPONSE_TIMEOUT, sender.send_request(request)).await {
            Ok(Ok(response)) => {
                self.keep(origin, sender);
                Ok(response)
            }
            Ok(Err(error)) => Err(unreachable(hyper_text(&error))),
            Err(_) => Err(unreachable("timeout awaiting response headers".into())),
        }
    }

    fn take_idle(&self, origin: &Origin) -> Option<Sender> {
        let mut idle = self.idle.lock();
        let senders = idle.get_mut(origin)?;
        senders.retain(|sender| !sender.is_closed());
        // One whose answer is still being read is not ready.
        let ready = senders.iter().position(SendRequest::is_ready)?;
        Some(senders.swap_remove(ready))
    }

    fn keep(&self, origin: Origin, sender: Sender) {
        let mut idle = self.idle.lock();
        let senders = idle.entry(origin).or_default();
        senders.retain(|sender| !sender.is_closed());
        if senders.len() < IDLE_MAX {
            senders.push(sender);
        }
    }

    async fn connect(&self, target: &Target, method: &'static str) -> Result<Sender, HttpError> {
        let unreachable = |reason: String| HttpError::Unreachable { method, url: target.text(), reason };
        let stream =
            self.dial.dial(&target.url.host, target.url.port).await.map_err(|error| unreachable(error.to_string()))?;
        let stream: Box<dyn Connection> = if target.url.https {
            let config = self.tls_config(&target.tls).map_err(&unreachable)?;
            let literal = target.url.host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(literal).map_err(|error| unreachable(error.to_string()))?;
            match timeout(TLS_HANDSHAKE_TIMEOUT, TlsConnector::from(config).connect(name, stream)).await {
                Ok(Ok(stream)) => Box::new(stream),
                Ok(Err(error)) => {
                    return Err(match tls_failure(&error, &target.url.host) {
                        TlsFailure::NotTls(reason) => HttpError::NotTls { method, url: target.text(), reason },
                        TlsFailure::Other(reason) => unreachable(reason),
                    });
                }
                Err(_) => return Err(unreachable("net/http: TLS handshake timeout".into())),
            }
        } else {
            stream
        };
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(hyper_text(&error)))?;
        // Its failures reach whoever waits for the answer.
        self.supervisor.spawn_until_shutdown("registry-connection", async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    fn tls_config(&self, tls: &Tls) -> Result<Arc<ClientConfig>, String> {
        let mut configs = self.tls.lock();
        if let Some(config) = configs.get(tls) {
            return Ok(config.clone());
        }
        let config = Arc::new(tls_config(tls)?);
        configs.insert(tls.clone(), config.clone());
        Ok(config)
    }
}

/// The whole body, if it is not larger than it may be.
pub(super) async fn read_body(response: Response<Incoming>, bytes_max: usize) -> Result<Bytes, String> {
    let body = timeout(RESPONSE_TIMEOUT, Limited::new(response.into_body(), bytes_max).collect()).await;
    match body {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(format!("the answer is larger than {bytes_max} bytes"))
        }
        Ok(Err(error)) => match error.downcast_ref::<hyper::Error>() {
            Some(error) => Err(hyper_text(error)),
            None => Err(error.to_string()),
        },
        Err(_) => Err("timeout while reading the answer".into()),
    }
}

/// How Go names a method in an error.
fn verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "Get",
        Method::HEAD => "Head",
        Method::POST => "Post",
        _ => "Request",
    }
}

pub(super) fn hyper_text(error: &hyper::Error) -> String {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<std::io::Error>() {
            return io_text(error);
        }
        source = inner.source();
    }
    if error.is_incomplete_message() || error.is_canceled() { "unexpected EOF".into() } else { error.to_string() }
}

fn redirected(from: &Target, location: &str) -> Option<Target> {
    if let Some(path) = location.strip_prefix('/').filter(|rest| !rest.starts_with('/')) {
        return Some(Target { path: format!("/{path}"), ..from.clone() });
    }
    let location = match location.strip_prefix("//") {
        Some(rest) => format!("{}://{rest}", from.url.scheme()),
        None => location.to_owned(),
    };
    let (scheme, rest) = location.split_once("://")?;
    let rest = rest.split('#').next()?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let url = Url::parse(&format!("{scheme}://{authority}")).ok()?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    // A registry's own authority and certificate mean nothing to another host.
    let tls = if url.authority() == from.url.authority() { from.tls.clone() } else { Tls::default() };
    Some(Target { url, path, tls })
}

enum TlsFailure {
    NotTls(String),
    Other(String),
}

fn tls_failure(error: &std::io::Error, host: &str) -> TlsFailure {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return TlsFailure::Other(io_text(error));
    };
    let certificate = |reason: &str| TlsFailure::Other(format!("tls: failed to verify certificate: x509: {reason}"));
    match error {
        rustls::Error::InvalidMessage(_) => {
            TlsFailure::NotTls("http: server gave HTTP response to HTTPS client".into())
        }
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer => certificate("certificate signed by unknown authority"),
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => certificate("certificate has expired or is not yet valid"),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                certificate(&format!("certificate is not valid for {host}"))
            }
            other => certificate(&other.to_string()),
        },
        other => TlsFailure::Other(format!("tls: {other}")),
    }
}

fn tls_config(tls: &Tls) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if tls.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    } else {
        let mut roots = RootCertStore::empty();
        for bundle in CA_BUNDLES {
            if let Ok(bundle) = std::fs::read(bundle) {
                roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bundle).flatten());
                break;
            }
        }
        if roots.is_empty() {
            // A machine without any still knows the public authorities.
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for certificate in CertificateDer::pem_slice_iter(tls.ca.as_deref().unwrap_or_default()) {
            let certificate = certificate.map_err(|error| format!("the registry's ca_file: {error}"))?;
            roots.add(certificate).map_err(|error| format!("the registry's ca_file: {error}"))?;
        }
        builder.with_root_certificates(roots)
    };
    let Some((certificate, key)) = &tls.client else { return Ok(builder.with_no_client_auth()) };
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("the registry's cert_file: {error}"))?;
    let key =
        PrivateKeyDer::from_pem_slice(key.0.as_bytes()).map_err(|error| format!("the registry's key_file: {error}"))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| format!("the registry's cert_file: {error}"))
}

/// `insecure_skip_verify`: the operator said that any certificate will do. Signatures are still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
