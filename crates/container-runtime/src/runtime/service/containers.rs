//! Making, starting, ending and measuring containers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cri::{
    ContainerConfig, ContainerId, ContainerState, ContainerStats, ContainerUpdate, EventKind, Exit, ExitReason,
    FilesystemUsage, ImageError, NamespaceMode, NetworkUsage, PodSandboxStats, RuntimeError,
};

use super::super::Rootfs;
use super::super::resolve::{Place, of_images, resolve};
use super::super::sandbox::{Container, Sandbox};
use super::super::store::{self, ContainerRecord};
use super::super::{Shared, chain, signals};
use crate::supervisor::{Command, ExitRecord, Reply};

/// How long the kernel may take to end a killed process.
const KILL_PATIENCE: Duration = Duration::from_secs(60);
const STOP_SIGNAL: &str = "SIGTERM";

impl Shared {
    pub(super) async fn create_container(
        self: &Arc<Self>,
        sandbox: &Arc<Sandbox>,
        config: ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        let client = sandbox.client()?;
        let id = self.new_id();
        let rootfs = self.options.images.hold(&config.image, &id).await;
        let rootfs = rootfs.map_err(|error| RuntimeError::ContainerCreate(chain(&error)))?;
        let rootfs = rootfs.ok_or_else(|| RuntimeError::ImageNotFound(config.image.clone()))?;
        let volumes = match self.hold_volumes(&config, &id).await {
            Ok(volumes) => volumes,
            Err(error) => {
                let volumes = volume_holders(&config, &id);
                // The first error is the one to tell.
                let _ = self.release(std::iter::once(id).chain(volumes)).await;
                return Err(error);
            }
        };
        let signal = config.stop_signal.clone().unwrap_or_else(|| rootfs.config.stop_signal.clone());
        let record = ContainerRecord {
            created_at: self.options.clock.now(),
            image_id: rootfs.image_id.clone(),
            image_ref: rootfs.digest_ref.clone(),
            stop_signal: if signal.is_empty() { STOP_SIGNAL.into() } else { signal },
            config,
        };
        let directory = sandbox.directory.join("containers").join(&id);
        let container = self.known_container(sandbox, id.clone(), directory, record);
        let (work, pod, cgroup) = (container.clone(), sandbox.clone(), self.container_cgroup(sandbox, &id));
        let prepare = move || {
            let record = &work.record;
            let (spec, devices) = resolve(&place(&pod, &work, cgroup), &record.config, &rootfs, &volumes)?;
            let failed =
                |error: std::io::Error| RuntimeError::ContainerCreate(format!("{}: {error}", work.directory.display()));
            let limited = |error| RuntimeError::ContainerCreate(chain(&error));
            std::fs::create_dir_all(&work.directory).map_err(failed)?;
            work.cgroup.create().map_err(limited)?;
            work.cgroup.apply(&record.config.resources).map_err(limited)?;
            work.cgroup.kill_together_when_out_of_memory().map_err(limited)?;
            if let Some(rules) = devices {
                work.cgroup.restrict_devices(&rules).map_err(limited)?;
            }
            store::write(&work.directory.join("container.json"), record).map_err(failed)?;
            Ok(spec)
        };
        let told = match self.blocking("create the container", prepare).await {
            Ok(spec) => client.tell("create the container", Command::Create(Box::new(spec))).await,
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            // The first error is the one to tell.
            let _ = self.clear_container(&container).await;
            return Err(error);
        }
        sandbox.containers.lock().insert(id.clone(), container);
        let id = ContainerId(id);
        self.tell(sandbox.uid(), &sandbox.id, EventKind::Created(id.clone()));
        Ok(id)
    }

    /// Holds the images that the container mounts.
    async fn hold_volumes(&self, config: &ContainerConfig, id: &str) -> Result<Vec<Rootfs>, RuntimeError> {
        let mut volumes = vec![];
        for ((_, image), holder) in of_images(config).zip(volume_holders(config, id)) {
            let held = self.options.images.hold(image, &holder).await;
            let held = held.map_err(|error| RuntimeError::ContainerCreate(chain(&error)))?;
            volumes.push(held.ok_or_else(|| RuntimeError::ImageNotFound(image.clone()))?);
        }
        Ok(volumes)
    }

    fn container_cgroup(&self, sandbox: &Sandbox, id: &str) -> String {
        format!("{}/{id}", self.pod_cgroup(&sandbox.record))
    }

    pub(super) async fn start_container(&self, sandbox: &Sandbox, container: &Container) -> Result<(), RuntimeError> {
        const OPERATION: &str = "start the container";
        if container.current() != ContainerState::Created {
            let message = format!("container {:?} was started before", container.id);
            return Err(RuntimeError::InvalidConfig(message));
        }
        let command = Command::Start { container: container.id.clone() };
        match sandbox.client()?.ask(OPERATION, command, &[]).await?.0 {
            Reply::Started(report) => {
                // It may have ended already; the order of events stays.
                self.tell(sandbox.uid(), &sandbox.id, EventKind::Started(ContainerId(container.id.clone())));
                container.learn(&report);
                Ok(())
            }
            Reply::NotStarted { message, .. } => {
                let place = if message.starts_with("exec") { "" } else { "error during container init: " };
                let message =
                    format!("runc create failed: unable to start container process: {place}{message}: unknown");
                let now = self.options.clock.now();
                let record = ExitRecord {
                    started_at: None,
                    finished_at: now,
                    exit_code: 128,
                    reason: ExitReason::StartError,
                    message: RuntimeError::ContainerStart(message.clone()).to_string(),
                };
                if container.exit(&record) {
                    let exit = Exit { code: record.exit_code, reason: record.reason };
                    self.tell(sandbox.uid(), &sandbox.id, EventKind::Stopped(ContainerId(container.id.clone()), exit));
                }
                Err(RuntimeError::ContainerStart(message))
            }
            other => Err(super::super::client::refused(OPERATION, &other)),
        }
    }

    pub(super) async fn stop_container(
        &self,
        sandbox: &Sandbox,
        container: &Container,
        grace_period: Duration,
    ) -> Result<(), RuntimeError> {
        if !container.current().is_running() {
            return Ok(());
        }
        if !grace_period.is_zero() {
            let signal = signals::number(&container.record.stop_signal).unwrap_or(libc::SIGTERM);
            self.signal(sandbox, container, signal).await?;
            if tokio::time::timeout(grace_period, container.ended()).await.is_ok() {
                return Ok(());
            }
        }
        self.kill_container(sandbox, container).await
    }

    async fn signal(&self, sandbox: &Sandbox, container: &Container, signal: i32) -> Result<(), RuntimeError> {
        const OPERATION: &str = "signal the container";
        // A sandbox that is gone has told the end of its containers.
        let Ok(client) = sandbox.client() else { return Ok(()) };
        let command = Command::Signal { container: container.id.clone(), signal };
        match client.ask(OPERATION, command, &[]).await?.0 {
            Reply::Done | Reply::NotRunning => Ok(()),
            other => Err(super::super::client::refused(OPERATION, &other)),
        }
    }

    /// Kills it and waits for its end.
    pub(super) async fn kill_container(&self, sandbox: &Sandbox, container: &Container) -> Result<(), RuntimeError> {
        if !container.current().is_running() {
            return Ok(());
        }
        self.signal(sandbox, container, libc::SIGKILL).await?;
        let ended = tokio::time::timeout(KILL_PATIENCE, container.ended()).await;
        ended.map_err(|_| RuntimeError::failed("kill the container", "it is still there"))
    }

    pub(super) async fn remove_container(
        &self,
        sandbox: &Sandbox,
        container: &Arc<Container>,
    ) -> Result<(), RuntimeError> {
        self.kill_container(sandbox, container).await?;
        let client = sandbox.client.lock().clone();
        if let Some(client) = client {
            // A supervisor that is gone has forgotten it too.
            let _ = client.ask("remove the container", Command::Remove { container: container.id.clone() }, &[]).await;
        }
        self.clear_container(container).await?;
        if sandbox.containers.lock().remove(&container.id).is_some() {
            self.tell(sandbox.uid(), &sandbox.id, EventKind::Deleted(ContainerId(container.id.clone())));
        }
        Ok(())
    }

    async fn clear_container(&self, container: &Arc<Container>) -> Result<(), RuntimeError> {
        const OPERATION: &str = "remove the container";
        let work = container.clone();
        let remove = move || {
            work.cgroup.remove().map_err(|error| RuntimeError::failed(OPERATION, chain(&error)))?;
            store::remove(&work.directory).map_err(|error| RuntimeError::failed(OPERATION, error))
        };
        self.blocking(OPERATION, remove).await?;
        self.release(holders(container)).await.map_err(|error| RuntimeError::failed(OPERATION, chain(&error)))
    }

    async fn release(&self, holders: impl IntoIterator<Item = String>) -> Result<(), ImageError> {
        for holder in holders {
            self.options.images.release(&holder).await?;
        }
        Ok(())
    }

    pub(super) async fn update_container(
        &self,
        container: &Arc<Container>,
        update: ContainerUpdate,
    ) -> Result<(), RuntimeError> {
        const OPERATION: &str = "update the container's limits";
        let work = container.clone();
        let resources = update.resources.clone();
        let apply =
            move || work.cgroup.apply(&resources).map_err(|error| RuntimeError::failed(OPERATION, chain(&error)));
        self.blocking(OPERATION, apply).await?;
        container.facts.lock().resources.merge(&update.resources);
        Ok(())
    }

    // === statistics

    pub(super) async fn container_stats(
        &self,
        sandbox: &Sandbox,
        container: &Arc<Container>,
    ) -> Result<ContainerStats, RuntimeError> {
        const OPERATION: &str = "measure the container";
        let work = container.clone();
        let config = &container.record.config;
        let log = config.log_path.as_ref().map(|path| sandbox.record.config.log_directory.join(path));
        let measure = move || {
            let usage = work.cgroup.usage().map_err(|error| RuntimeError::failed(OPERATION, chain(&error)))?;
            Ok((usage, store::usage(&work.directory.join("upper")), log.map(|log| log_usage(&log)).unwrap_or_default()))
        };
        let (usage, writable_layer, logs) = self.blocking(OPERATION, measure).await?;
        Ok(ContainerStats {
            id: ContainerId(container.id.clone()),
            metadata: config.metadata.clone(),
            at: self.options.clock.now(),
            cpu: usage.cpu,
            memory: usage.memory,
            writable_layer,
            logs,
        })
    }

    pub(super) async fn sandbox_stats(&self, sandbox: &Arc<Sandbox>) -> Result<PodSandboxStats, RuntimeError> {
        const OPERATION: &str = "measure the pod";
        let work = sandbox.clone();
        let measure = move || {
            let usage = work.cgroup.usage().map_err(|error| RuntimeError::failed(OPERATION, chain(&error)))?;
            let on_node = work.record.config.linux.namespace_options.network == NamespaceMode::Node;
            let pid = (*work.pid.lock()).filter(|_| !on_node);
            let text = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/net/dev")).ok());
            Ok((usage, text.map(|text| network_usage(&text)).unwrap_or_default()))
        };
        let (usage, network) = self.blocking(OPERATION, measure).await?;
        let mut containers = vec![];
        for container in sandbox.list().iter().filter(|container| container.current().is_running()) {
            containers.push(self.container_stats(sandbox, container).await?);
        }
        Ok(PodSandboxStats {
            id: cri::PodSandboxId(sandbox.id.clone()),
            metadata: sandbox.record.config.metadata.clone(),
            at: self.options.clock.now(),
            cpu: usage.cpu,
            memory: usage.memory,
            network,
            process_count: usage.processes,
            containers,
        })
    }
}

/// As whom a container holds its own image and those that it mounts.
pub(super) fn holders(container: &Container) -> Vec<String> {
    let id = &container.id;
    std::iter::once(id.clone()).chain(volume_holders(&container.record.config, id)).collect()
}

fn volume_holders(config: &ContainerConfig, id: &str) -> Vec<String> {
    of_images(config).enumerate().map(|(number, _)| format!("{id}-{number}")).collect()
}

fn place(sandbox: &Sandbox, container: &Container, cgroup: String) -> Place {
    let config = &sandbox.record.config;
    let file = |name: &str| sandbox.directory.join(name);
    let mut files = vec![(file("hosts"), "/etc/hosts"), (file("hostname"), "/etc/hostname")];
    if config.dns_config.is_some() {
        files.push((file("resolv.conf"), "/etc/resolv.conf"));
    }
    let namespaces = &config.linux.namespace_options;
    Place {
        id: container.id.clone(),
        directory: container.directory.clone(),
        cgroup,
        shm: if namespaces.ipc == NamespaceMode::Node { "/dev/shm".into() } else { file("shm") },
        hostname: config.hostname.clone(),
        log_directory: config.log_directory.clone(),
        pid: namespaces.pid,
        files,
    }
}

/// The current log and those put aside.
fn log_usage(path: &Path) -> FilesystemUsage {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut usage = FilesystemUsage::default();
    for entry in path.parent().and_then(|parent| std::fs::read_dir(parent).ok()).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&name) {
            let own = store::usage(&entry.path());
            usage.used_bytes += own.used_bytes;
            usage.inodes_used += own.inodes_used;
        }
    }
    usage
}

/// Interfaces in the text of `/proc/net/dev`, but the loopback.
fn network_usage(text: &str) -> Vec<NetworkUsage> {
    let interface = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let at = |index: usize| numbers.get(index).copied();
        Some(NetworkUsage {
            name: name.trim().into(),
            rx_bytes: at(0)?,
            rx_errors: at(2)?,
            tx_bytes: at(8)?,
            tx_errors: at(10)?,
        })
    };
    text.lines().filter_map(interface).filter(|interface| interface.name != "lo").collect()
}
