//! [`RuntimeService`], part by part.

mod containers;
mod processes;
mod sandboxes;
mod start;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cri::{
    AttachOptions, ContainerConfig, ContainerEvent, ContainerFilter, ContainerId, ContainerStats, ContainerStatus,
    ContainerUpdate, DuplexStream, ExecOptions, ExecOutput, ExecSession, LinuxContainerResources, PodSandboxConfig,
    PodSandboxFilter, PodSandboxId, PodSandboxStats, PodSandboxStatus, RuntimeCondition, RuntimeConfig, RuntimeError,
    RuntimeService, RuntimeStatus, RuntimeVersion, Timeout,
};
use tokio::sync::broadcast;

use super::sandbox::{Container, Sandbox};
use super::{ContainerRuntime, Shared};

impl Shared {
    fn sandbox(&self, id: &str) -> Result<Arc<Sandbox>, RuntimeError> {
        self.sandboxes.lock().get(id).cloned().ok_or_else(|| RuntimeError::SandboxNotFound(id.into()))
    }

    fn all(&self) -> Vec<Arc<Sandbox>> {
        self.sandboxes.lock().values().cloned().collect()
    }

    fn container(&self, id: &ContainerId) -> Result<(Arc<Sandbox>, Arc<Container>), RuntimeError> {
        let found = self.all().into_iter().find_map(|sandbox| {
            let container = sandbox.containers.lock().get(&id.0).cloned();
            container.map(|container| (sandbox, container))
        });
        found.ok_or_else(|| RuntimeError::ContainerNotFound(id.0.clone()))
    }

    /// A container that runs.
    fn running(&self, id: &ContainerId) -> Result<(Arc<Sandbox>, Arc<Container>), RuntimeError> {
        let (sandbox, container) = self.container(id)?;
        if container.current().is_running() { Ok((sandbox, container)) } else { Err(container.not_running()) }
    }
}

fn condition(holds: bool, reason: &str, message: &str) -> RuntimeCondition {
    let text = |text: &str| if holds { String::new() } else { text.to_owned() };
    RuntimeCondition { status: holds, reason: text(reason), message: text(message) }
}

#[async_trait]
impl RuntimeService for ContainerRuntime {
    fn version(&self) -> RuntimeVersion {
        RuntimeVersion { name: "skiff".into(), version: env!("CARGO_PKG_VERSION").into() }
    }

    async fn status(&self) -> RuntimeStatus {
        let has_range = !self.shared.ipams.lock().is_empty();
        RuntimeStatus {
            runtime_ready: condition(true, "", ""),
            network_ready: condition(
                has_range,
                "NetworkPluginNotReady",
                "Network plugin returns error: the node has no pod CIDR yet",
            ),
        }
    }

    async fn update_runtime_config(&self, config: RuntimeConfig) -> Result<(), RuntimeError> {
        self.shared.set_ranges(&config.pod_cidrs)
    }

    async fn run_pod_sandbox(&self, config: PodSandboxConfig) -> Result<PodSandboxStatus, RuntimeError> {
        self.shared.run_sandbox(config).await
    }

    async fn stop_pod_sandbox(&self, id: &PodSandboxId) -> Result<(), RuntimeError> {
        match self.shared.sandbox(&id.0) {
            Ok(sandbox) => self.shared.stop_sandbox(&sandbox).await,
            Err(_) => Ok(()),
        }
    }

    async fn remove_pod_sandbox(&self, id: &PodSandboxId) -> Result<(), RuntimeError> {
        match self.shared.sandbox(&id.0) {
            Ok(sandbox) => self.shared.remove_sandbox(&sandbox).await,
            Err(_) => Ok(()),
        }
    }

    async fn list_pod_sandboxes(&self, filter: &PodSandboxFilter) -> Result<Vec<PodSandboxStatus>, RuntimeError> {
        let mut found: Vec<PodSandboxStatus> = self.shared.all().iter().map(|sandbox| sandbox.status()).collect();
        found.retain(|status| filter.matches(status));
        found.sort_by_key(|status| status.created_at);
        Ok(found)
    }

    async fn pod_sandbox_status(&self, id: &PodSandboxId) -> Result<PodSandboxStatus, RuntimeError> {
        Ok(self.shared.sandbox(&id.0)?.status())
    }

    async fn create_container(
        &self,
        sandbox_id: &PodSandboxId,
        config: ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        let sandbox = self.shared.sandbox(&sandbox_id.0)?;
        self.shared.create_container(&sandbox, config).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let (sandbox, container) = self.shared.container(id)?;
        self.shared.start_container(&sandbox, &container).await
    }

    async fn stop_container(&self, id: &ContainerId, grace_period: Duration) -> Result<(), RuntimeError> {
        match self.shared.container(id) {
            Ok((sandbox, container)) => self.shared.stop_container(&sandbox, &container, grace_period).await,
            Err(_) => Ok(()),
        }
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        match self.shared.container(id) {
            Ok((sandbox, container)) => self.shared.remove_container(&sandbox, &container).await,
            Err(_) => Ok(()),
        }
    }

    async fn list_containers(&self, filter: &ContainerFilter) -> Result<Vec<ContainerStatus>, RuntimeError> {
        let mut found = vec![];
        for sandbox in self.shared.all() {
            found.extend(
                sandbox.list().iter().map(|container| container.status(&sandbox)).filter(|s| filter.matches(s)),
            );
        }
        found.sort_by_key(|status| status.created_at);
        Ok(found)
    }

    async fn container_status(&self, id: &ContainerId) -> Result<ContainerStatus, RuntimeError> {
        let (sandbox, container) = self.shared.container(id)?;
        Ok(container.status(&sandbox))
    }

    async fn update_container_resources(&self, id: &ContainerId, update: ContainerUpdate) -> Result<(), RuntimeError> {
        let (_, container) = self.shared.container(id)?;
        self.shared.update_container(&container, update).await
    }

    async fn update_pod_sandbox_resources(
        &self,
        id: &PodSandboxId,
        resources: LinuxContainerResources,
    ) -> Result<(), RuntimeError> {
        let cgroup = self.shared.sandbox(&id.0)?.cgroup.clone();
        let apply = move || {
            cgroup
                .apply(&resources)
                .map_err(|error| RuntimeError::failed("update the pod's limits", super::chain(&error)))
        };
        self.shared.blocking("update the pod's limits", apply).await
    }

    async fn exec_sync(&self, id: &ContainerId, argv: &[String], timeout: Timeout) -> Result<ExecOutput, RuntimeError> {
        let (sandbox, container) = self.shared.running(id)?;
        self.shared.exec_sync(&sandbox, &container, argv, timeout).await
    }

    async fn exec(&self, id: &ContainerId, options: ExecOptions) -> Result<ExecSession, RuntimeError> {
        let (sandbox, container) = self.shared.running(id)?;
        Ok(self.shared.exec(&sandbox, &container, options).await?.0)
    }

    async fn attach(&self, id: &ContainerId, options: AttachOptions) -> Result<ExecSession, RuntimeError> {
        let (sandbox, container) = self.shared.running(id)?;
        self.shared.attach(&sandbox, &container, &options).await
    }

    async fn port_forward(&self, id: &PodSandboxId, port: u16) -> Result<Box<dyn DuplexStream>, RuntimeError> {
        let sandbox = self.shared.sandbox(&id.0)?;
        self.shared.port_forward(&sandbox, port).await
    }

    async fn container_stats(&self, id: &ContainerId) -> Result<ContainerStats, RuntimeError> {
        let (sandbox, container) = self.shared.container(id)?;
        self.shared.container_stats(&sandbox, &container).await
    }

    async fn pod_sandbox_stats(&self, id: &PodSandboxId) -> Result<PodSandboxStats, RuntimeError> {
        let sandbox = self.shared.sandbox(&id.0)?;
        self.shared.sandbox_stats(&sandbox).await
    }

    fn subscribe(&self) -> broadcast::Receiver<ContainerEvent> {
        self.shared.events.subscribe()
    }
}
