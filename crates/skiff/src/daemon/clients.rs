//! Who each component is: the identities that upstream's bootstrap roles know.

use std::sync::Arc;

use apimachinery::UserInfo;
use apiserver::{ApiServer, LocalTransport};
use client::Client;
use controllers::IdentifiedClients;

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
