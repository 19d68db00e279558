//! The control plane: datastore, API server, controllers, scheduler.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use admission::Webhooks;
use anyhow::{Context, Result};
use apimachinery::UserInfo;
use apiserver::{Acceptor, ApiServer, NODE_PORTS, ServerConfig, ServiceNetwork, TlsFiles, TokenAuthority};
use client::Informers;
use component_base::metrics::Registry;
use container_runtime::InitClient;
use controllers::{AuthorityKey, ControllerContext};
use datastore::{Datastore, EmbeddedStore, Options, RealDisk, Revision};
use scheduler::SchedulerConfig;
use tokio::net::TcpListener;

use super::clients::{ControllerClients, Probe, client};
use super::service_clients::ServiceClients;
use super::volumes::NodeVolumes;
use super::{World, kubernetes_service};
use crate::cluster::Cluster;
use crate::pki::Pki;

/// How often history that nobody can ask for any more is forgotten (upstream's compaction interval).
const COMPACT_EVERY: std::time::Duration = std::time::Duration::from_secs(300);

/// A running control plane.
pub(crate) struct ControlPlane {
    pub(crate) server: Arc<ApiServer>,
    /// The copies that all parts of this process share; they read as `system:masters` would, and hand out objects that
    /// only this process' own parts hold.
    pub(crate) informers: Informers,
}

/// Starts everything; returns when the API answers.
pub(crate) async fn start(world: &World, cluster: &Cluster, pki: &Pki, init: &InitClient) -> Result<ControlPlane> {
    let directory = cluster.directory.join("datastore");
    std::fs::create_dir_all(&directory).with_context(|| format!("failed to create {}", directory.display()))?;
    let disk = Arc::new(RealDisk::new(directory));
    let opened = world.supervisor.blocking(move || EmbeddedStore::open(disk, Options::default())).await;
    let store = opened.context("opening the datastore panicked")?.context("failed to open the datastore")?;
    let datastore: Arc<dyn Datastore> = Arc::new(store);
    compact(world, datastore.clone());
    let issuer = "https://kubernetes.default.svc.cluster.local".to_owned();
    let clients = Arc::new(ServiceClients::new(world.supervisor.clone(), &pki.front_proxy));
    let webhooks = Arc::new(Webhooks::new(clients.clone(), world.random.clone()));
    let config = ServerConfig {
        datastore,
        admission: admission::plugins(world.random.clone()),
        remote_admission: webhooks.clone(),
        converter: webhooks,
        remote_servers: clients,
        clock: world.clock.clone(),
        random: world.random.clone(),
        authority: Arc::new(TokenAuthority::new(issuer, &pki.token_key)?),
        service_network: ServiceNetwork::new(cluster.service_cidr(), NODE_PORTS),
        external_address: cluster.api_address_in_node().to_string(),
        metrics: Registry::new(),
    };
    let server = ApiServer::start(config, &world.supervisor).context("failed to read the datastore")?;
    server.bootstrap().await.context("failed to make the cluster's first objects")?;
    listen(world, cluster, pki, init, &server).await?;
    let reader = client(&server, UserInfo::new("system:apiserver", &["system:masters"]));
    controllers::install_local_path(&reader).await.context("failed to make the class of the node's volumes")?;
    let informers = Informers::new(reader.clone(), world.supervisor.clone(), world.random.clone());
    kubernetes_service::reconcile(&reader, cluster).await.context("failed to publish the Service `kubernetes`")?;
    kubernetes_service::keep(reader.clone(), &informers, &world.supervisor, cluster);
    scheduler::start(SchedulerConfig {
        client: client(&server, UserInfo::new("system:kube-scheduler", &[])),
        informers: informers.clone(),
        supervisor: world.supervisor.clone(),
        clock: world.clock.clone(),
        random: world.random.clone(),
    });
    controllers::start(&ControllerContext {
        apiserver: reader.clone(),
        clients: Arc::new(ControllerClients { server: server.clone() }),
        informers: informers.clone(),
        supervisor: world.supervisor.clone(),
        clock: world.clock.clone(),
        random: world.random.clone(),
        root_ca: pki.ca.as_str().into(),
        ca_key: Some(AuthorityKey::new(&pki.ca_key)),
        front_proxy_ca: pki.front_proxy_ca.as_str().into(),
        api_services: Arc::new(Probe { server: server.clone() }),
        load_balancer_addresses: Some(cluster.load_balancers()),
        volume_directories: Arc::new(NodeVolumes {
            node: cluster.node_name().to_owned(),
            root: cluster.volumes_directory(),
            supervisor: world.supervisor.clone(),
        }),
    });
    Ok(ControlPlane { server, informers })
}

/// Serves on the host's listener, which node init keeps over restarts, and on the node's own address for Pods.
async fn listen(world: &World, cluster: &Cluster, pki: &Pki, init: &InitClient, server: &Arc<ApiServer>) -> Result<()> {
    let acceptor = Acceptor::new(&TlsFiles {
        certificate: pki.server.certificate.clone().into_bytes(),
        key: pki.server.key.clone().into_bytes(),
        client_ca: pki.ca.clone().into_bytes(),
    })?;
    let kept: OwnedFd = init.listener("api", None).await.context("node init has no listener for the API")?;
    let kept = std::net::TcpListener::from(kept);
    kept.set_nonblocking(true)?;
    let own = cluster.api_address_in_node();
    let inside = TcpListener::bind(own).await.with_context(|| format!("failed to listen on {own} in the node"))?;
    for (name, listener) in [("api-host", TcpListener::from_std(kept)?), ("api-node", inside)] {
        let serving = apiserver::serve(server.clone(), listener, acceptor.clone(), world.supervisor.clone());
        world.supervisor.spawn(name, serving);
    }
    Ok(())
}

/// Forgets history from time to time: what was current at the last round stays readable until the next.
fn compact(world: &World, datastore: Arc<dyn Datastore>) {
    world.supervisor.spawn_until_shutdown("compaction", async move {
        let mut last: Option<Revision> = None;
        loop {
            tokio::time::sleep(COMPACT_EVERY).await;
            if let Some(to) = last
                && let Err(error) = datastore.compact(to).await
            {
                tracing::warn!(error = %error, "failed to compact the datastore");
            }
            last = Some(datastore.revision());
        }
    });
}
