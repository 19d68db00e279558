//! The fake [`RuntimeService`].

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use component_base::{Clock, Random, Supervisor, watch};
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::state::{FakeContainer, FakeSandbox, State, finish};
use super::{FakeImages, OnStop, Script, Selector};
use crate::{
    AttachOptions, ContainerConfig, ContainerEvent, ContainerFilter, ContainerId, ContainerState, ContainerStats,
    ContainerStatus, ContainerUpdate, CpuUsage, DuplexStream, EVENT_QUEUE_MAX, EventKind, ExecOptions, ExecOutput,
    ExecSession, Exit, ExitReason, FilesystemUsage, LinuxContainerResources, MemoryUsage, NamespaceMode, NetworkUsage,
    PodSandboxConfig, PodSandboxFilter, PodSandboxId, PodSandboxState, PodSandboxStats, PodSandboxStatus,
    RuntimeCondition, RuntimeConfig, RuntimeError, RuntimeService, RuntimeStatus, RuntimeVersion, Timeout,
};

/// Bytes that a fake forwarded port holds in each direction.
const FORWARD_BUFFER_BYTES: usize = 64 << 10;

/// What a fake runtime needs.
#[derive(Debug, Clone)]
pub struct FakeRuntimeOptions {
    /// Timestamps.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub random: Arc<Random>,
    /// Owns the timers of containers that exit by themselves.
    pub supervisor: Supervisor,
    /// Address of pods that use the node's network.
    pub node_ip: IpAddr,
    /// How long `run_pod_sandbox` takes.
    pub sandbox_latency: Duration,
}

impl FakeRuntimeOptions {
    /// No latency, node address 192.0.2.1.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, random: Arc<Random>, supervisor: Supervisor) -> Self {
        let node_ip = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        Self { clock, random, supervisor, node_ip, sandbox_latency: Duration::ZERO }
    }
}

/// The runtime in memory. Clones share everything.
#[derive(Debug, Clone)]
pub struct FakeRuntime {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: FakeRuntimeOptions,
    images: Arc<FakeImages>,
    events: broadcast::Sender<ContainerEvent>,
    state: Mutex<State>,
    scripts: Mutex<Vec<(Selector, Script)>>,
    sandbox_failures: Mutex<Vec<String>>,
}

impl FakeRuntime {
    /// A runtime without pods.
    #[must_use]
    pub fn new(options: FakeRuntimeOptions, images: Arc<FakeImages>) -> Self {
        let (events, _) = broadcast::channel(EVENT_QUEUE_MAX);
        let state = Mutex::new(State::new(options.node_ip));
        let (scripts, sandbox_failures) = (Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Shared { options, images, events, state, scripts, sandbox_failures }) }
    }

    /// Says what containers made from now on do. The script added last wins.
    pub fn script(&self, selector: Selector, script: Script) {
        self.shared.scripts.lock().push((selector, script));
    }

    /// Makes the next `run_pod_sandbox` fail with `message`; several queue up.
    pub fn fail_next_sandbox(&self, message: &str) {
        self.shared.sandbox_failures.lock().insert(0, message.into());
    }

    /// Ends a running container, as a crash does. False if it was not running.
    pub fn end_container(&self, id: &ContainerId, code: i32, reason: ExitReason) -> bool {
        self.shared.end(id, &Exit { code, reason }, "")
    }

    /// Lets a sandbox break, as when its supervisor is killed: its containers end too.
    pub fn break_sandbox(&self, id: &PodSandboxId) {
        self.shared.stop_sandbox(id);
    }
}

// === impl Shared ===

impl Shared {
    fn new_id(&self) -> String {
        (0..4).map(|_| format!("{:016x}", self.options.random.next_u64())).collect()
    }

    /// Tells an event; call it after the lock on the state is released.
    fn tell(&self, pod_uid: &str, sandbox_id: &PodSandboxId, kind: EventKind) {
        let event = ContainerEvent {
            pod_uid: pod_uid.into(),
            sandbox_id: sandbox_id.clone(),
            kind,
            at: self.options.clock.now(),
        };
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    fn tell_of_container(&self, id: &ContainerId, kind: EventKind) {
        let owner = {
            let mut state = self.state.lock();
            let sandbox_id = state.container(id).map(|container| container.status.sandbox_id.clone());
            sandbox_id.and_then(|sandbox| Ok((state.sandbox(&sandbox)?.config.metadata.uid.clone(), sandbox)))
        };
        if let Ok((uid, sandbox)) = owner {
            self.tell(&uid, &sandbox, kind);
        }
    }

    fn end(&self, id: &ContainerId, exit: &Exit, message: &str) -> bool {
        let moved = {
            let now = self.options.clock.now();
            let mut state = self.state.lock();
            state.container(id).is_ok_and(|container| finish(container, exit, message, now))
        };
        if moved {
            self.tell_of_container(id, EventKind::Stopped(id.clone(), exit.clone()));
        }
        moved
    }

    fn stop_sandbox(&self, id: &PodSandboxId) {
        let running: Vec<ContainerId> = {
            let state = self.state.lock();
            let of_sandbox = state.containers.iter().filter(|container| container.status.sandbox_id == *id);
            of_sandbox.filter(|c| c.status.state.is_running()).map(|c| c.status.id.clone()).collect()
        };
        for container in running {
            self.end(&container, &Exit { code: 137, reason: ExitReason::Error }, "");
        }
        let stopped = {
            let mut state = self.state.lock();
            let stopped = state.ready_sandbox(id).map(|sandbox| {
                sandbox.status.state = PodSandboxState::NotReady;
                (sandbox.config.metadata.uid.clone(), sandbox.status.ips.clone())
            });
            stopped.inspect(|(_, ips)| state.release_addresses(ips))
        };
        if let Ok((uid, _)) = stopped {
            self.tell(&uid, id, EventKind::SandboxStopped);
        }
    }

    /// The receiver that says when a container has ended.
    fn ended(&self, id: &ContainerId) -> Result<watch::Receiver<bool>, RuntimeError> {
        Ok(self.state.lock().container(id)?.ended.subscribe())
    }

    fn container_stats(&self, id: &ContainerId) -> Result<ContainerStats, RuntimeError> {
        let now = self.options.clock.now();
        let mut state = self.state.lock();
        let container = state.container(id)?;
        let (ran_ns, memory) = match container.status.state {
            ContainerState::Running { started_at } => {
                let ran = now.duration_since(started_at).as_nanos();
                (u64::try_from(ran).unwrap_or(0), container.script.memory_bytes)
            }
            _ => (0, 0),
        };
        let limit = container.config.resources.memory_limit_bytes.and_then(|limit| u64::try_from(limit).ok());
        Ok(ContainerStats {
            id: id.clone(),
            metadata: container.status.metadata.clone(),
            at: now,
            cpu: CpuUsage { usage_core_nanoseconds: ran_ns / 1000 * container.script.cpu_milli },
            memory: MemoryUsage {
                working_set_bytes: memory,
                usage_bytes: memory,
                rss_bytes: memory,
                available_bytes: limit.map(|limit| limit.saturating_sub(memory)),
                ..MemoryUsage::default()
            },
            writable_layer: FilesystemUsage { used_bytes: 4096, inodes_used: 1 },
            logs: FilesystemUsage::default(),
        })
    }
}

fn ready() -> RuntimeCondition {
    RuntimeCondition { status: true, reason: String::new(), message: String::new() }
}

#[async_trait]
impl RuntimeService for FakeRuntime {
    fn version(&self) -> RuntimeVersion {
        RuntimeVersion { name: "fake".into(), version: "1.0.0".into() }
    }

    async fn status(&self) -> RuntimeStatus {
        RuntimeStatus { runtime_ready: ready(), network_ready: ready() }
    }

    async fn update_runtime_config(&self, config: RuntimeConfig) -> Result<(), RuntimeError> {
        for cidr in &config.pod_cidrs {
            let invalid = || RuntimeError::InvalidConfig(format!("invalid pod CIDR {cidr:?}"));
            let (address, prefix) = cidr.split_once('/').ok_or_else(invalid)?;
            let prefix = prefix.parse::<u32>().map_err(|_| invalid())?;
            if let IpAddr::V4(address) = address.parse::<IpAddr>().map_err(|_| invalid())? {
                if !(8..=30).contains(&prefix) {
                    return Err(invalid());
                }
                self.shared.state.lock().network = (u32::from(address), prefix);
            }
        }
        Ok(())
    }

    async fn run_pod_sandbox(&self, config: PodSandboxConfig) -> Result<PodSandboxStatus, RuntimeError> {
        config.check_handler()?;
        let shared = &self.shared;
        tokio::time::sleep(shared.options.sandbox_latency).await;
        if let Some(message) = shared.sandbox_failures.lock().pop() {
            return Err(RuntimeError::SandboxCreate(message));
        }
        let id = PodSandboxId(shared.new_id());
        let status = {
            let mut state = shared.state.lock();
            let ips = match config.linux.namespace_options.network {
                NamespaceMode::Node => vec![state.node_ip],
                _ => vec![state.allocate_address()?],
            };
            let status = PodSandboxStatus {
                id: id.clone(),
                metadata: config.metadata.clone(),
                state: PodSandboxState::Ready,
                created_at: shared.options.clock.now(),
                ips,
                namespace_options: config.linux.namespace_options.clone(),
                port_mappings: config.port_mappings.clone(),
                labels: config.labels.clone(),
                annotations: config.annotations.clone(),
            };
            state.sandboxes.push(FakeSandbox { status: status.clone(), config });
            status
        };
        shared.tell(&status.metadata.uid, &id, EventKind::SandboxStarted);
        Ok(status)
    }

    async fn stop_pod_sandbox(&self, id: &PodSandboxId) -> Result<(), RuntimeError> {
        self.shared.stop_sandbox(id);
        Ok(())
    }

    async fn remove_pod_sandbox(&self, id: &PodSandboxId) -> Result<(), RuntimeError> {
        self.shared.stop_sandbox(id);
        let containers: Vec<ContainerId> = {
            let state = self.shared.state.lock();
            let of_sandbox = state.containers.iter().filter(|container| container.status.sandbox_id == *id);
            of_sandbox.map(|container| container.status.id.clone()).collect()
        };
        for container in containers {
            self.remove_container(&container).await?;
        }
        let removed = {
            let mut state = self.shared.state.lock();
            let at = state.sandboxes.iter().position(|sandbox| sandbox.status.id == *id);
            at.map(|at| state.sandboxes.remove(at))
        };
        if let Some(sandbox) = removed {
            self.shared.tell(&sandbox.config.metadata.uid, id, EventKind::SandboxDeleted);
        }
        Ok(())
    }

    async fn list_pod_sandboxes(&self, filter: &PodSandboxFilter) -> Result<Vec<PodSandboxStatus>, RuntimeError> {
        let state = self.shared.state.lock();
        Ok(state.sandboxes.iter().map(|sandbox| &sandbox.status).filter(|s| filter.matches(s)).cloned().collect())
    }

    async fn pod_sandbox_status(&self, id: &PodSandboxId) -> Result<PodSandboxStatus, RuntimeError> {
        Ok(self.shared.state.lock().sandbox(id)?.status.clone())
    }

    async fn create_container(
        &self,
        sandbox_id: &PodSandboxId,
        config: ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        let shared = &self.shared;
        let found = shared.images.find(&config.image);
        let image = found.ok_or_else(|| RuntimeError::ImageNotFound(config.image.clone()))?;
        let id = ContainerId(shared.new_id());
        {
            let mut state = shared.state.lock();
            let sandbox = state.ready_sandbox(sandbox_id)?;
            let log_path = config.log_path.as_ref().map(|path| sandbox.config.log_directory.join(path));
            let written =
                if config.user_specified_image.is_empty() { &config.image } else { &config.user_specified_image };
            let script = {
                let scripts = shared.scripts.lock();
                let pod = &sandbox.config.metadata;
                let last = scripts.iter().rev().find(|(s, _)| s.matches(pod, &config.metadata.name, written));
                last.map(|(_, script)| script.clone()).unwrap_or_default()
            };
            let status = ContainerStatus {
                id: id.clone(),
                sandbox_id: sandbox_id.clone(),
                metadata: config.metadata.clone(),
                state: ContainerState::Created,
                created_at: shared.options.clock.now(),
                image: written.clone(),
                image_ref: image.repo_digests.first().cloned().unwrap_or_else(|| image.id.clone()),
                image_id: image.id,
                log_path,
                pid: None,
                user: Some((config.security_context.run_as_user.unwrap_or(0), 0, vec![])),
                stop_signal: config.stop_signal.clone().unwrap_or_else(|| "SIGTERM".into()),
                mounts: config.mounts.clone(),
                resources: config.resources.clone(),
                labels: config.labels.clone(),
                annotations: config.annotations.clone(),
            };
            state.containers.push(FakeContainer { status, config, script, ended: watch::Sender::new(false) });
        }
        shared.tell_of_container(&id, EventKind::Created(id.clone()));
        Ok(id)
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let shared = &self.shared;
        let script = {
            let mut state = shared.state.lock();
            let container = state.container(id)?;
            if container.status.state != ContainerState::Created {
                return Err(RuntimeError::InvalidConfig(format!("container {:?} was started before", id.0)));
            }
            container.script.clone()
        };
        tokio::time::sleep(script.start_latency).await;
        if let Some(message) = script.start_error {
            shared.end(id, &Exit { code: 128, reason: ExitReason::StartError }, &message);
            return Err(RuntimeError::ContainerStart(message));
        }
        {
            let now = shared.options.clock.now();
            let mut state = shared.state.lock();
            let container = state.container(id)?;
            if container.status.state != ContainerState::Created {
                return Err(RuntimeError::ContainerNotRunning { id: id.0.clone(), state: "exited" });
            }
            container.status.state = ContainerState::Running { started_at: now };
            container.status.pid = Some(1);
        }
        shared.tell_of_container(id, EventKind::Started(id.clone()));
        if let Some(exit) = script.exit {
            let (runtime, id) = (self.shared.clone(), id.clone());
            let mut ended = shared.ended(&id)?;
            shared.options.supervisor.spawn_until_shutdown("fake container", async move {
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(exit.after) => {
                        runtime.end(&id, &Exit { code: exit.code, reason: exit.reason }, "");
                    }
                    _ = ended.wait_for(|ended| *ended) => {}
                }
            });
        }
        Ok(())
    }

    async fn stop_container(&self, id: &ContainerId, grace_period: Duration) -> Result<(), RuntimeError> {
        let shared = &self.shared;
        let (on_stop, state) = match shared.state.lock().container(id) {
            Ok(container) => (container.script.on_stop.clone(), container.status.state.clone()),
            Err(_) => return Ok(()),
        };
        match state {
            ContainerState::Exited { .. } => return Ok(()),
            ContainerState::Created => {
                shared.end(id, &Exit { code: 137, reason: ExitReason::Error }, "");
                return Ok(());
            }
            ContainerState::Running { .. } => {}
        }
        let (after, code) = match on_stop {
            OnStop::Exit { after, code } if after < grace_period || after.is_zero() => (after, code),
            _ => (grace_period, 137),
        };
        let mut ended = shared.ended(id)?;
        tokio::select! {
            biased;
            () = tokio::time::sleep(after) => {
                let reason = if code == 0 { ExitReason::Completed } else { ExitReason::Error };
                shared.end(id, &Exit { code, reason }, "");
            }
            _ = ended.wait_for(|ended| *ended) => {}
        }
        Ok(())
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.shared.end(id, &Exit { code: 137, reason: ExitReason::Error }, "");
        let (removed, uid) = {
            let mut state = self.shared.state.lock();
            let at = state.containers.iter().position(|container| container.status.id == *id);
            let Some(removed) = at.map(|at| state.containers.remove(at)) else { return Ok(()) };
            let uid = state.sandbox(&removed.status.sandbox_id).map(|sandbox| sandbox.config.metadata.uid.clone());
            (removed, uid.unwrap_or_default())
        };
        self.shared.tell(&uid, &removed.status.sandbox_id, EventKind::Deleted(id.clone()));
        Ok(())
    }

    async fn list_containers(&self, filter: &ContainerFilter) -> Result<Vec<ContainerStatus>, RuntimeError> {
        let state = self.shared.state.lock();
        Ok(state.containers.iter().map(|c| &c.status).filter(|status| filter.matches(status)).cloned().collect())
    }

    async fn container_status(&self, id: &ContainerId) -> Result<ContainerStatus, RuntimeError> {
        Ok(self.shared.state.lock().container(id)?.status.clone())
    }

    async fn update_container_resources(&self, id: &ContainerId, update: ContainerUpdate) -> Result<(), RuntimeError> {
        let mut state = self.shared.state.lock();
        let container = state.container(id)?;
        container.status.resources.merge(&update.resources);
        container.config.resources = container.status.resources.clone();
        Ok(())
    }

    async fn update_pod_sandbox_resources(
        &self,
        id: &PodSandboxId,
        resources: LinuxContainerResources,
    ) -> Result<(), RuntimeError> {
        self.shared.state.lock().sandbox(id)?.config.linux.resources.merge(&resources);
        Ok(())
    }

    async fn exec_sync(
        &self,
        id: &ContainerId,
        argv: &[String],
        _timeout: Timeout,
    ) -> Result<ExecOutput, RuntimeError> {
        let handler = self.shared.state.lock().running(id)?.script.exec.clone();
        Ok(handler.map(|handler| handler(argv)).unwrap_or_default())
    }

    async fn exec(&self, id: &ContainerId, options: ExecOptions) -> Result<ExecSession, RuntimeError> {
        let output = self.exec_sync(id, &options.argv, None).await?;
        let code = output.exit_code;
        Ok(ExecSession {
            stdin: options.stdin.then(|| Box::new(tokio::io::sink()) as _),
            stdout: options.stdout.then(|| Box::new(std::io::Cursor::new(output.stdout)) as _),
            stderr: (options.stderr && !options.tty).then(|| Box::new(std::io::Cursor::new(output.stderr)) as _),
            terminal: None,
            exit: async move { Ok(code) }.boxed(),
        })
    }

    async fn attach(&self, id: &ContainerId, options: AttachOptions) -> Result<ExecSession, RuntimeError> {
        let mut ended = self.shared.state.lock().running(id)?.ended.subscribe();
        let (shared, id) = (self.shared.clone(), id.clone());
        let exit = async move {
            // A closed channel means that the container was removed, so it has ended.
            let _ = ended.wait_for(|ended| *ended).await;
            match &shared.state.lock().container(&id)?.status.state {
                ContainerState::Exited { exit_code, .. } => Ok(*exit_code),
                _ => Err(RuntimeError::ContainerNotFound(id.0.clone())),
            }
        };
        Ok(ExecSession {
            stdin: options.stdin.then(|| Box::new(tokio::io::sink()) as _),
            stdout: options.stdout.then(|| Box::new(tokio::io::empty()) as _),
            stderr: options.stderr.then(|| Box::new(tokio::io::empty()) as _),
            terminal: None,
            exit: exit.boxed(),
        })
    }

    /// Every port of a fake pod sends back what it gets.
    async fn port_forward(&self, id: &PodSandboxId, _port: u16) -> Result<Box<dyn DuplexStream>, RuntimeError> {
        self.shared.state.lock().ready_sandbox(id)?;
        let (near, far) = tokio::io::duplex(FORWARD_BUFFER_BYTES);
        self.shared.options.supervisor.spawn_until_shutdown("fake port", async move {
            let (mut read, mut write) = tokio::io::split(far);
            // An error means that the caller hung up.
            let _ = tokio::io::copy(&mut read, &mut write).await;
        });
        Ok(Box::new(near))
    }

    async fn container_stats(&self, id: &ContainerId) -> Result<ContainerStats, RuntimeError> {
        self.shared.container_stats(id)
    }

    async fn pod_sandbox_stats(&self, id: &PodSandboxId) -> Result<PodSandboxStats, RuntimeError> {
        let (metadata, members) = {
            let mut state = self.shared.state.lock();
            let metadata = state.sandbox(id)?.config.metadata.clone();
            let running = state.containers.iter().filter(|c| c.status.sandbox_id == *id && c.status.state.is_running());
            (metadata, running.map(|container| container.status.id.clone()).collect::<Vec<_>>())
        };
        let containers = members.iter().map(|id| self.shared.container_stats(id)).collect::<Result<Vec<_>, _>>()?;
        let memory = containers.iter().map(|container| container.memory.working_set_bytes).sum();
        Ok(PodSandboxStats {
            id: id.clone(),
            metadata,
            at: self.shared.options.clock.now(),
            cpu: CpuUsage {
                usage_core_nanoseconds: containers.iter().map(|container| container.cpu.usage_core_nanoseconds).sum(),
            },
            memory: MemoryUsage {
                working_set_bytes: memory,
                usage_bytes: memory,
                rss_bytes: memory,
                ..MemoryUsage::default()
            },
            network: vec![NetworkUsage { name: "eth0".into(), ..NetworkUsage::default() }],
            process_count: containers.len() as u64,
            containers,
        })
    }

    fn subscribe(&self) -> broadcast::Receiver<ContainerEvent> {
        self.shared.events.subscribe()
    }
}
