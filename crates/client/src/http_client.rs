//! A client of one HTTP server that is no API server, such as a webhook.

use bytes::Bytes;
use component_base::Supervisor;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};

use crate::https::{ServerUrl, TlsSettings, client_config};
use crate::rest::Connections;

/// The largest answer that is read: as much as upstream's API server takes of a request.
const ANSWER_MAX: usize = 3 << 20;

/// A client of one server. Connections are kept for the next request.
#[derive(Debug)]
pub struct HttpClient {
    authority: String,
    connections: Connections,
}

impl HttpClient {
    /// A client of `server`, which is dialled at `dial` (`host:port`) if that is another place.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the settings.
    pub fn new(
        server: &ServerUrl,
        dial: Option<&str>,
        tls: &TlsSettings,
        supervisor: Supervisor,
    ) -> Result<Self, String> {
        let config = server.https.then(|| client_config(tls)).transpose()?;
        let place = match dial {
            Some(place) => ServerUrl::parse(place, server.https)?,
            None => server.clone(),
        };
        let name = tls.server_name.clone().or_else(|| Some(server.host.clone()));
        let connections = Connections::new(place, config.map(Into::into), name, supervisor);
        Ok(Self { authority: server.authority.clone(), connections })
    }

    /// Sends a request, whose body may be a stream and whose answer may switch to another protocol. Its URI is a path,
    /// and its headers are complete. An error is a sentence in Go's words.
    pub async fn send<B>(&self, request: Request<B>) -> Result<Response<Incoming>, String>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        self.connections.send_upgrade(request).await
    }

    /// Posts JSON to `path`, which may have a query; gives the answer's status and body. An error is a sentence in Go's
    /// words.
    pub async fn post_json(&self, path: &str, body: Vec<u8>) -> Result<(u16, Bytes), String> {
        let request = Request::post(path)
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let response = self.connections.send(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes()))
    }
}
