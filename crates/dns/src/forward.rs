//! Questions about other domains: to the machine's own resolvers.

mod upstream;

pub use upstream::{Sockets, UpstreamForwarder, Upstreams};

use async_trait::async_trait;

/// Asks somebody else.
#[async_trait]
pub trait Forwarder: Send + Sync + std::fmt::Debug {
    /// Answers a query in wire format; the answer, in wire format too, carries the query's id and is whole (a truncated
    /// datagram has been asked for again over a stream).
    ///
    /// # Errors
    /// Nobody answered.
    async fn forward(&self, query: &[u8]) -> Result<Vec<u8>, ForwardError>;
}

/// Why a query could not be forwarded.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// There is nobody to ask.
    #[error("no upstream resolver is known")]
    NoUpstream,
    /// All were asked; this is what the last one said.
    #[error("no upstream resolver answered, the last error was from {server}")]
    NoAnswer {
        /// The resolver.
        server: std::net::SocketAddr,
        /// What happened.
        source: std::io::Error,
    },
    /// The query is none.
    #[error("the query is no DNS message")]
    Query(#[source] hickory_proto::serialize::binary::DecodeError),
}
