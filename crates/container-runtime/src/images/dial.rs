//! Connections to registries.
//!
//! A node lives in namespaces of its own, while registries, proxies and resolvers are the host's. So sockets come from whoever makes
//! the store ([`Sockets`]), and names are resolved here: a static executable has no resolver of the system's.

mod resolve;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use resolve::{Hosts, ResolverConfig};

/// How long one address may take to answer, as Go's dialer in containerd.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A byte stream to a registry.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A host can't be reached. Reads like Go's errors, which users know from `kubectl describe`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dial tcp{target}: {reason}")]
pub struct DialError {
    /// The address, with a space before it; empty if there is none.
    pub target: String,
    /// Why.
    pub reason: String,
}

/// Opens connections by host name.
#[async_trait]
pub trait Dial: Send + Sync + fmt::Debug {
    /// Connects to a host by name or address.
    ///
    /// # Errors
    /// The name can't be resolved, or no address answers.
    async fn dial(&self, host: &str, port: u16) -> Result<Box<dyn Connection>, DialError>;
}

/// Opens sockets in the network that registries are reached from.
#[async_trait]
pub trait Sockets: Send + Sync + fmt::Debug {
    /// A connection.
    ///
    /// # Errors
    /// Those of `socket` and `connect`.
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream>;

    /// A datagram socket that sends to and receives from this address.
    ///
    /// # Errors
    /// Those of `socket`, `bind` and `connect`.
    async fn datagram(&self, address: SocketAddr) -> io::Result<UdpSocket>;
}

/// Sockets of the process' own network.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalSockets;

#[async_trait]
impl Sockets for LocalSockets {
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }

    async fn datagram(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        Ok(socket)
    }
}

/// Resolves names by `hosts` and `resolv.conf`, both read anew for each connection, and connects to the first address that answers.
#[derive(Debug, Clone)]
pub struct TcpDial {
    sockets: Arc<dyn Sockets>,
    hosts: PathBuf,
    resolv_conf: PathBuf,
}

impl TcpDial {
    /// With the machine's `/etc/hosts` and `/etc/resolv.conf`.
    pub fn new(sockets: Arc<dyn Sockets>) -> Self {
        Self::with_files(sockets, "/etc/hosts".into(), "/etc/resolv.conf".into())
    }

    /// With these files.
    pub fn with_files(sockets: Arc<dyn Sockets>, hosts: PathBuf, resolv_conf: PathBuf) -> Self {
        Self { sockets, hosts, resolv_conf }
    }

    async fn addresses(&self, host: &str) -> Result<Vec<std::net::IpAddr>, String> {
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = literal.parse() {
            return Ok(vec![address]);
        }
        // A missing file is an empty one, as for the system's resolver.
        let found = Hosts::parse(&tokio::fs::read_to_string(&self.hosts).await.unwrap_or_default()).find(host);
        if !found.is_empty() {
            return Ok(found);
        }
        let config = ResolverConfig::parse(&tokio::fs::read_to_string(&self.resolv_conf).await.unwrap_or_default());
        resolve::lookup(&*self.sockets, &config, host).await
    }
}

#[async_trait]
impl Dial for TcpDial {
    async fn dial(&self, host: &str, port: u16) -> Result<Box<dyn Connection>, DialError> {
        let unresolved = |reason| DialError { target: String::new(), reason };
        let addresses = self.addresses(host).await.map_err(unresolved)?;
        let mut first_error = None;
        for address in addresses {
            let address = SocketAddr::new(address, port);
            let reason = match timeout(CONNECT_TIMEOUT, self.sockets.connect(address)).await {
                Ok(Ok(stream)) => {
                    // Requests are small and waited for.
                    let _ = stream.set_nodelay(true);
                    return Ok(Box::new(stream));
                }
                Ok(Err(error)) => format!("connect: {}", io_text(&error)),
                Err(_) => "i/o timeout".to_owned(),
            };
            first_error.get_or_insert(DialError { target: format!(" {address}"), reason });
        }
        Err(first_error.unwrap_or_else(|| unresolved(format!("lookup {host}: no such host"))))
    }
}

/// The words of Go's `syscall.Errno`.
pub(crate) fn io_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".into(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".into(),
        io::ErrorKind::HostUnreachable => "no route to host".into(),
        io::ErrorKind::TimedOut => "connection timed out".into(),
        io::ErrorKind::UnexpectedEof => "unexpected EOF".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::NotFound => "no such file or directory".into(),
        io::ErrorKind::IsADirectory => "is a directory".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
