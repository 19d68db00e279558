//! The resolvers that `resolv.conf` names, asked over sockets that somebody else opens.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use component_base::Random;
use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::{ForwardError, Forwarder};

/// How long one resolver has, by datagram and by stream each; CoreDNS' read timeout.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Resolvers that are used, as in the C library.
const SERVERS_MAX: usize = 3;
/// Where resolvers listen.
const PORT: u16 = 53;
/// The largest datagram.
const DATAGRAM_MAX: usize = 65_535;

/// Opens sockets in the network that the resolvers are reached from.
#[async_trait]
pub trait Sockets: Send + Sync + std::fmt::Debug {
    /// A connection.
    ///
    /// # Errors
    /// Those of `socket` and `connect`.
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream>;

    /// A datagram socket that sends to and receives from this address alone.
    ///
    /// # Errors
    /// Those of `socket`, `bind` and `connect`.
    async fn datagram(&self, address: SocketAddr) -> io::Result<UdpSocket>;
}

/// Whose network [`Sockets`] opens sockets in: this decides what a loopback address in `resolv.conf` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstreams {
    /// The host's: `127.0.0.53` and its like are the host's own resolvers.
    Host,
    /// That of this process: a loopback address would lead back here.
    Own,
}

impl Upstreams {
    /// The resolvers that the text of a `resolv.conf` names, without those that would lead back to `served`, the addresses
    /// of cluster DNS itself.
    pub fn servers(self, resolv_conf: &str, served: &[SocketAddr]) -> Vec<SocketAddr> {
        let mut servers = Vec::new();
        for line in resolv_conf.lines() {
            let mut words = line.split_whitespace();
            let Some(address) = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next()) else {
                continue;
            };
            let Ok(address) = address.parse::<IpAddr>() else { continue };
            let server = SocketAddr::new(address, PORT);
            let loops =
                served.contains(&server) || (self == Self::Own && (address.is_loopback() || address.is_unspecified()));
            if !loops && !servers.contains(&server) {
                servers.push(server);
            }
        }
        servers.truncate(SERVERS_MAX);
        servers
    }
}

/// Asks the resolvers one after the other, first the one that answered last.
#[derive(Debug)]
pub struct UpstreamForwarder {
    servers: Vec<SocketAddr>,
    sockets: Arc<dyn Sockets>,
    random: Arc<Random>,
    preferred: AtomicUsize,
}

impl UpstreamForwarder {
    /// Asks these servers, in this order.
    pub fn new(servers: Vec<SocketAddr>, sockets: Arc<dyn Sockets>, random: Arc<Random>) -> Self {
        Self { servers, sockets, random, preferred: AtomicUsize::new(0) }
    }

    async fn ask(&self, server: SocketAddr, query: &[u8], asked: &Message) -> io::Result<Vec<u8>> {
        let by_datagram = timeout(TIMEOUT, self.by_datagram(server, query, asked)).await;
        match by_datagram.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))? {
            (reply, false) => Ok(reply),
            (_, true) => {
                let by_stream = timeout(TIMEOUT, self.by_stream(server, query, asked)).await;
                by_stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// The reply and whether it is truncated.
    async fn by_datagram(&self, server: SocketAddr, query: &[u8], asked: &Message) -> io::Result<(Vec<u8>, bool)> {
        let socket = self.sockets.datagram(server).await?;
        socket.send(query).await?;
        let mut buffer = vec![0; DATAGRAM_MAX];
        loop {
            let length = socket.recv(&mut buffer).await?;
            // Anything else is late, forged or broken: the true reply may still come.
            if let Some(reply) = reply_to(asked, &buffer[..length]) {
                return Ok((buffer[..length].to_vec(), reply.metadata.truncation));
            }
        }
    }

    async fn by_stream(&self, server: SocketAddr, query: &[u8], asked: &Message) -> io::Result<Vec<u8>> {
        let mut stream = self.sockets.connect(server).await?;
        let length = u16::try_from(query.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
        let mut reply = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut reply).await?;
        reply_to(asked, &reply).map(|_| ()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(reply)
    }
}

/// The message, if it answers the one that was sent.
fn reply_to(asked: &Message, bytes: &[u8]) -> Option<Message> {
    let reply = Message::from_vec(bytes).ok()?;
    let ours = reply.metadata.id == asked.metadata.id
        && reply.metadata.message_type == hickory_proto::op::MessageType::Response
        && reply.queries == asked.queries;
    ours.then_some(reply)
}

#[async_trait]
impl Forwarder for UpstreamForwarder {
    async fn forward(&self, query: &[u8]) -> Result<Vec<u8>, ForwardError> {
        let mut asked = Message::from_vec(query).map_err(ForwardError::Query)?;
        let mut query = query.to_vec();
        // An id that the client did not choose: it is half of what a forger must guess.
        let id = self.random.next_u64().to_be_bytes();
        let (own, theirs) = ([id[0], id[1]], [query[0], query[1]]);
        query[..2].copy_from_slice(&own);
        asked.metadata.id = u16::from_be_bytes(own);
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = ForwardError::NoUpstream;
        for offset in 0..self.servers.len() {
            let index = (first + offset) % self.servers.len();
            let server = self.servers[index];
            match self.ask(server, &query, &asked).await {
                Ok(mut reply) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    reply[..2].copy_from_slice(&theirs);
                    return Ok(reply);
                }
                Err(source) => last = ForwardError::NoAnswer { server, source },
            }
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests;
