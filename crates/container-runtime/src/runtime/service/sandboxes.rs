//! Making and unmaking sandboxes.

use std::fmt::Write;
use std::os::fd::AsFd;
use std::sync::Arc;

use cri::{DnsConfig, EventKind, NamespaceMode, PodSandboxConfig, PodSandboxState, PodSandboxStatus, RuntimeError};

use super::super::sandbox::Sandbox;
use super::super::store::{self, SandboxRecord};
use super::super::{Shared, chain};
use crate::supervisor::{Command, Reply, SandboxSetup};

/// Size of a pod's `/dev/shm` unless it says otherwise, as everywhere.
const SHM_BYTES: u64 = 64 << 20;

fn resolv_conf(dns: &DnsConfig) -> String {
    let mut text = String::new();
    for server in &dns.servers {
        // Writing to memory does not fail.
        let _ = writeln!(text, "nameserver {server}");
    }
    for (word, values) in [("search", &dns.searches), ("options", &dns.options)] {
        if !values.is_empty() {
            let _ = writeln!(text, "{word} {}", values.join(" "));
        }
    }
    text
}

impl Shared {
    pub(super) async fn run_sandbox(
        self: &Arc<Self>,
        config: PodSandboxConfig,
    ) -> Result<PodSandboxStatus, RuntimeError> {
        config.check_handler()?;
        let id = self.new_id();
        let on_node = config.linux.namespace_options.network == NamespaceMode::Node;
        let ips = if on_node { self.options.node_ips.clone() } else { self.allocate_addresses(&id)? };
        let record = SandboxRecord { config, created_at: self.options.clock.now(), ips };
        let directory = self.options.state_dir.join("pods").join(&id);
        let sandbox = self.known(id, directory, record);
        self.sandboxes.lock().insert(sandbox.id.clone(), sandbox.clone());
        match self.set_up(&sandbox).await {
            Ok(()) => {
                *sandbox.state.lock() = PodSandboxState::Ready;
                self.tell(sandbox.uid(), &sandbox.id, EventKind::SandboxStarted);
                Ok(sandbox.status())
            }
            Err(error) => {
                // The first error is the one to tell.
                let _ = self.clear(&sandbox).await;
                Err(match error {
                    RuntimeError::SandboxCreate(_) => error,
                    other => RuntimeError::SandboxCreate(other.to_string()),
                })
            }
        }
    }

    async fn set_up(self: &Arc<Self>, sandbox: &Arc<Sandbox>) -> Result<(), RuntimeError> {
        let work = sandbox.clone();
        let prepare = move || prepare(&work);
        let (listener, socket) = self.blocking("prepare the pod's directory", prepare).await?;
        let spawned = self.options.init.spawn_supervisor(&sandbox.id, listener.as_fd()).await;
        spawned.map_err(|error| RuntimeError::SandboxCreate(chain(&error)))?;
        drop(listener);
        let client = self.connect(sandbox, socket)?;
        let (pid, ..) = client.hello().await?;
        *sandbox.pid.lock() = Some(pid);
        *sandbox.client.lock() = Some(client.clone());
        let linux = &sandbox.record.config.linux;
        let on_node = linux.namespace_options.network == NamespaceMode::Node;
        let network = || cni::plan::pod(&sandbox.id, &sandbox.record.ips, &self.options.node_ips, self.options.mtu);
        let setup = SandboxSetup {
            directory: sandbox.directory.clone(),
            hostname: (!on_node).then(|| sandbox.record.config.hostname.clone()),
            network: (!on_node).then(network),
            namespaces: linux.namespace_options.clone(),
            sysctls: linux.sysctls.clone(),
            shm_bytes: linux.shm_size_bytes.unwrap_or(SHM_BYTES),
        };
        match client.ask("set up the pod's namespaces", Command::Setup(Box::new(setup)), &[]).await?.0 {
            Reply::Done => Ok(()),
            Reply::Failed { message } => Err(RuntimeError::SandboxCreate(message)),
            other => Err(super::super::client::refused("set up the pod's namespaces", &other)),
        }
    }

    pub(super) async fn stop_sandbox(&self, sandbox: &Arc<Sandbox>) -> Result<(), RuntimeError> {
        if let Ok(client) = sandbox.client() {
            for container in sandbox.list().iter().filter(|container| container.current().is_running()) {
                self.kill_container(sandbox, container).await?;
            }
            client.tell("stop the pod's sandbox", Command::Stop).await?;
            let was_ready = std::mem::replace(&mut *sandbox.state.lock(), PodSandboxState::NotReady);
            if was_ready == PodSandboxState::Ready {
                self.release_addresses(&sandbox.id);
                self.tell(sandbox.uid(), &sandbox.id, EventKind::SandboxStopped);
            }
        }
        Ok(())
    }

    pub(super) async fn remove_sandbox(&self, sandbox: &Arc<Sandbox>) -> Result<(), RuntimeError> {
        self.stop_sandbox(sandbox).await?;
        for container in sandbox.list() {
            self.remove_container(sandbox, &container).await?;
        }
        self.clear(sandbox).await?;
        self.tell(sandbox.uid(), &sandbox.id, EventKind::SandboxDeleted);
        Ok(())
    }

    /// Ends the supervisor and removes everything.
    async fn clear(&self, sandbox: &Arc<Sandbox>) -> Result<(), RuntimeError> {
        const OPERATION: &str = "remove the pod sandbox";
        let client = sandbox.client.lock().take();
        if let Some(client) = client {
            // It ends with its answer, or has ended.
            let _ = client.ask(OPERATION, Command::Quit, &[]).await;
        }
        let work = sandbox.clone();
        let remove = move || {
            // Left behind only where the supervisor was killed.
            let _ = rustix::mount::unmount(work.directory.join("shm"), rustix::mount::UnmountFlags::DETACH);
            let _ = work.cgroup.kill();
            work.cgroup.remove().map_err(|error| RuntimeError::failed(OPERATION, chain(&error)))?;
            store::remove(&work.directory).map_err(|error| RuntimeError::failed(OPERATION, error))
        };
        self.blocking(OPERATION, remove).await?;
        self.release_addresses(&sandbox.id);
        self.sandboxes.lock().remove(&sandbox.id);
        Ok(())
    }
}

type Sockets = (std::os::unix::net::UnixListener, std::os::unix::net::UnixStream);

/// The sandbox's directory, files and cgroup, and a connection that its supervisor will find waiting.
fn prepare(sandbox: &Sandbox) -> Result<Sockets, RuntimeError> {
    let failed =
        |error: std::io::Error| RuntimeError::failed(format!("prepare {}", sandbox.directory.display()), error);
    let config = &sandbox.record.config;
    std::fs::create_dir_all(sandbox.directory.join("containers")).map_err(failed)?;
    let file = |name: &str, text: &str| std::fs::write(sandbox.directory.join(name), text).map_err(failed);
    if let Some(dns) = &config.dns_config {
        file("resolv.conf", &resolv_conf(dns))?;
    }
    file("hostname", &format!("{}\n", config.hostname))?;
    let mut hosts = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for ip in &sandbox.record.ips {
        let _ = writeln!(hosts, "{ip}\t{}", config.hostname);
    }
    file("hosts", &hosts)?;
    let limited = |error| RuntimeError::SandboxCreate(chain(&error));
    sandbox.cgroup.create().map_err(limited)?;
    sandbox.cgroup.apply(&config.linux.resources).map_err(limited)?;
    let listener = store::listen(&sandbox.directory).map_err(failed)?;
    let socket = store::connect(&sandbox.directory).map_err(failed)?;
    // Last: a directory without it is one that was never finished.
    store::write(&sandbox.directory.join("sandbox.json"), &sandbox.record).map_err(failed)?;
    Ok((listener, socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_has_the_usual_lines() {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let dns =
            DnsConfig { servers: list(&["10.96.0.10"]), searches: list(&["a.svc", "b"]), options: list(&["ndots:5"]) };
        assert_eq!(resolv_conf(&dns), "nameserver 10.96.0.10\nsearch a.svc b\noptions ndots:5\n");
        assert_eq!(resolv_conf(&DnsConfig::default()), "");
    }
}
