//! The way to what is behind Services: admission webhooks and other API servers. HTTPS from the node's network, where
//! Services and Pods are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use admission::{Endpoint, WebhookTransport};
use apiserver::{RemoteBody, RemoteServer, RemoteServers};
use async_trait::async_trait;
use client::{HttpClient, Secret, ServerUrl, TlsSettings};
use component_base::Supervisor;
use http::{Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;

use crate::pki::Identity;

/// Servers whose clients are kept. When there are more, all are made anew: a cluster has a handful.
const CLIENTS_MAX: usize = 64;

/// What one client is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Peer {
    Webhook(Endpoint),
    ApiServer(RemoteServer),
}

/// Keeps a client for each server.
#[derive(Debug)]
pub(crate) struct ServiceClients {
    supervisor: Supervisor,
    /// What API servers know this one by.
    front_proxy: (Vec<u8>, Secret<Vec<u8>>),
    clients: Mutex<BTreeMap<Peer, Arc<HttpClient>>>,
}

impl Peer {
    /// Its URL, where it is dialled if elsewhere, and how the two know each other.
    fn settings(
        &self,
        front_proxy: &(Vec<u8>, Secret<Vec<u8>>),
    ) -> Result<(ServerUrl, Option<&str>, TlsSettings), String> {
        Ok(match self {
            Self::Webhook(endpoint) => {
                let tls = TlsSettings { ca: endpoint.ca.clone(), ..TlsSettings::default() };
                (ServerUrl::parse(&endpoint.url, true)?, endpoint.dial.as_deref(), tls)
            }
            Self::ApiServer(server) => {
                let tls = TlsSettings {
                    ca: server.ca.clone(),
                    insecure_skip_verify: server.insecure,
                    client: Some(front_proxy.clone()),
                    ..TlsSettings::default()
                };
                (ServerUrl::parse(&server.name, true)?, Some(&server.address), tls)
            }
        })
    }
}

impl ServiceClients {
    pub(crate) fn new(supervisor: Supervisor, front_proxy: &Identity) -> Self {
        let Identity { certificate, key } = front_proxy;
        let front_proxy = (certificate.clone().into_bytes(), Secret(key.clone().into_bytes()));
        Self { supervisor, front_proxy, clients: Mutex::default() }
    }

    fn client(&self, peer: Peer) -> Result<Arc<HttpClient>, String> {
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(&peer) {
            return Ok(client.clone());
        }
        let (url, dial, tls) = peer.settings(&self.front_proxy)?;
        let client = Arc::new(HttpClient::new(&url, dial, &tls, self.supervisor.clone())?);
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        clients.insert(peer, client.clone());
        Ok(client)
    }
}

#[async_trait]
impl WebhookTransport for ServiceClients {
    async fn post(&self, endpoint: &Endpoint, body: Vec<u8>, timeout: Duration) -> Result<Vec<u8>, String> {
        let client = self.client(Peer::Webhook(endpoint.clone()))?;
        let path = endpoint.url.splitn(4, '/').nth(3).map_or_else(|| "/".to_owned(), |path| format!("/{path}"));
        match tokio::time::timeout(timeout, client.post_json(&path, body)).await {
            Ok(Ok((200, answer))) => Ok(answer.to_vec()),
            Ok(Ok((status, _))) => Err(format!("the webhook answered with HTTP status {status}")),
            Ok(Err(error)) => Err(error),
            Err(_) => Err("context deadline exceeded".to_owned()),
        }
    }
}

#[async_trait]
impl RemoteServers for ServiceClients {
    async fn send(&self, server: &RemoteServer, request: Request<RemoteBody>) -> Result<Response<RemoteBody>, String> {
        let client = self.client(Peer::ApiServer(server.clone()))?;
        let response = client.send(request).await?;
        Ok(response.map(|body| body.map_err(std::io::Error::other).boxed()))
    }
}

#[cfg(test)]
mod tests;
