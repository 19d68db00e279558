//! The runtime's half of the contract.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::stream::Timeout;
use crate::{
    AttachOptions, ContainerConfig, ContainerEvent, ContainerFilter, ContainerId, ContainerStats, ContainerStatus,
    DuplexStream, ExecOptions, ExecOutput, ExecSession, LinuxContainerResources, PodSandboxConfig, PodSandboxFilter,
    PodSandboxId, PodSandboxStats, PodSandboxStatus, RuntimeError,
};

/// Name and version, shown in `status.nodeInfo.containerRuntimeVersion` as `name://version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeVersion {
    /// As `skiff`.
    pub name: String,
    /// As `1.0.0`.
    pub version: String,
}

/// One condition of the runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeCondition {
    /// Whether it holds.
    pub status: bool,
    /// A word for machines, empty where it holds.
    pub reason: String,
    /// A sentence for people, empty where it holds.
    pub message: String,
}

/// Whether pods can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeStatus {
    /// Containers can be run.
    pub runtime_ready: RuntimeCondition,
    /// Pods get addresses.
    pub network_ready: RuntimeCondition,
}

/// What the kubelet learns later than the runtime starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuntimeConfig {
    /// The node's `spec.podCIDRs`, as `10.244.0.0/24`.
    pub pod_cidrs: Vec<String>,
}

/// Changes to a running container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerUpdate {
    /// New limits; what is none stays as it is.
    pub resources: LinuxContainerResources,
}

/// What the kubelet asks of a runtime. Every call is idempotent where its name allows: stopping what is stopped and
/// removing what is gone succeed.
///
/// Calls on one sandbox may run at the same time; the implementation orders them.
#[async_trait]
pub trait RuntimeService: Send + Sync + std::fmt::Debug {
    /// Name and version.
    fn version(&self) -> RuntimeVersion;

    /// Whether pods can be run.
    async fn status(&self) -> RuntimeStatus;

    /// Tells what is only known once the node is registered.
    ///
    /// # Errors
    /// A malformed CIDR.
    async fn update_runtime_config(&self, config: RuntimeConfig) -> Result<(), RuntimeError>;

    /// Makes a sandbox: namespaces, network, cgroup. It is ready when this returns.
    ///
    /// # Errors
    /// [`RuntimeError::SandboxCreate`]; nothing is left behind.
    async fn run_pod_sandbox(&self, config: PodSandboxConfig) -> Result<PodSandboxStatus, RuntimeError>;

    /// Kills what runs in it and gives its network back. Its containers stay readable until it is removed.
    ///
    /// # Errors
    /// The kernel refused.
    async fn stop_pod_sandbox(&self, id: &PodSandboxId) -> Result<(), RuntimeError>;

    /// Removes it and its containers, stopping them first if necessary.
    ///
    /// # Errors
    /// The kernel refused.
    async fn remove_pod_sandbox(&self, id: &PodSandboxId) -> Result<(), RuntimeError>;

    /// Sandboxes that match, oldest first.
    ///
    /// # Errors
    /// None in the implementations here; remote ones may be unreachable.
    async fn list_pod_sandboxes(&self, filter: &PodSandboxFilter) -> Result<Vec<PodSandboxStatus>, RuntimeError>;

    /// One sandbox.
    ///
    /// # Errors
    /// [`RuntimeError::SandboxNotFound`].
    async fn pod_sandbox_status(&self, id: &PodSandboxId) -> Result<PodSandboxStatus, RuntimeError>;

    /// Makes a container in a ready sandbox; nothing runs yet.
    ///
    /// # Errors
    /// [`RuntimeError::ImageNotFound`], [`RuntimeError::ContainerCreate`], [`RuntimeError::InvalidConfig`].
    async fn create_container(
        &self,
        sandbox_id: &PodSandboxId,
        config: ContainerConfig,
    ) -> Result<ContainerId, RuntimeError>;

    /// Runs its program; returns when it is executed.
    ///
    /// # Errors
    /// [`RuntimeError::ContainerStart`]: the container is then `Exited` with reason `StartError`.
    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Sends the stop signal, waits up to `grace_period`, then kills. Returns when its first process ended. A second call
    /// with a shorter grace period takes effect.
    ///
    /// # Errors
    /// The kernel refused.
    async fn stop_container(&self, id: &ContainerId, grace_period: Duration) -> Result<(), RuntimeError>;

    /// Removes it, killing it first if it runs, with its writable layer; its log stays.
    ///
    /// # Errors
    /// The kernel refused.
    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Containers that match, oldest first.
    ///
    /// # Errors
    /// None in the implementations here; remote ones may be unreachable.
    async fn list_containers(&self, filter: &ContainerFilter) -> Result<Vec<ContainerStatus>, RuntimeError>;

    /// One container.
    ///
    /// # Errors
    /// [`RuntimeError::ContainerNotFound`].
    async fn container_status(&self, id: &ContainerId) -> Result<ContainerStatus, RuntimeError>;

    /// Changes the limits of a container that runs or will.
    ///
    /// # Errors
    /// The kernel refused, for example a memory limit below what is used.
    async fn update_container_resources(&self, id: &ContainerId, update: ContainerUpdate) -> Result<(), RuntimeError>;

    /// Changes the limits of a whole pod.
    ///
    /// # Errors
    /// The kernel refused.
    async fn update_pod_sandbox_resources(
        &self,
        id: &PodSandboxId,
        resources: LinuxContainerResources,
    ) -> Result<(), RuntimeError>;

    /// Executes a program in a running container and collects its output. None as `timeout` means no limit.
    ///
    /// # Errors
    /// [`RuntimeError::Exec`], [`RuntimeError::ExecTimeout`], [`RuntimeError::ContainerNotRunning`].
    async fn exec_sync(&self, id: &ContainerId, argv: &[String], timeout: Timeout) -> Result<ExecOutput, RuntimeError>;

    /// Executes a program in a running container.
    ///
    /// # Errors
    /// [`RuntimeError::Exec`], [`RuntimeError::ContainerNotRunning`].
    async fn exec(&self, id: &ContainerId, options: ExecOptions) -> Result<ExecSession, RuntimeError>;

    /// Joins the streams of a running container's first process.
    ///
    /// # Errors
    /// [`RuntimeError::ContainerNotRunning`].
    async fn attach(&self, id: &ContainerId, options: AttachOptions) -> Result<ExecSession, RuntimeError>;

    /// Connects to `localhost:port` inside the sandbox's network namespace.
    ///
    /// # Errors
    /// [`RuntimeError::PortForward`].
    async fn port_forward(&self, id: &PodSandboxId, port: u16) -> Result<Box<dyn DuplexStream>, RuntimeError>;

    /// What a container uses.
    ///
    /// # Errors
    /// [`RuntimeError::ContainerNotFound`].
    async fn container_stats(&self, id: &ContainerId) -> Result<ContainerStats, RuntimeError>;

    /// What a pod and its running containers use.
    ///
    /// # Errors
    /// [`RuntimeError::SandboxNotFound`].
    async fn pod_sandbox_stats(&self, id: &PodSandboxId) -> Result<PodSandboxStats, RuntimeError>;

    /// Everything that happens from now on. A receiver that falls more than [`crate::EVENT_QUEUE_MAX`] behind gets
    /// `Lagged` and has to list again.
    fn subscribe(&self) -> broadcast::Receiver<ContainerEvent>;
}
