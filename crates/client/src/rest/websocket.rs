//! WebSockets to the API server: exec, attach, port-forward (upstream: `client-go/transport/websocket`).

use std::io;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

use super::{RestClient, RestError, Streaming};

/// A WebSocket that is open.
#[derive(Debug)]
pub struct WebSocket {
    /// Its messages.
    pub stream: WebSocketStream<TokioIo<Upgraded>>,
    /// The sub-protocol that the server chose; empty if none.
    pub protocol: String,
}

/// A WebSocket as a stream of bytes: the binary messages one after the other. The writer's shutdown is the closing handshake.
pub fn bytes<S>(socket: WebSocketStream<S>) -> (impl AsyncRead + Send + Unpin, impl AsyncWrite + Send + Unpin)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sink, stream) = socket.split();
    let messages = stream.filter_map(|message| {
        std::future::ready(match message {
            Ok(Message::Binary(bytes)) => Some(Ok(bytes)),
            Ok(_) => None,
            Err(error) => Some(Err(io::Error::other(error))),
        })
    });
    let sink = sink
        .sink_map_err(io::Error::other)
        .with(|bytes: Bytes| std::future::ready(Ok::<_, io::Error>(Message::Binary(bytes))));
    (StreamReader::new(messages), SinkWriter::new(CopyToBytes::new(sink)))
}

impl RestClient {
    /// Opens a WebSocket on a connection of its own. `protocols`: sub-protocols, the preferred one first.
    ///
    /// # Errors
    /// No answer; a Status that refuses, as [`RestError::Api`]; any other answer that is no WebSocket handshake, as
    /// [`RestError::Invalid`].
    pub async fn websocket(&self, path_and_query: &str, protocols: &[&str]) -> Result<WebSocket, RestError> {
        let method = Method::GET;
        let key = generate_key();
        let protocols = protocols.join(", ");
        let mut headers = vec![
            (CONNECTION, "Upgrade"),
            (UPGRADE, "websocket"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_KEY, key.as_str()),
        ];
        if !protocols.is_empty() {
            headers.push((SEC_WEBSOCKET_PROTOCOL, protocols.as_str()));
        }
        let request = self.build(method.clone(), path_and_query, &headers, Bytes::new())?;
        let started = Instant::now();
        let deadline = self.inner.config.timeout.map(|timeout| started + timeout);
        let sending = self.inner.connections.send_upgrade(request);
        let response = match deadline {
            Some(deadline) => timeout_at(deadline, sending).await.unwrap_or_else(|_| Err("i/o timeout".to_owned())),
            None => sending.await,
        };
        let mut response = response.map_err(|reason| self.unreachable(&method, path_and_query, reason))?;
        self.observe(&method, path_and_query, &response, started);
        let bad = |what: &str| RestError::Invalid(format!("websocket: {what}"));
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            if response.status().is_success() {
                return Err(bad("bad handshake"));
            }
            let failure = self.unreachable(&method, path_and_query, String::new());
            return Err(Streaming::new(response, deadline, failure).into_upgrade_error().await);
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if header(SEC_WEBSOCKET_ACCEPT) != derive_accept_key(key.as_bytes()) {
            return Err(bad("bad handshake: the server's key does not fit"));
        }
        let protocol = header(SEC_WEBSOCKET_PROTOCOL).to_owned();
        let upgraded = hyper::upgrade::on(&mut response).await.map_err(|error| bad(&error.to_string()))?;
        let stream = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await;
        Ok(WebSocket { stream, protocol })
    }
}
