//! What the fake runtime remembers, and its transitions.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use component_base::watch;

use super::Script;
use crate::{
    ContainerConfig, ContainerId, ContainerState, ContainerStatus, Exit, PodSandboxConfig, PodSandboxId,
    PodSandboxState, PodSandboxStatus, RuntimeError,
};

/// One fake container.
#[derive(Debug)]
pub(super) struct FakeContainer {
    pub(super) status: ContainerStatus,
    pub(super) config: ContainerConfig,
    pub(super) script: Script,
    /// True once it ended; whoever waits for the end holds a receiver.
    pub(super) ended: watch::Sender<bool>,
}

/// One fake sandbox.
#[derive(Debug)]
pub(super) struct FakeSandbox {
    pub(super) status: PodSandboxStatus,
    pub(super) config: PodSandboxConfig,
}

/// All sandboxes and containers, in the order of their making.
#[derive(Debug)]
pub(super) struct State {
    pub(super) sandboxes: Vec<FakeSandbox>,
    pub(super) containers: Vec<FakeContainer>,
    pub(super) addresses: BTreeSet<u32>,
    pub(super) network: (u32, u32),
    pub(super) node_ip: IpAddr,
}

impl State {
    pub(super) fn new(node_ip: IpAddr) -> Self {
        let network = (u32::from(Ipv4Addr::new(10, 244, 0, 0)), 24);
        Self { sandboxes: vec![], containers: vec![], addresses: BTreeSet::new(), network, node_ip }
    }

    pub(super) fn sandbox(&mut self, id: &PodSandboxId) -> Result<&mut FakeSandbox, RuntimeError> {
        self.sandboxes
            .iter_mut()
            .find(|sandbox| sandbox.status.id == *id)
            .ok_or_else(|| RuntimeError::SandboxNotFound(id.0.clone()))
    }

    pub(super) fn ready_sandbox(&mut self, id: &PodSandboxId) -> Result<&mut FakeSandbox, RuntimeError> {
        let sandbox = self.sandbox(id)?;
        match sandbox.status.state {
            PodSandboxState::Ready => Ok(sandbox),
            PodSandboxState::NotReady => Err(RuntimeError::SandboxNotReady(id.0.clone())),
        }
    }

    pub(super) fn container(&mut self, id: &ContainerId) -> Result<&mut FakeContainer, RuntimeError> {
        self.containers
            .iter_mut()
            .find(|container| container.status.id == *id)
            .ok_or_else(|| RuntimeError::ContainerNotFound(id.0.clone()))
    }

    pub(super) fn running(&mut self, id: &ContainerId) -> Result<&mut FakeContainer, RuntimeError> {
        let container = self.container(id)?;
        let state = match container.status.state {
            ContainerState::Running { .. } => return Ok(container),
            ContainerState::Created => "created",
            ContainerState::Exited { .. } => "exited",
        };
        Err(RuntimeError::ContainerNotRunning { id: id.0.clone(), state })
    }

    /// The lowest free address above the network's own.
    pub(super) fn allocate_address(&mut self) -> Result<IpAddr, RuntimeError> {
        let (base, prefix) = self.network;
        let size = 1u32 << (32 - prefix);
        let free = (1..size - 1).map(|offset| base + offset).find(|address| !self.addresses.contains(address));
        let address = free.ok_or_else(|| RuntimeError::SandboxCreate("no IP addresses available in range".into()))?;
        self.addresses.insert(address);
        Ok(IpAddr::V4(address.into()))
    }

    pub(super) fn release_addresses(&mut self, ips: &[IpAddr]) {
        for ip in ips {
            if let IpAddr::V4(ip) = ip {
                self.addresses.remove(&u32::from(*ip));
            }
        }
    }
}

/// Moves a container to `Exited` unless it is there already; true if it moved.
pub(super) fn finish(container: &mut FakeContainer, exit: &Exit, message: &str, now: jiff::Timestamp) -> bool {
    let started_at = match container.status.state {
        ContainerState::Running { started_at } => Some(started_at),
        ContainerState::Created => None,
        ContainerState::Exited { .. } => return false,
    };
    container.status.state = ContainerState::Exited {
        started_at,
        finished_at: now,
        exit_code: exit.code,
        reason: exit.reason,
        message: message.into(),
    };
    container.status.pid = None;
    container.ended.send_replace(true);
    true
}
