//! Connections to API servers: names, TCP and TLS. What is spoken over them is [`crate::rest`]'s job.

mod names;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::gotext::io_error;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) use tls::{client_config, failure_text};

/// How long one address may take to answer: Go's dialer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// From the connection to the end of the TLS handshake: client-go's.
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Speaks TLS to the server `name` over a stream that is there already; an error is a sentence in Go's words.
pub async fn secure<S: AsyncRead + AsyncWrite + Send + Unpin>(
    stream: S,
    settings: &TlsSettings,
    name: &str,
) -> Result<TlsStream<S>, String> {
    let config = Arc::new(client_config(settings)?);
    let server = settings.server_name.as_deref().unwrap_or(name);
    handshake(stream, &config, server, name).await
}

async fn handshake<S: AsyncRead + AsyncWrite + Send + Unpin>(
    stream: S,
    config: &Arc<ClientConfig>,
    server: &str,
    shown: &str,
) -> Result<TlsStream<S>, String> {
    let server = ServerName::try_from(server.to_owned()).map_err(|error| error.to_string())?;
    match timeout(TLS_HANDSHAKE_TIMEOUT, TlsConnector::from(config.clone()).connect(server, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(failure_text(&error, shown)),
        Err(_) => Err("net/http: TLS handshake timeout".to_owned()),
    }
}

/// Something that is not printed by `Debug`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret<T>(pub T);

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// Whether it speaks TLS.
    pub https: bool,
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What comes before the API's paths: empty, or a path without a slash at its end.
    pub path: String,
    /// Host and port as written, for messages.
    pub authority: String,
}

impl ServerUrl {
    /// Reads a URL, or a bare `host:port`, which means TLS if `secure`.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str, secure: bool) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme, rest),
            None => (if secure { "https" } else { "http" }, text),
        };
        let https = match scheme {
            "https" => true,
            "http" => false,
            other => return Err(format!("unsupported protocol scheme {other:?}")),
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let bad = || format!("host must be a URL or a host:port pair: {text:?}");
        let (host, port) = match authority.strip_prefix('[') {
            Some(literal) => {
                let (host, after) = literal.split_once(']').ok_or_else(bad)?;
                (host, after.strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() {
            return Err(bad());
        }
        let port = match port.filter(|port| !port.is_empty()) {
            Some(port) => port.parse().map_err(|_| bad())?,
            None if https => 443,
            None => 80,
        };
        Ok(Self {
            https,
            host: host.to_owned(),
            port,
            path: path.trim_end_matches('/').to_owned(),
            authority: authority.to_owned(),
        })
    }

    /// The scheme and authority: `https://10.0.0.1:6443`, then the path.
    pub fn text(&self) -> String {
        format!("{}://{}{}", if self.https { "https" } else { "http" }, self.authority, self.path)
    }
}

/// How the server is known, and how it knows the client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// The authorities as PEM; the machine's where there are none.
    pub ca: Option<Vec<u8>>,
    /// Any certificate will do.
    pub insecure_skip_verify: bool,
    /// The name in the server's certificate, where it isn't the URL's host.
    pub server_name: Option<String>,
    /// The client's certificate and its key as PEM.
    pub client: Option<(Vec<u8>, Secret<Vec<u8>>)>,
}

/// A byte stream to a server.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Connects; an error is a sentence in Go's words.
pub(crate) async fn connect(
    server: &ServerUrl,
    tls: Option<(&Arc<ClientConfig>, Option<&str>)>,
) -> Result<Box<dyn Connection>, String> {
    let stream = connect_tcp(&server.host, server.port).await?;
    let Some((config, name)) = tls else { return Ok(Box::new(stream)) };
    let name = name.unwrap_or(&server.host);
    let stream = handshake(stream, config, name, name).await?;
    Ok(Box::new(stream))
}

/// Connects to the first of a host's addresses that answers; tells of the first that did not.
pub(crate) async fn connect_tcp(host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses = names::addresses(host).await.map_err(|reason| format!("dial tcp: {reason}"))?;
    let mut first = None;
    for address in addresses {
        let address = std::net::SocketAddr::new(address, port);
        let reason = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Requests are small and waited for.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => format!("connect: {}", io_error(&error)),
            Err(_) => "i/o timeout".to_owned(),
        };
        first.get_or_insert(format!("dial tcp {address}: {reason}"));
    }
    Err(first.unwrap_or_else(|| format!("dial tcp: lookup {host}: no such host")))
}

#[cfg(test)]
mod tests;
