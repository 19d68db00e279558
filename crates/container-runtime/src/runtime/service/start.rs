//! Starting the runtime: finding again what was left running.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use cni::{Cidr, Ipam};
use cri::{EVENT_QUEUE_MAX, PodSandboxState, RuntimeError};
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

use super::super::client::SupervisorClient;
use super::super::sandbox::{Container, Facts, Sandbox, exited, last_words};
use super::super::store::{self, ContainerRecord, SandboxRecord};
use super::super::{ContainerRuntime, RuntimeOptions, Shared, chain};
use crate::cgroups::{Cgroup, Hierarchies};
use crate::supervisor::ExitRecord;

impl ContainerRuntime {
    /// A runtime with all sandboxes whose state is on disk: those whose supervisors answer are as they were, nothing of them
    /// was restarted; the others are not ready, and what still ran of them is killed.
    ///
    /// # Errors
    /// The state directory can't be read, or there are no cgroups.
    pub async fn start(options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let failed = |error: std::io::Error| RuntimeError::failed("start the container runtime", error);
        let hierarchies = Arc::new(Hierarchies::detect().map_err(failed)?);
        let (events, _) = broadcast::channel(EVENT_QUEUE_MAX);
        let pods = options.state_dir.join("pods");
        std::fs::create_dir_all(&pods).map_err(failed)?;
        // Configurations hold environments, and those hold secrets.
        std::fs::set_permissions(&pods, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let shared =
            Arc::new(Shared { options, hierarchies, events, sandboxes: Mutex::default(), ipams: Mutex::default() });
        for (id, directory) in store::directories(&pods).map_err(failed)? {
            shared.adopt(id, directory).await?;
        }
        let sandboxes: Vec<_> = shared.sandboxes.lock().values().cloned().collect();
        let containers: Vec<_> = sandboxes.iter().flat_map(|sandbox| sandbox.list()).collect();
        let holders: Vec<_> = containers.iter().flat_map(|container| super::containers::holders(container)).collect();
        let retained = shared.options.images.retain(&holders).await;
        retained.map_err(|error| RuntimeError::failed("start the container runtime", chain(&error)))?;
        Ok(Self { shared })
    }
}

impl Shared {
    pub(super) fn cgroup(&self, path: &str) -> Cgroup {
        Cgroup::new(self.hierarchies.clone(), path)
    }

    pub(super) fn pod_cgroup(&self, record: &SandboxRecord) -> String {
        let root = self.options.cgroup_root.trim_matches('/');
        let slash = if root.is_empty() { "" } else { "/" };
        let qos = match record.config.linux.qos_class {
            cri::QosClass::Guaranteed => "",
            cri::QosClass::Burstable => "/burstable",
            cri::QosClass::BestEffort => "/besteffort",
        };
        format!("{root}{slash}kubepods{qos}/pod{}", record.config.metadata.uid)
    }

    async fn adopt(self: &Arc<Self>, id: String, directory: PathBuf) -> Result<(), RuntimeError> {
        const OPERATION: &str = "read the runtime's state";
        let failed =
            |error: std::io::Error| RuntimeError::failed(OPERATION, format!("{}: {error}", directory.display()));
        let Some(record) = store::read::<SandboxRecord>(&directory.join("sandbox.json")).map_err(failed)? else {
            // A daemon died while making it: nobody was told of it.
            return store::remove(&directory).map_err(failed);
        };
        let sandbox = self.known(id, directory.clone(), record);
        for (id, directory) in store::directories(&directory.join("containers")).map_err(failed)? {
            match store::read::<ContainerRecord>(&directory.join("container.json")).map_err(failed)? {
                None => store::remove(&directory).map_err(failed)?,
                Some(record) => {
                    let written: Option<ExitRecord> = store::read(&directory.join("exit.json")).map_err(failed)?;
                    let container = self.known_container(&sandbox, id.clone(), directory, record);
                    if let Some(written) = written {
                        container.state.send_replace(exited(&written));
                    }
                    sandbox.containers.lock().insert(id, container);
                }
            }
        }
        self.sandboxes.lock().insert(sandbox.id.clone(), sandbox.clone());
        let connected = store::connect(&sandbox.directory).map_err(|error| RuntimeError::failed(OPERATION, error));
        let greeted = match connected {
            Ok(socket) => self.greet(&sandbox, socket).await,
            Err(error) => Err(error),
        };
        if let Err(error) = greeted {
            tracing::warn!(sandbox = sandbox.id, error = chain(&error), "a pod's supervisor is gone");
            let _ = sandbox.cgroup.kill();
            for container in sandbox.list() {
                // One that was never started has nothing running either, but can't be started any more.
                let exit = last_words(self, &container);
                sandbox.ended(self, &container, &exit);
            }
        }
        Ok(())
    }

    async fn greet(
        self: &Arc<Self>,
        sandbox: &Arc<Sandbox>,
        socket: std::os::unix::net::UnixStream,
    ) -> Result<(), RuntimeError> {
        let client = self.connect(sandbox, socket)?;
        let (pid, is_set_up, reports) = client.hello().await?;
        *sandbox.pid.lock() = Some(pid);
        *sandbox.client.lock() = Some(client);
        if is_set_up {
            *sandbox.state.lock() = PodSandboxState::Ready;
        }
        let containers = sandbox.list();
        for container in &containers {
            match reports.iter().find(|report| report.id == container.id) {
                Some(report) => container.learn(report),
                // Its record was written, but the supervisor was not told any more.
                None => drop(container.exit(&last_words(self, container))),
            }
        }
        Ok(())
    }

    pub(super) fn connect(
        self: &Arc<Self>,
        sandbox: &Arc<Sandbox>,
        socket: std::os::unix::net::UnixStream,
    ) -> Result<SupervisorClient, RuntimeError> {
        // Weak, so that a runtime that is dropped closes its connections.
        let (shared, weak) = (Arc::downgrade(self), Arc::downgrade(sandbox));
        let on_happening = move |happening| {
            if let (Some(shared), Some(sandbox)) = (shared.upgrade(), weak.upgrade()) {
                sandbox.happened(&shared, happening);
            }
        };
        SupervisorClient::new(socket, &self.options.supervisor, on_happening)
            .map_err(|error| RuntimeError::failed("connect to the pod's supervisor", error))
    }

    pub(super) fn known(&self, id: String, directory: PathBuf, record: SandboxRecord) -> Arc<Sandbox> {
        Arc::new(Sandbox {
            cgroup: self.cgroup(&self.pod_cgroup(&record)),
            id,
            directory,
            record,
            state: Mutex::new(PodSandboxState::NotReady),
            client: Mutex::default(),
            pid: Mutex::default(),
            containers: Mutex::default(),
            execs: Mutex::default(),
        })
    }

    pub(super) fn known_container(
        &self,
        sandbox: &Sandbox,
        id: String,
        directory: PathBuf,
        record: ContainerRecord,
    ) -> Arc<Container> {
        let facts = Facts { resources: record.config.resources.clone(), ..Facts::default() };
        Arc::new(Container {
            cgroup: self.cgroup(&format!("{}/{id}", self.pod_cgroup(&sandbox.record))),
            id,
            directory,
            record,
            state: watch::Sender::new(cri::ContainerState::Created),
            facts: Mutex::new(facts),
        })
    }

    // === addresses

    /// Sets the ranges that pods get addresses from; those that pods have stay theirs.
    pub(super) fn set_ranges(&self, cidrs: &[String]) -> Result<(), RuntimeError> {
        let parse =
            |cidr: &String| cidr.parse::<Cidr>().map_err(|error| RuntimeError::InvalidConfig(error.to_string()));
        let ranges: Vec<Cidr> = cidrs.iter().map(parse).collect::<Result<_, _>>()?;
        let mut ipams = self.ipams.lock();
        if ipams.iter().map(Ipam::range).eq(ranges.iter().copied()) {
            return Ok(());
        }
        let mut fresh: Vec<Ipam> = ranges.into_iter().map(Ipam::new).collect();
        for sandbox in self.all().iter().filter(|sandbox| sandbox.is_ready()) {
            for ip in &sandbox.record.ips {
                for ipam in &mut fresh {
                    // An address out of the range belongs to an earlier one, or to the node.
                    let _ = ipam.reserve(&sandbox.id, *ip);
                }
            }
        }
        *ipams = fresh;
        Ok(())
    }

    pub(super) fn allocate_addresses(&self, id: &str) -> Result<Vec<std::net::IpAddr>, RuntimeError> {
        let failed = |message: String| {
            RuntimeError::SandboxCreate(format!("failed to setup network for sandbox {id:?}: {message}"))
        };
        let mut ipams = self.ipams.lock();
        if ipams.is_empty() {
            return Err(failed("the node has no pod CIDR yet".into()));
        }
        ipams.iter_mut().map(|ipam| ipam.allocate(id).map_err(|error| failed(error.to_string()))).collect()
    }
}

impl Shared {
    /// Gives the addresses of a sandbox back.
    pub(in super::super) fn release_addresses(&self, id: &str) {
        self.ipams.lock().iter_mut().for_each(|ipam| ipam.release(id));
    }
}
