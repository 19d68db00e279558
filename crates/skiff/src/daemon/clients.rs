//! Who each component is: the identities that upstream's bootstrap roles know.

use std::sync::Arc;

use apimachinery::UserInfo;
use apiserver::{ApiServer, LocalTransport};
use async_trait::async_trait;
use client::Client;
use controllers::{ApiServiceProbe, IdentifiedClients};

/// A client of this process' server that speaks as `user`.
pub(crate) fn client(server: &Arc<ApiServer>, user: UserInfo) -> Client {
    Client::new(Arc::new(LocalTransport::new(server.clone(), user)))
}

/// Controllers are service accounts of `kube-system`.
#[derive(Debug)]
pub(crate) struct ControllerClients {
    pub(crate) server: Arc<ApiServer>,
}

impl IdentifiedClients for ControllerClients {
    fn client(&self, name: &str) -> Client {
        client(&self.server, UserInfo::service_account("kube-system", name))
    }
}

/// Asks API servers behind APIServices as this process' server does.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) server: Arc<ApiServer>,
}

#[async_trait]
impl ApiServiceProbe for Probe {
    async fn probe(&self, name: &str) -> Result<(), String> {
        self.server.probe(name).await
    }
}
