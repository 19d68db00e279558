//! A simulated node: the real kubelet over a runtime and images in memory.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use apimachinery::UserInfo;
use client::Informers;
use component_base::Supervisor;
use cri::fake::{FakeImages, FakeRuntime, FakeRuntimeOptions};
use cri::{DnsConfig, RuntimeConfig, RuntimeService};
use kubelet::{Kubelet, KubeletConfig, KubeletWorld, NoTrafficBarrier, NodeFacts};
use parking_lot::Mutex;

use crate::failure::Failure;
use crate::network::{Network, NodeDialer};
use crate::transport::{Door, client_behind};
use crate::world::World;

/// Making a sandbox takes up to this long.
const SANDBOX_MAX: Duration = Duration::from_millis(30);

/// A node of a simulated cluster.
#[derive(Debug)]
pub struct SimulatedNode {
    /// Its name.
    pub name: String,
    /// What runs on it. Scripts say what its containers do.
    pub runtime: FakeRuntime,
    /// Its images, and what the registry has.
    pub images: Arc<FakeImages>,
    address: Ipv4Addr,
    pod_cidr: String,
    directory: PathBuf,
    network: Arc<Network>,
    door: Arc<Door>,
    world: World,
    /// Runs the kubelet; none while it is stopped.
    kubelet: Mutex<Option<Supervisor>>,
}

impl SimulatedNode {
    /// Node number `index`, without a kubelet.
    pub(crate) async fn new(
        world: &World,
        index: u8,
        directory: &Path,
        network: Arc<Network>,
        door: Arc<Door>,
    ) -> Result<Self, Failure> {
        let name = format!("node-{index}");
        let address = Ipv4Addr::new(10, 88, 1, index);
        let pod_cidr = format!("10.244.{index}.0/24");
        let images = Arc::new(FakeImages::new(world.clock.clone()));
        let options = FakeRuntimeOptions {
            node_ip: IpAddr::V4(address),
            sandbox_latency: world.dice.up_to(if world.dice.faults.latency_max.is_zero() {
                Duration::ZERO
            } else {
                SANDBOX_MAX
            }),
            ..FakeRuntimeOptions::new(world.clock.clone(), world.random.clone(), world.supervisor.clone())
        };
        let runtime = FakeRuntime::new(options, images.clone());
        let ranges = RuntimeConfig { pod_cidrs: vec![pod_cidr.clone()] };
        runtime.update_runtime_config(ranges).await.map_err(|error| Failure::Start(error.to_string()))?;
        let directory = directory.join(&name);
        let (world, kubelet) = (world.clone(), Mutex::default());
        Ok(Self { name, runtime, images, address, pod_cidr, directory, network, door, world, kubelet })
    }

    /// Starts the kubelet. It takes over what runs.
    pub fn start_kubelet(&self) {
        let mut running = self.kubelet.lock();
        if running.is_some() {
            return;
        }
        let supervisor = self.world.supervisor.child();
        let user = UserInfo::new(format!("system:node:{}", self.name), &["system:nodes"]);
        let client = client_behind(&self.door, user, &self.world.dice);
        let config = KubeletConfig {
            node_name: self.name.clone(),
            node_ip: self.address.to_string(),
            pod_cidr: self.pod_cidr.clone(),
            facts: facts(&self.name),
            root_directory: self.directory.join("kubelet"),
            log_directory: self.directory.join("logs"),
            cluster_dns: "10.96.0.10".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            node_dns: DnsConfig::default(),
        };
        let world = KubeletWorld {
            informers: Informers::new(client.clone(), supervisor.clone(), self.world.random.clone()),
            client,
            runtime: Arc::new(self.runtime.clone()),
            images: self.images.clone(),
            dialer: Arc::new(NodeDialer { runtime: self.runtime.clone(), network: self.network.clone() }),
            traffic: Arc::new(NoTrafficBarrier),
            clock: self.world.clock.clone(),
            random: self.world.random.clone(),
            supervisor: supervisor.clone(),
        };
        Kubelet::start(config, world);
        *running = Some(supervisor);
        self.world.note(format!("the kubelet of {} starts", self.name));
    }

    /// Kills the kubelet. Containers run on, and nobody tells of them.
    pub fn kill_kubelet(&self) {
        if let Some(supervisor) = self.kubelet.lock().take() {
            supervisor.begin_shutdown();
            self.world.note(format!("the kubelet of {} is killed", self.name));
        }
    }
}

/// What every simulated node has.
fn facts(name: &str) -> NodeFacts {
    let resources = [("cpu", "4"), ("memory", "8Gi"), ("pods", "110"), ("ephemeral-storage", "64Gi")];
    let resources: BTreeMap<String, String> = resources.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    NodeFacts {
        capacity: resources.clone(),
        allocatable: resources,
        memory_bytes: 8 << 30,
        architecture: "amd64".to_owned(),
        kernel_version: "6.18.0".to_owned(),
        os_image: "simulated".to_owned(),
        machine_id: name.to_owned(),
        boot_id: name.to_owned(),
    }
}
