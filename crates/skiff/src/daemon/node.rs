//! The node's half of the daemon: images, runtime, kubelet, and the API server's way to them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use apimachinery::UserInfo;
use async_trait::async_trait;
use container_runtime::{
    ContainerRuntime, ImageStore, ImageStoreConfig, InitClient, RuntimeOptions, SocketKind, Sockets, TcpDial,
};
use cri::{RuntimeConfig, RuntimeService};
use dns::{DnsConfig, Forwarder, UpstreamForwarder, Upstreams};
use kubelet::{Kubelet, KubeletConfig, KubeletWorld, TcpProbeDialer};
use proxy::{Proxy, ProxyConfig};
use tokio::net::{TcpStream, UdpSocket};

use super::clients::client;
use super::connector::LocalConnector;
use super::control_plane::ControlPlane;
use super::traffic::EndpointBarrier;
use super::{World, role};
use crate::cluster::{Cluster, home, images_directory};
use crate::{host, registries};

/// The cluster's domain.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// Sockets of the host's network, which registries and resolvers are reached from.
#[derive(Debug)]
struct HostSockets {
    init: Arc<InitClient>,
}

#[async_trait]
impl Sockets for HostSockets {
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.init.connect_host(address).await
    }

    async fn datagram(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let kind = if address.is_ipv4() { SocketKind::Udp4 } else { SocketKind::Udp6 };
        let socket = self.init.host_socket(kind).await.map_err(io::Error::other)?;
        let socket = std::net::UdpSocket::from(socket);
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        socket.connect(address).await?;
        Ok(socket)
    }
}

#[async_trait]
impl dns::Sockets for HostSockets {
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        Sockets::connect(self, address).await
    }

    async fn datagram(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        Sockets::datagram(self, address).await
    }
}

/// Starts the cluster's DNS on the node's address; other names are asked of the host's resolvers.
fn start_dns(world: &World, cluster: &Cluster, plane: &ControlPlane, init: &Arc<InitClient>) -> Result<()> {
    let listen = vec![cluster.dns_listener()];
    let resolv_conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = Upstreams::Host.servers(&resolv_conf, &listen);
    let sockets = Arc::new(HostSockets { init: init.clone() });
    let forwarder: Arc<dyn Forwarder> = Arc::new(UpstreamForwarder::new(servers, sockets, world.random.clone()));
    dns::start(DnsConfig {
        listen,
        cluster_domain: CLUSTER_DOMAIN.to_owned(),
        forwarder: Some(forwarder),
        informers: plane.informers.clone(),
        clock: world.clock.clone(),
        supervisor: world.supervisor.clone(),
    })
    .context("failed to start the cluster's DNS")?;
    Ok(())
}

/// Starts the service proxy; returns when its first rules are in the kernel.
async fn start_proxy(world: &World, cluster: &Cluster, plane: &ControlPlane) -> Result<Proxy> {
    let proxy = proxy::start(ProxyConfig {
        node_name: cluster.node_name().to_owned(),
        node_ip: cluster.node_address().to_string(),
        pod_cidr: cluster.pod_cidr().to_owned(),
        service_cidr: cluster.service_cidr().to_string(),
        informers: plane.informers.clone(),
        random: world.random.clone(),
        supervisor: world.supervisor.clone(),
    })
    .context("failed to start the service proxy")?;
    proxy.ready().await;
    Ok(proxy)
}

/// Starts the node's parts and registers the node.
pub(crate) async fn start(world: &World, cluster: &Cluster, plane: &ControlPlane, init: Arc<InitClient>) -> Result<()> {
    start_dns(world, cluster, plane, &init)?;
    let proxy = start_proxy(world, cluster, plane).await?;
    let traffic = Arc::new(EndpointBarrier::new(&plane.informers, proxy));
    let images = ImageStore::open(ImageStoreConfig {
        root: images_directory(&home()),
        registries: registries::load()?,
        dial: Arc::new(TcpDial::new(Arc::new(HostSockets { init: init.clone() }))),
        clock: world.clock.clone(),
        supervisor: world.supervisor.clone(),
        owner: format!("cluster-{}", cluster.profile),
    })
    .context("failed to open the image store")?;
    let images = Arc::new(images);
    let runtime = ContainerRuntime::start(RuntimeOptions {
        state_dir: cluster.node_directory().join("runtime"),
        init,
        images: images.clone(),
        clock: world.clock.clone(),
        random: world.random.clone(),
        supervisor: world.supervisor.clone(),
        cgroup_root: String::new(),
        node_ips: vec![cluster.node_address().into()],
        mtu: None,
    })
    .await
    .context("failed to start the container runtime")?;
    let ranges = RuntimeConfig { pod_cidrs: vec![cluster.pod_cidr().to_owned()] };
    runtime.update_runtime_config(ranges).await.context("failed to give the runtime its addresses")?;
    let runtime: Arc<dyn RuntimeService> = Arc::new(runtime);
    let user = UserInfo::new(format!("system:node:{}", cluster.node_name()), &["system:nodes"]);
    let config = KubeletConfig {
        node_name: cluster.node_name().to_owned(),
        node_ip: cluster.node_address().to_string(),
        pod_cidr: cluster.pod_cidr().to_owned(),
        facts: host::facts(cluster.node_name()),
        root_directory: cluster.node_directory().join("kubelet"),
        log_directory: cluster.node_directory().join("logs"),
        cluster_dns: cluster.dns_address().to_string(),
        cluster_domain: CLUSTER_DOMAIN.to_owned(),
        node_dns: host::resolver(),
    };
    let kubelet = Kubelet::start(
        config,
        KubeletWorld {
            client: client(&plane.server, user),
            informers: plane.informers.clone(),
            runtime,
            images,
            dialer: Arc::new(TcpProbeDialer),
            traffic,
            clock: world.clock.clone(),
            random: world.random.clone(),
            supervisor: world.supervisor.clone(),
        },
    );
    let administrator = client(&plane.server, UserInfo::new("system:apiserver", &["system:masters"]));
    role::start(administrator, &plane.informers, &world.supervisor, cluster.node_name());
    plane.server.set_node_connector(Arc::new(LocalConnector::new(kubelet, world.clock.clone())));
    Ok(())
}
