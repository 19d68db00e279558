//! TCP ports of `127.0.0.1` that are relayed: a rule can't lead from there to a Pod without `route_localnet`, which would
//! open the node's loopback to its neighbours.
//!
//! Who writes: the proxy's task, through [`Relays::set`]. Connections outlive their port, as they do in the kernel.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use component_base::{Supervisor, Task};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ruleset::Endpoint;

/// Connections at a time, of all ports together. Each takes two descriptors and two buffers of 8 KiB.
const CONNECTIONS_MAX: usize = 1024;
/// An endpoint that does not answer for so long is given up; a client of the kernel's rules would wait as long.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Pause after a failed accept: it is out of descriptors or memory, and no event tells when there are some again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The open ports.
#[derive(Debug)]
pub(crate) struct Relays {
    supervisor: Supervisor,
    permits: Arc<Semaphore>,
    open: BTreeMap<u16, Relay>,
}

#[derive(Debug)]
struct Relay {
    target: Endpoint,
    listener: Task<()>,
    scope: Supervisor,
}

impl Relays {
    pub(crate) fn new(supervisor: Supervisor) -> Self {
        Self { supervisor, permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)), open: BTreeMap::new() }
    }

    /// Opens and closes ports so that those of `wanted` are open. One that can't be opened (another process has it) is tried
    /// again with the next change.
    pub(crate) async fn set(&mut self, wanted: &BTreeMap<u16, Endpoint>) {
        let gone = |(port, relay): (&u16, &Relay)| (wanted.get(port) != Some(&relay.target)).then_some(*port);
        for port in self.open.iter().filter_map(gone).collect::<Vec<_>>() {
            if let Some(relay) = self.open.remove(&port) {
                relay.scope.begin_shutdown();
                relay.listener.join().await;
            }
        }
        for (&port, &target) in wanted {
            if self.open.contains_key(&port) {
                continue;
            }
            match TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).await {
                Ok(listener) => {
                    let scope = self.supervisor.child();
                    let accept = accept(listener, target, self.permits.clone(), self.supervisor.clone());
                    let listener = scope.spawn_until_shutdown(format!("relay-{port}"), accept);
                    self.open.insert(port, Relay { target, listener, scope });
                }
                Err(error) => {
                    tracing::warn!(port, %error, "a Service's port can't be opened on 127.0.0.1");
                }
            }
        }
    }
}

async fn accept(listener: TcpListener, target: Endpoint, permits: Arc<Semaphore>, supervisor: Supervisor) {
    // The semaphore is never closed.
    while let Ok(permit) = permits.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((client, _)) => {
                supervisor.spawn_until_shutdown("relay-connection", async move {
                    if let Err(error) = relay(client, target, permit).await {
                        tracing::debug!(%target, %error, "a relayed connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Copies both ways until both sides have ended; the end of one side is passed on alone.
async fn relay(mut client: TcpStream, target: Endpoint, _permit: OwnedSemaphorePermit) -> io::Result<()> {
    let mut server = tokio::time::timeout(CONNECT_PATIENCE, TcpStream::connect(target)).await??;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
