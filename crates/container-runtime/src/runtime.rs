//! The daemon's half: [`cri::RuntimeService`] over pod supervisors.
//!
//! What the kubelet configured is on disk (`sandbox.json`, `container.json`), what happened is with the supervisors and in
//! `exit.json`; [`ContainerRuntime::start`] puts both together again after a restart of the daemon. State has one owner,
//! [`ContainerRuntime`]; supervisors push what ends, callers wait on `watch` channels.

mod client;
mod provider;
mod resolve;
mod sandbox;
mod service;
mod signals;
mod store;
mod streams;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use cni::Ipam;
use component_base::{Clock, Random, Supervisor};
use cri::{ContainerEvent, EventKind, PodSandboxId, RuntimeError};
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::cgroups::Hierarchies;
use crate::init::InitClient;
use sandbox::Sandbox;

pub use provider::{Rootfs, RootfsProvider};

/// What a runtime needs.
#[derive(Debug)]
pub struct RuntimeOptions {
    /// Its own directory, on a file system that overlayfs can write to.
    pub state_dir: PathBuf,
    /// Node init, which forks supervisors.
    pub init: Arc<InitClient>,
    /// Where images' layers are.
    pub images: Arc<dyn RootfsProvider>,
    /// Timestamps.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub random: Arc<Random>,
    /// Owns the connections to supervisors.
    pub supervisor: Supervisor,
    /// Group under which `kubepods` is made; empty for the root of what this process sees.
    pub cgroup_root: String,
    /// The node's addresses: those of pods on the node's network, and the source of what the node sends to its pods.
    pub node_ips: Vec<IpAddr>,
    /// Bytes of the largest packet on the pod network; none for the kernel's 1500.
    pub mtu: Option<u32>,
}

/// The container runtime. Clones share everything.
#[derive(Debug, Clone)]
pub struct ContainerRuntime {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: RuntimeOptions,
    hierarchies: Arc<Hierarchies>,
    events: broadcast::Sender<ContainerEvent>,
    sandboxes: Mutex<BTreeMap<String, Arc<Sandbox>>>,
    /// One for each family that pods have addresses of.
    ipams: Mutex<Vec<Ipam>>,
}

impl Shared {
    fn tell(&self, pod_uid: &str, sandbox_id: &str, kind: EventKind) {
        let event = ContainerEvent {
            pod_uid: pod_uid.into(),
            sandbox_id: PodSandboxId(sandbox_id.into()),
            kind,
            at: self.options.clock.now(),
        };
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    fn new_id(&self) -> String {
        (0..4).map(|_| format!("{:016x}", self.options.random.next_u64())).collect()
    }

    /// Runs blocking work (disk, cgroups) off the event loop.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &str,
        work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        let done = self.options.supervisor.blocking(work).await;
        done.unwrap_or_else(|| Err(RuntimeError::failed(operation, "the task panicked")))
    }
}

/// An error with its causes, as one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
