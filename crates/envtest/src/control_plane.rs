//! The control plane, composed as the daemon of `skiff` composes it, but for listeners and certificates.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use admission::Webhooks;
use apimachinery::UserInfo;
use apiserver::{ApiServer, NODE_PORTS, ServerConfig, ServiceCidr, ServiceNetwork, TokenAuthority};
use async_trait::async_trait;
use client::{Client, Informers};
use component_base::Supervisor;
use component_base::metrics::Registry;
use controllers::{Addresses, ApiServiceProbe, AuthorityKey, ControllerContext, IdentifiedClients};
use datastore::{Datastore, Revision, SimulatedDisk};
use scheduler::SchedulerConfig;

use crate::failure::Failure;
use crate::faults::{Dice, Faults};
use crate::store::ObservedStore;
use crate::transport::{Life, client_of};
use crate::world::World;

/// How often history that nobody can ask for any more is forgotten, as in the daemon.
const COMPACT_EVERY: Duration = Duration::from_secs(300);
/// Stands for the CA's certificate, which nobody here checks anything by.
const ROOT_CA: &str = "-----BEGIN CERTIFICATE-----\n\
    MIIBPjCB8aADAgECAhRO772rxJ11XxSCsHa2wG/kRCshnTAFBgMrZXAwFDESMBAG\n\
    A1UEAwwJc2ltdWxhdGVkMCAXDTI2MTEyNjAxMjY0NVoYDzIxMjYxMTAyMDEyNjQ1\n\
    WjAUMRIwEAYDVQQDDAlzaW11bGF0ZWQwKjAFBgMrZXADIQB+AXdwd3Cb7ma6fo1e\n\
    8YP9xRnmbu3xgzFRW2PwmuiskKNTMFEwHQYDVR0OBBYEFF9iNKAxZ+oAIt7i8cgV\n\
    aqwqWi8hMB8GA1UdIwQYMBaAFF9iNKAxZ+oAIt7i8cgVaqwqWi8hMA8GA1UdEwEB\n\
    /wQFMAMBAf8wBQYDK2VwA0EAjt8fzqo0u8TQAwLf5/vkPtgdUYu/VYlrtx/3qYco\n\
    5qmzvtFfJiV3sf5Y40/xAxOp8higGericRDUlQLQX12FCA==\n\
    -----END CERTIFICATE-----\n";
/// Stands for the certificate of the front proxy's authority.
const FRONT_PROXY_CA: &str = "-----BEGIN CERTIFICATE-----\nZnJvbnQ=\n-----END CERTIFICATE-----\n";
/// The key of that, of this simulation only.
const CA_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIPOoC/4x7uERLK/g2+8pwMVKBZy9yBhldX2H3EO7NhJZ\n\
    -----END PRIVATE KEY-----\n";
const SERVICE_CIDR: ServiceCidr = ServiceCidr { base: Ipv4Addr::new(10, 96, 0, 0), prefix: 16 };
const LOAD_BALANCERS: Addresses = Addresses { first: Ipv4Addr::new(10, 88, 0, 128), count: 64 };

/// A running control plane.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    pub(crate) life: Life,
    pub(crate) store: Arc<ObservedStore>,
    disk: SimulatedDisk,
    supervisor: Supervisor,
}

/// Controllers are service accounts of `kube-system`.
#[derive(Debug)]
struct ControllerClients {
    life: Life,
    dice: Arc<Dice>,
}

impl IdentifiedClients for ControllerClients {
    fn client(&self, name: &str) -> Client {
        client_of(&self.life, UserInfo::service_account("kube-system", name), &self.dice)
    }
}

/// Asks API servers behind APIServices as this cluster's server does.
#[derive(Debug)]
struct Probe(Arc<ApiServer>);

#[async_trait]
impl ApiServiceProbe for Probe {
    async fn probe(&self, name: &str) -> Result<(), String> {
        self.0.probe(name).await
    }
}

impl ControlPlane {
    /// Starts everything from what is on `disk`; returns when the API answers.
    pub(crate) async fn start(world: &World, token_key: &[u8], disk: SimulatedDisk) -> Result<Self, Failure> {
        let failed = |what: &dyn std::fmt::Display| Failure::Start(what.to_string());
        let supervisor = world.supervisor.child();
        let store = Arc::new(ObservedStore::open(&disk, world.clone()).map_err(|error| failed(&error))?);
        let datastore: Arc<dyn Datastore> = store.clone();
        compact(&supervisor, datastore.clone());
        let issuer = "https://kubernetes.default.svc.cluster.local".to_owned();
        let webhooks = Arc::new(Webhooks::new(world.webhooks.clone(), world.random.clone()));
        let config = ServerConfig {
            datastore,
            admission: admission::plugins(world.random.clone()),
            remote_admission: webhooks.clone(),
            converter: webhooks,
            remote_servers: world.api_servers.clone(),
            clock: world.clock.clone(),
            random: world.random.clone(),
            authority: Arc::new(TokenAuthority::new(issuer, token_key).map_err(|error| failed(&error))?),
            service_network: ServiceNetwork::new(SERVICE_CIDR, NODE_PORTS),
            external_address: "10.88.0.2:6443".to_owned(),
            metrics: Registry::new(),
        };
        let server = ApiServer::start(config, &supervisor).map_err(|error| failed(&error))?;
        server.bootstrap().await?;
        let life = Life { server, crashed: supervisor.shutdown() };
        let client = |user: UserInfo| client_of(&life, user, &world.dice);
        let own = UserInfo::new("system:apiserver", &["system:masters"]);
        let reader = client(own.clone());
        // Like the server's own first objects, without faults.
        let honest = Arc::new(Dice::new(Faults::default(), 0));
        controllers::install_local_path(&client_of(&life, own, &honest)).await?;
        let informers = Informers::new(reader.clone(), supervisor.clone(), world.random.clone());
        scheduler::start(SchedulerConfig {
            client: client(UserInfo::new("system:kube-scheduler", &[])),
            informers: informers.clone(),
            supervisor: supervisor.clone(),
            clock: world.clock.clone(),
            random: world.random.clone(),
        });
        controllers::start(&ControllerContext {
            apiserver: reader.clone(),
            clients: Arc::new(ControllerClients { life: life.clone(), dice: world.dice.clone() }),
            informers,
            supervisor: supervisor.clone(),
            clock: world.clock.clone(),
            random: world.random.clone(),
            root_ca: ROOT_CA.into(),
            ca_key: Some(AuthorityKey::new(CA_KEY)),
            front_proxy_ca: FRONT_PROXY_CA.into(),
            api_services: Arc::new(Probe(life.server.clone())),
            load_balancer_addresses: Some(LOAD_BALANCERS),
            volume_directories: world.volumes.clone(),
        });
        Ok(Self { life, store, disk, supervisor })
    }

    /// The power fails: all parts end where they are. Gives the disk as it is then.
    pub(crate) fn crash(&self) -> SimulatedDisk {
        self.supervisor.begin_shutdown();
        self.disk.crash()
    }
}

/// Forgets history from time to time: what was current at the last round stays readable until the next.
fn compact(supervisor: &Supervisor, datastore: Arc<dyn Datastore>) {
    supervisor.spawn_until_shutdown("compaction", async move {
        let mut last: Option<Revision> = None;
        loop {
            tokio::time::sleep(COMPACT_EVERY).await;
            if let Some(to) = last {
                // Only a revision of the future is refused, and this one is of the past.
                let _ = datastore.compact(to).await;
            }
            last = Some(datastore.revision());
        }
    });
}
