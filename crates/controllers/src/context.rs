//! What every controller is given.

use std::net::Ipv4Addr;
use std::sync::Arc;

use client::{Client, EventRecorder, Informers};
use component_base::{Clock, Random, Supervisor};

use crate::apiservice::ApiServiceProbe;
use crate::localpath::VolumeDirectories;

/// Makes clients that speak as one controller each: upstream's controllers are service accounts of `kube-system`, each
/// with a role of its own.
pub trait IdentifiedClients: Send + Sync + std::fmt::Debug {
    /// A client with the identity of the controller `name`.
    fn client(&self, name: &str) -> Client;
}

/// Addresses for Services of type LoadBalancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The first one.
    pub first: Ipv4Addr,
    /// How many.
    pub count: u32,
}

/// The key of the cluster's CA, which is never printed.
#[derive(Clone)]
pub struct AuthorityKey(Arc<str>);

impl AuthorityKey {
    /// Takes a key, PEM.
    pub fn new(pem: &str) -> Self {
        Self(pem.into())
    }

    pub(crate) fn pem(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for AuthorityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthorityKey")
    }
}

/// What every controller is given. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ControllerContext {
    /// Who each controller is.
    pub clients: Arc<dyn IdentifiedClients>,
    /// The API server itself, for what upstream's server does in its own process.
    pub apiserver: Client,
    /// The shared local copies.
    pub informers: Informers,
    /// Runs the workers.
    pub supervisor: Supervisor,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Tie-breaks and jitter.
    pub random: Arc<Random>,
    /// The cluster's CA certificate, PEM, for every namespace.
    pub root_ca: Arc<str>,
    /// The key of that, with which requests for certificates are signed; `None`: they stay as they are.
    pub ca_key: Option<AuthorityKey>,
    /// The certificate of the authority by which API servers behind this one know it, PEM.
    pub front_proxy_ca: Arc<str>,
    /// Asks API servers behind APIServices whether they answer.
    pub api_services: Arc<dyn ApiServiceProbe>,
    /// Where load balancers get their addresses; `None`: they stay pending.
    pub load_balancer_addresses: Option<Addresses>,
    /// Where volumes of the provisioner `skiff/local-path` are.
    pub volume_directories: Arc<dyn VolumeDirectories>,
}

impl ControllerContext {
    /// A client with the identity of the controller `name`.
    pub(crate) fn client(&self, name: &str) -> Client {
        self.clients.client(name)
    }

    /// A recorder of Events from the controller `name`.
    pub(crate) fn recorder(&self, client: Client, name: &'static str) -> EventRecorder {
        EventRecorder::start(client, &self.supervisor, self.clock.clone(), name, "")
    }
}
