//! The Pods' network, as probes see it: an address answers while its sandbox is there.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use cri::fake::FakeRuntime;
use cri::{DuplexStream, PodSandboxFilter, PodSandboxState, RuntimeService};
use futures_util::future::BoxFuture;
use kubelet::ProbeDialer;
use parking_lot::Mutex;

/// What Pods answer to HTTP probes. Unless something else is said, 200.
#[derive(Debug, Default)]
pub struct Network {
    answers: Mutex<BTreeMap<IpAddr, u16>>,
}

impl Network {
    /// From now on HTTP requests to the Pod at `address` are answered with `status`.
    pub fn answer(&self, address: IpAddr, status: u16) {
        self.answers.lock().insert(address, status);
    }

    fn status(&self, address: IpAddr) -> u16 {
        self.answers.lock().get(&address).copied().unwrap_or(200)
    }
}

/// Connects a node's probes with its Pods.
#[derive(Debug)]
pub(crate) struct NodeDialer {
    pub(crate) runtime: FakeRuntime,
    pub(crate) network: Arc<Network>,
}

impl ProbeDialer for NodeDialer {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn DuplexStream>>> {
        Box::pin(async move {
            let sandboxes = self.runtime.list_pod_sandboxes(&PodSandboxFilter::default()).await;
            let there = sandboxes
                .unwrap_or_default()
                .iter()
                .any(|sandbox| sandbox.state == PodSandboxState::Ready && sandbox.ips.contains(&address.ip()));
            if !there {
                return Err(io::Error::from(io::ErrorKind::HostUnreachable));
            }
            let answer =
                format!("HTTP/1.1 {} Simulated\r\nConnection: close\r\n\r\n", self.network.status(address.ip()));
            let stream = tokio::io::join(io::Cursor::new(answer.into_bytes()), tokio::io::sink());
            Ok(Box::new(stream) as Box<dyn DuplexStream>)
        })
    }
}
