//! The sockets: datagrams and streams come in, each query is answered by a task of its own, of which there are only so
//! many.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use client::Informers;
use component_base::{Clock, Supervisor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::answer::Zone;
use crate::forward::Forwarder;
use crate::resolver::{Protocol, Resolver, Step, encode};
use crate::view::InformerView;

/// What cluster DNS is given.
#[derive(Debug)]
pub struct DnsConfig {
    /// Addresses to serve, each by datagram and by stream. Port 0 chooses one, the same for both.
    pub listen: Vec<SocketAddr>,
    /// The cluster's domain, as `cluster.local`.
    pub cluster_domain: String,
    /// Who is asked about other domains; without one these questions are refused.
    pub forwarder: Option<Arc<dyn Forwarder>>,
    /// Local copies of Services, EndpointSlices and Namespaces.
    pub informers: Informers,
    /// Wall time, for the zone's serial.
    pub clock: Arc<dyn Clock>,
    /// Runs the tasks.
    pub supervisor: Supervisor,
}

/// Running cluster DNS; it ends with its supervisor.
#[derive(Debug, Clone)]
pub struct DnsHandle {
    addresses: Vec<SocketAddr>,
}

impl DnsHandle {
    /// The addresses served, in the order of [`DnsConfig::listen`], with the ports that were chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// Why cluster DNS did not start.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The cluster's domain is no domain name.
    #[error("{domain:?} is no domain name; name one as cluster.local")]
    Domain {
        /// What was given.
        domain: String,
    },
    /// An address can't be served.
    #[error("failed to listen for DNS on {address}/{protocol}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// `udp` or `tcp`.
        protocol: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Streams that are open at once.
const STREAMS_MAX: usize = 256;
/// How long a stream may be silent; RFC 7766 asks for "a few seconds", CoreDNS has ten.
const STREAM_IDLE: Duration = Duration::from_secs(10);
/// The largest query that is read: longer ones than a question and its options need are refused as malformed.
const QUERY_MAX: usize = 4096;
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a port for both protocols is looked for when any will do.
const PORT_TRIES: usize = 16;

/// Opens the sockets and serves them. Call it inside a tokio runtime. Queries that come before the informers have their
/// first lists wait in the sockets.
///
/// # Errors
/// See [`DnsError`].
pub fn start(config: DnsConfig) -> Result<DnsHandle, DnsError> {
    let DnsConfig { listen, cluster_domain, forwarder, informers, clock, supervisor } = config;
    let zone = Zone::new(&cluster_domain).ok_or(DnsError::Domain { domain: cluster_domain })?;
    let mut sockets = Vec::new();
    for address in listen {
        sockets.push(bind(address)?);
    }
    let view = InformerView::new(&informers);
    let resolver = Arc::new(Resolver::new(zone, Arc::new(view.clone()), forwarder, clock));
    let mut addresses = Vec::new();
    for (address, datagrams, streams) in sockets {
        addresses.push(address);
        let (resolver_, view_, tasks) = (resolver.clone(), view.clone(), supervisor.clone());
        supervisor.spawn_until_shutdown(format!("dns-udp-{address}"), async move {
            view_.synced().await;
            serve_datagrams(Arc::new(datagrams), resolver_, tasks).await;
        });
        let (resolver_, view_, tasks) = (resolver.clone(), view.clone(), supervisor.clone());
        supervisor.spawn_until_shutdown(format!("dns-tcp-{address}"), async move {
            view_.synced().await;
            serve_streams(streams, resolver_, tasks).await;
        });
    }
    Ok(DnsHandle { addresses })
}

/// Both sockets of an address, and the address with its port.
fn bind(address: SocketAddr) -> Result<(SocketAddr, UdpSocket, TcpListener), DnsError> {
    let failed = |protocol| move |source| DnsError::Listen { address, protocol, source };
    let mut tries = if address.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let datagrams = std::net::UdpSocket::bind(address).map_err(failed("udp"))?;
        let chosen = datagrams.local_addr().map_err(failed("udp"))?;
        let streams = match std::net::TcpListener::bind(chosen) {
            Ok(streams) => streams,
            Err(error) if tries > 0 && error.kind() == io::ErrorKind::AddrInUse => continue,
            Err(error) => return Err(failed("tcp")(error)),
        };
        datagrams.set_nonblocking(true).map_err(failed("udp"))?;
        streams.set_nonblocking(true).map_err(failed("tcp"))?;
        let datagrams = UdpSocket::from_std(datagrams).map_err(failed("udp"))?;
        let streams = TcpListener::from_std(streams).map_err(failed("tcp"))?;
        return Ok((chosen, datagrams, streams));
    }
}

async fn serve_datagrams(socket: Arc<UdpSocket>, resolver: Arc<Resolver>, tasks: Supervisor) {
    let mut buffer = vec![0; QUERY_MAX];
    loop {
        let (length, peer) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // The kernel reports here that an earlier reply could not be delivered.
            Err(error) => {
                tracing::debug!(error = %error, "a datagram could not be received");
                continue;
            }
        };
        match resolver.begin(&buffer[..length]) {
            Step::Ignore => {}
            Step::Done(reply) => send(&socket, &encode(reply, Protocol::Datagram), peer).await,
            Step::Ask(pending) => {
                let (socket, resolver) = (socket.clone(), resolver.clone());
                tasks.spawn_until_shutdown("dns-forward", async move {
                    let reply = resolver.finish(pending).await;
                    send(&socket, &encode(reply, Protocol::Datagram), peer).await;
                });
            }
        }
    }
}

async fn send(socket: &UdpSocket, reply: &[u8], peer: SocketAddr) {
    if let Err(error) = socket.send_to(reply, peer).await {
        tracing::debug!(%peer, error = %error, "a reply could not be sent");
    }
}

async fn serve_streams(listener: TcpListener, resolver: Arc<Resolver>, tasks: Supervisor) {
    let slots = Arc::new(Semaphore::new(STREAMS_MAX));
    while let Ok(slot) = slots.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let resolver = resolver.clone();
                tasks.spawn_until_shutdown("dns-stream", async move {
                    if let Err(error) = serve_stream(stream, &resolver).await {
                        tracing::debug!(error = %error, "a stream ended");
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(error = %error, "failed to accept a DNS stream");
                // Descriptors have run out; they come back when other work ends, which nothing tells of.
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_stream(mut stream: TcpStream, resolver: &Resolver) -> io::Result<()> {
    loop {
        let query = match timeout(STREAM_IDLE, read_message(&mut stream, QUERY_MAX)).await {
            Ok(Ok(query)) => query,
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(()),
        };
        let reply = match resolver.begin(&query) {
            Step::Ignore => return Ok(()),
            Step::Done(reply) => reply,
            Step::Ask(pending) => resolver.finish(pending).await,
        };
        let reply = encode(reply, Protocol::Stream);
        let length = u16::try_from(reply.len()).map_err(|_| io::ErrorKind::InvalidData)?;
        timeout(STREAM_IDLE, stream.write_all(&[&length.to_be_bytes(), &reply[..]].concat())).await??;
    }
}

async fn read_message(stream: &mut TcpStream, length_max: usize) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > length_max {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

#[cfg(test)]
mod tests;
