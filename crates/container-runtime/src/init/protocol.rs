//! What daemon and node init say to each other. One request at a time, each answered.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Raised when an older peer would misunderstand.
pub(super) const PROTOCOL_VERSION: u32 = 1;

/// What kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SocketKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP over IPv4.
    Udp4,
    /// UDP over IPv6.
    Udp6,
}

/// A socket bound in the host's network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ListenAddress {
    /// Where.
    pub address: SocketAddr,
    /// UDP instead of TCP.
    pub udp: bool,
}

impl ListenAddress {
    /// TCP.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self { address, udp: false }
    }

    pub(super) fn kind(self) -> SocketKind {
        match (self.udp, self.address.is_ipv4()) {
            (false, true) => SocketKind::Tcp4,
            (false, false) => SocketKind::Tcp6,
            (true, true) => SocketKind::Udp4,
            (true, false) => SocketKind::Udp6,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    Hello {
        version: u32,
    },
    /// The listener of that name; made if an address is given and it is not there.
    Listener {
        name: String,
        address: Option<ListenAddress>,
    },
    CloseListener {
        name: String,
    },
    /// An unconnected socket in the host's network namespace.
    Socket {
        kind: SocketKind,
    },
    /// Forks a supervisor; its listening socket comes along.
    Spawn {
        id: String,
    },
    Supervisors,
    /// Lets the node's packets pass where the host forbids forwarding.
    PermitForwarding,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Hello {
        version: u32,
        node: String,
    },
    /// A descriptor comes along.
    Socket,
    Done,
    Spawned {
        pid: i32,
    },
    Supervisors(Vec<(String, i32)>),
    Permitted(Vec<String>),
    Failed(String),
}
