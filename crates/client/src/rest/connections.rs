//! Connections to one server, kept for the next request.

use std::sync::Arc;

use apimachinery::gotext::io_error;
use bytes::Bytes;
use component_base::Supervisor;
use http::{Method, Request};
use http_body_util::Full;
use hyper::Response;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ClientConfig;

use crate::https::{self, ServerUrl};

/// Connections that wait for a request. More are made where requests run at once, and closed afterwards.
const IDLE_MAX: usize = 8;

type Sender = SendRequest<Full<Bytes>>;

#[derive(Debug)]
pub(crate) struct Connections {
    server: ServerUrl,
    tls: Option<Arc<ClientConfig>>,
    server_name: Option<String>,
    supervisor: Supervisor,
    idle: Mutex<Vec<Sender>>,
}

impl Connections {
    pub(crate) fn new(
        server: ServerUrl,
        tls: Option<Arc<ClientConfig>>,
        server_name: Option<String>,
        supervisor: Supervisor,
    ) -> Self {
        Self { server, tls, server_name, supervisor, idle: Mutex::default() }
    }

    /// Sends over a kept connection or a new one, and waits for the answer's header. An error is a sentence.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        while let Some(mut sender) = self.take_idle() {
            match sender.send_request(request.clone()).await {
                Ok(response) => {
                    self.keep(sender);
                    return Ok(response);
                }
                // The server closed a connection that nobody used: nothing was done yet, or may be done twice.
                Err(error) if error.is_canceled() || *request.method() == Method::GET => {}
                Err(error) => return Err(hyper_text(&error)),
            }
        }
        let mut sender = self.open(false).await?;
        let response = sender.send_request(request).await.map_err(|error| hyper_text(&error))?;
        self.keep(sender);
        Ok(response)
    }

    /// Sends over a connection of its own, which may then speak another protocol.
    pub(crate) async fn send_upgrade<B>(&self, request: Request<B>) -> Result<Response<Incoming>, String>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let mut sender = self.open(true).await?;
        sender.send_request(request).await.map_err(|error| hyper_text(&error))
    }

    fn take_idle(&self) -> Option<Sender> {
        let mut idle = self.idle.lock();
        idle.retain(|sender| !sender.is_closed());
        // One whose answer is still being read is not ready.
        let ready = idle.iter().position(SendRequest::is_ready)?;
        Some(idle.swap_remove(ready))
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock();
        idle.retain(|sender| !sender.is_closed());
        if idle.len() < IDLE_MAX {
            idle.push(sender);
        }
    }

    async fn open<B>(&self, upgrades: bool) -> Result<SendRequest<B>, String>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let tls = self.tls.as_ref().map(|config| (config, self.server_name.as_deref()));
        let stream = https::connect(&self.server, tls).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| hyper_text(&error))?;
        // Failures reach whoever waits for the answer.
        self.supervisor.spawn_until_shutdown("api-connection", async move {
            let _ = if upgrades { connection.with_upgrades().await } else { connection.await };
        });
        Ok(sender)
    }
}

/// What failed below hyper, in Go's words.
pub(super) fn hyper_text(error: &hyper::Error) -> String {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<std::io::Error>() {
            // A server that does not like the client's certificate says so in the first answer.
            return https::failure_text(error, "").replace("tls: tls:", "tls:");
        }
        source = inner.source();
    }
    if error.is_incomplete_message() || error.is_canceled() { "EOF".into() } else { io_text_of(error) }
}

fn io_text_of(error: &hyper::Error) -> String {
    match error.is_closed() {
        true => io_error(&std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
        false => error.to_string(),
    }
}
