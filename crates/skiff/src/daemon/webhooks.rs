//! The way to admission webhooks: HTTPS from the node's network, where Services and Pods are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use admission::{Endpoint, WebhookTransport};
use async_trait::async_trait;
use client::{HttpClient, ServerUrl, TlsSettings};
use component_base::Supervisor;
use parking_lot::Mutex;

/// Servers whose connections are kept. When there are more, all are dialled anew: a cluster has a handful.
const CLIENTS_MAX: usize = 64;

/// Keeps a client for each server.
#[derive(Debug)]
pub(crate) struct HttpsWebhooks {
    supervisor: Supervisor,
    clients: Mutex<BTreeMap<Endpoint, Arc<HttpClient>>>,
}

impl HttpsWebhooks {
    pub(crate) fn new(supervisor: Supervisor) -> Self {
        Self { supervisor, clients: Mutex::default() }
    }

    fn client(&self, endpoint: &Endpoint, server: &ServerUrl) -> Result<Arc<HttpClient>, String> {
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(endpoint) {
            return Ok(client.clone());
        }
        let tls = TlsSettings { ca: endpoint.ca.clone(), ..TlsSettings::default() };
        let client = HttpClient::new(server, endpoint.dial.as_deref(), &tls, self.supervisor.clone())?;
        let client = Arc::new(client);
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        clients.insert(endpoint.clone(), client.clone());
        Ok(client)
    }
}

#[async_trait]
impl WebhookTransport for HttpsWebhooks {
    async fn post(&self, endpoint: &Endpoint, body: Vec<u8>, timeout: Duration) -> Result<Vec<u8>, String> {
        let server = ServerUrl::parse(&endpoint.url, true)?;
        let client = self.client(endpoint, &server)?;
        let path = endpoint.url.splitn(4, '/').nth(3).map_or_else(|| "/".to_owned(), |path| format!("/{path}"));
        match tokio::time::timeout(timeout, client.post_json(&path, body)).await {
            Ok(Ok((200, answer))) => Ok(answer.to_vec()),
            Ok(Ok((status, _))) => Err(format!("the webhook answered with HTTP status {status}")),
            Ok(Err(error)) => Err(error),
            Err(_) => Err("context deadline exceeded".to_owned()),
        }
    }
}
