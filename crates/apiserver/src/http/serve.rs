//! Accepts TLS connections and serves HTTP/1.1 and HTTP/2 on them until the shutdown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::UserInfo;
use component_base::Supervisor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::service::serve_request;
use crate::authentication::certificate_user;
use crate::server::ApiServer;

/// Connections at once. Each takes some tens of KiB; a cluster of a thousand nodes needs a few thousand.
const CONNECTIONS_MAX: usize = 16_384;
/// How long a client may take for its TLS handshake and its request head.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams at once on one HTTP/2 connection, as upstream's default allows.
const HTTP2_STREAMS_MAX: u32 = 250;

/// What the server shows to clients, and by which authority it knows theirs. PEM.
#[derive(Clone)]
pub struct TlsFiles {
    /// The server's certificate chain.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
    /// The authority of client certificates.
    pub client_ca: Vec<u8>,
}

impl std::fmt::Debug for TlsFiles {
    /// The key stays out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsFiles").finish_non_exhaustive()
    }
}

/// Makes TLS sessions.
#[derive(Clone)]
pub struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

impl Acceptor {
    /// An acceptor from PEM texts.
    pub fn new(files: &TlsFiles) -> io::Result<Self> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("the {what} is not valid PEM"));
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&files.certificate).collect();
        let chain = chain.map_err(|_| invalid("server certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&files.key).map_err(|_| invalid("server key"))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&files.client_ca) {
            let certificate = certificate.map_err(|_| invalid("client CA"))?;
            roots.add(certificate).map_err(io::Error::other)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(io::Error::other)?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

/// Serves `server` on `listener` until the supervisor shuts down; requests in flight are finished.
pub async fn serve(server: Arc<ApiServer>, listener: TcpListener, acceptor: Acceptor, supervisor: Supervisor) {
    let shutdown = supervisor.shutdown();
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = slots.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            biased;
            () = shutdown.requested() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or a client that is gone already: the listener itself is fine.
                tracing::warn!(error = %error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let (server, acceptor, connection) = (server.clone(), acceptor.clone(), supervisor.clone());
        supervisor.spawn("api-connection", async move {
            if let Err(error) = serve_connection(server, stream, peer, acceptor, connection).await {
                tracing::debug!(peer = %peer, error = %error, "connection ended");
            }
            drop(permit);
        });
    }
}

async fn serve_connection(
    server: Arc<ApiServer>,
    stream: TcpStream,
    _peer: SocketAddr,
    acceptor: Acceptor,
    supervisor: Supervisor,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.0.accept(stream)).await??;
    let certificate: Option<Arc<UserInfo>> = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .and_then(|leaf| certificate_user(leaf))
        .map(Arc::new);
    let shutdown = supervisor.shutdown();
    let watching = shutdown.clone();
    let service = service_fn(move |request| {
        let (server, certificate, shutdown) = (server.clone(), certificate.clone(), watching.clone());
        async move { Ok::<_, std::convert::Infallible>(serve_request(server, certificate, shutdown, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(HTTP2_STREAMS_MAX);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return result,
        () = shutdown.requested() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
