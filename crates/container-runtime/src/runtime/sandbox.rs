//! A sandbox and its containers, as the daemon knows them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use cri::{
    ContainerId, ContainerState, ContainerStatus, EventKind, Exit, ExitReason, LinuxContainerResources, PodSandboxId,
    PodSandboxState, PodSandboxStatus, RuntimeError,
};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::Shared;
use super::client::{Happening, SupervisorClient};
use super::store::{ContainerRecord, SandboxRecord};
use crate::cgroups::Cgroup;
use crate::supervisor::{ContainerReport, ExitRecord, Phase, Push};
use crate::user::User;

/// A container.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) directory: PathBuf,
    pub(super) record: ContainerRecord,
    pub(super) cgroup: Cgroup,
    /// Where it is in its life; whoever waits for its end holds a receiver.
    pub(super) state: watch::Sender<ContainerState>,
    pub(super) facts: Mutex<Facts>,
}

/// What is learnt of a container while it lives.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) pid: Option<i32>,
    pub(super) user: Option<User>,
    pub(super) resources: LinuxContainerResources,
}

/// A sandbox.
#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) id: String,
    pub(super) directory: PathBuf,
    pub(super) record: SandboxRecord,
    pub(super) cgroup: Cgroup,
    pub(super) state: Mutex<PodSandboxState>,
    pub(super) client: Mutex<Option<SupervisorClient>>,
    pub(super) pid: Mutex<Option<i32>>,
    pub(super) containers: Mutex<BTreeMap<String, Arc<Container>>>,
    /// Who waits for exec'd processes.
    pub(super) execs: Mutex<HashMap<u64, oneshot::Sender<i32>>>,
}

impl Container {
    pub(super) fn current(&self) -> ContainerState {
        self.state.borrow().clone()
    }

    pub(super) fn status(&self, sandbox: &Sandbox) -> ContainerStatus {
        let config = &self.record.config;
        let facts = self.facts.lock().clone();
        let state = self.current();
        ContainerStatus {
            id: ContainerId(self.id.clone()),
            sandbox_id: PodSandboxId(sandbox.id.clone()),
            metadata: config.metadata.clone(),
            pid: facts.pid.filter(|_| state.is_running()).map(i32::cast_unsigned),
            state,
            created_at: self.record.created_at,
            image: if config.user_specified_image.is_empty() {
                config.image.clone()
            } else {
                config.user_specified_image.clone()
            },
            image_id: self.record.image_id.clone(),
            image_ref: self.record.image_ref.clone(),
            log_path: config.log_path.as_ref().map(|path| sandbox.record.config.log_directory.join(path)),
            user: facts.user.map(|user| (user.uid, user.gid, user.groups)),
            stop_signal: self.record.stop_signal.clone(),
            mounts: config.mounts.clone(),
            resources: facts.resources,
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
        }
    }

    /// The client-facing error of a call that needs it to run.
    pub(super) fn not_running(&self) -> RuntimeError {
        let state = if self.current().is_exited() { "exited" } else { "created" };
        RuntimeError::ContainerNotRunning { id: self.id.clone(), state }
    }

    /// Moves to `Exited`; false if it was there.
    pub(super) fn exit(&self, record: &ExitRecord) -> bool {
        self.state.send_if_modified(|state| {
            let moves = !state.is_exited();
            if moves {
                *state = exited(record);
            }
            moves
        })
    }

    /// Takes over what the supervisor says.
    pub(super) fn learn(&self, report: &ContainerReport) {
        {
            let mut facts = self.facts.lock();
            if report.user.is_some() {
                facts.user.clone_from(&report.user);
            }
            facts.pid = match report.phase {
                Phase::Running { pid, .. } => Some(pid),
                _ => None,
            };
        }
        match &report.phase {
            Phase::Created => {}
            Phase::Running { started_at, .. } => {
                // An exit that was told already stays.
                self.state.send_if_modified(|state| {
                    let moves = *state == ContainerState::Created;
                    if moves {
                        *state = ContainerState::Running { started_at: *started_at };
                    }
                    moves
                });
            }
            Phase::Exited(record) => drop(self.exit(record)),
        }
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&self) {
        // The sender is ours, so the channel stays open.
        let _ = self.state.subscribe().wait_for(ContainerState::is_exited).await;
    }
}

pub(super) fn exited(record: &ExitRecord) -> ContainerState {
    ContainerState::Exited {
        started_at: record.started_at,
        finished_at: record.finished_at,
        exit_code: record.exit_code,
        reason: record.reason,
        message: record.message.clone(),
    }
}

impl Sandbox {
    pub(super) fn status(&self) -> PodSandboxStatus {
        let config = &self.record.config;
        PodSandboxStatus {
            id: PodSandboxId(self.id.clone()),
            metadata: config.metadata.clone(),
            state: *self.state.lock(),
            created_at: self.record.created_at,
            ips: self.record.ips.clone(),
            namespace_options: config.linux.namespace_options.clone(),
            port_mappings: config.port_mappings.clone(),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
        }
    }

    pub(super) fn uid(&self) -> &str {
        &self.record.config.metadata.uid
    }

    pub(super) fn is_ready(&self) -> bool {
        *self.state.lock() == PodSandboxState::Ready
    }

    /// Its supervisor; an error if the sandbox is not usable.
    pub(super) fn client(&self) -> Result<SupervisorClient, RuntimeError> {
        let client = self.client.lock().clone();
        client.filter(|_| self.is_ready()).ok_or_else(|| RuntimeError::SandboxNotReady(self.id.clone()))
    }

    pub(super) fn list(&self) -> Vec<Arc<Container>> {
        self.containers.lock().values().cloned().collect()
    }

    /// Something happened in its supervisor.
    pub(super) fn happened(&self, shared: &Shared, happening: Happening) {
        match happening {
            Happening::Push(Push::ExecExited { exec, exit_code }) => {
                if let Some(waiting) = self.execs.lock().remove(&exec) {
                    // Whoever waited may have given up.
                    let _ = waiting.send(exit_code);
                }
            }
            Happening::Push(Push::Exited { container, exit }) => {
                let container = self.containers.lock().get(&container).cloned();
                if let Some(container) = container {
                    self.ended(shared, &container, &exit);
                }
            }
            Happening::Gone => self.lost(shared),
        }
    }

    pub(super) fn ended(&self, shared: &Shared, container: &Container, exit: &ExitRecord) {
        if container.exit(exit) {
            let told = Exit { code: exit.exit_code, reason: exit.reason };
            shared.tell(self.uid(), &self.id, EventKind::Stopped(ContainerId(container.id.clone()), told));
        }
    }

    /// Its supervisor is gone: with it the network namespace; what still runs is killed.
    pub(super) fn lost(&self, shared: &Shared) {
        self.client.lock().take();
        self.execs.lock().clear();
        let was_ready = std::mem::replace(&mut *self.state.lock(), PodSandboxState::NotReady) == PodSandboxState::Ready;
        // Nothing else can be done about an error here; the removal of the sandbox will meet it again.
        let _ = self.cgroup.kill();
        for container in self.list() {
            if container.current().is_running() {
                let exit = last_words(shared, &container);
                self.ended(shared, &container, &exit);
            }
        }
        if was_ready {
            shared.release_addresses(&self.id);
            shared.tell(self.uid(), &self.id, EventKind::SandboxStopped);
        }
    }
}

/// How a container ended whose supervisor is gone: as that wrote down, else nobody knows.
pub(super) fn last_words(shared: &Shared, container: &Container) -> ExitRecord {
    let written: Option<ExitRecord> = super::store::read(&container.directory.join("exit.json")).ok().flatten();
    written.unwrap_or_else(|| ExitRecord {
        started_at: match container.current() {
            ContainerState::Running { started_at } => Some(started_at),
            _ => None,
        },
        finished_at: shared.options.clock.now(),
        exit_code: 255,
        reason: ExitReason::ContainerStatusUnknown,
        message: "The pod's supervisor ended before the container did".into(),
    })
}
