//! The daemon's side of node init.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use tokio::sync::Mutex;

use super::INIT_FD_VARIABLE;
use super::protocol::{ListenAddress, PROTOCOL_VERSION, Reply, Request, SocketKind};
use crate::sys::inherit;
use crate::wire::{FrameStream, Inbox};

/// Node init refused, or is not there.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// This process was not started by node init.
    #[error("no connection to node init: {INIT_FD_VARIABLE} is not set; start the node with its launcher")]
    NotStartedByInit,
    /// The connection broke: the node is ending.
    #[error("lost the connection to node init while trying to {operation}")]
    Connection {
        /// What was asked.
        operation: &'static str,
        /// Why it broke.
        #[source]
        source: io::Error,
    },
    /// It speaks another version.
    #[error("node init speaks protocol version {theirs}, this daemon {ours}: restart the node")]
    Version {
        /// Node init's.
        theirs: u32,
        /// This daemon's.
        ours: u32,
    },
    /// It tried and failed.
    #[error("node init failed to {operation}: {message}")]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// The kernel's words.
        message: String,
    },
}

/// A socket in the host's network namespace.
pub type HostSocket = OwnedFd;

/// A supervisor that node init has forked and not yet reaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningSupervisor {
    /// Sandbox id.
    pub id: String,
    /// Process id in the node.
    pub pid: i32,
}

/// The connection to node init. Requests are answered in order; they take microseconds.
#[derive(Debug)]
pub struct InitClient {
    node: String,
    channel: Mutex<(FrameStream, Inbox)>,
}

impl InitClient {
    /// Connects over the descriptor that node init left open. Once in a process; inside a tokio runtime.
    ///
    /// # Errors
    /// [`InitError::NotStartedByInit`], [`InitError::Version`].
    pub async fn from_environment() -> Result<Self, InitError> {
        let number = std::env::var(INIT_FD_VARIABLE).ok().and_then(|number| number.parse().ok());
        let fd = inherit::take(number.ok_or(InitError::NotStartedByInit)?).map_err(|_| InitError::NotStartedByInit)?;
        Self::connect(fd.into()).await
    }

    /// Connects over a socket whose other end is in [`super::serve_for`].
    ///
    /// # Errors
    /// [`InitError::Version`], [`InitError::Connection`].
    pub async fn connect(socket: UnixStream) -> Result<Self, InitError> {
        let broken = |source| InitError::Connection { operation: "connect", source };
        let stream = FrameStream::new(socket).map_err(broken)?;
        let mut client = Self { node: String::new(), channel: Mutex::new((stream, Inbox::default())) };
        match client.ask("say hello", &Request::Hello { version: PROTOCOL_VERSION }, &[]).await? {
            (Reply::Hello { version, .. }, _) if version != PROTOCOL_VERSION => {
                Err(InitError::Version { theirs: version, ours: PROTOCOL_VERSION })
            }
            (Reply::Hello { node, .. }, _) => {
                client.node = node;
                Ok(client)
            }
            _ => Err(unexpected("say hello")),
        }
    }

    /// The node's name.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    async fn ask(
        &self,
        operation: &'static str,
        request: &Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(Reply, Option<OwnedFd>), InitError> {
        let broken = |source| InitError::Connection { operation, source };
        let mut channel = self.channel.lock().await;
        let (stream, inbox) = &mut *channel;
        stream.send(request, fds).await.map_err(broken)?;
        let (reply, mut fds) = stream.receive::<Reply>(inbox).await.map_err(broken)?;
        match reply {
            Reply::Failed(message) => Err(InitError::Refused { operation, message }),
            reply => Ok((reply, fds.pop())),
        }
    }

    async fn socket(&self, operation: &'static str, request: Request) -> Result<HostSocket, InitError> {
        match self.ask(operation, &request, &[]).await? {
            (Reply::Socket, Some(socket)) => Ok(socket),
            _ => Err(unexpected(operation)),
        }
    }

    /// A listening socket in the host's network namespace that node init keeps under `name`; made at `address` if it is not
    /// there. The daemon that is started after this one gets the same socket.
    ///
    /// # Errors
    /// The address is in use, or there is neither a socket nor an address.
    pub async fn listener(&self, name: &str, address: Option<ListenAddress>) -> Result<HostSocket, InitError> {
        self.socket("make a listening socket on the host", Request::Listener { name: name.into(), address }).await
    }

    /// Closes a kept listener. One that is not there is fine.
    ///
    /// # Errors
    /// [`InitError::Connection`].
    pub async fn close_listener(&self, name: &str) -> Result<(), InitError> {
        self.ask("close a listening socket", &Request::CloseListener { name: name.into() }, &[]).await.map(drop)
    }

    /// An unconnected socket in the host's network namespace.
    ///
    /// # Errors
    /// The kernel refused.
    pub async fn host_socket(&self, kind: SocketKind) -> Result<HostSocket, InitError> {
        self.socket("make a socket on the host", Request::Socket { kind }).await
    }

    /// A TCP connection from the host's network namespace.
    ///
    /// # Errors
    /// Node init or the connection failed.
    pub async fn connect_host(&self, to: SocketAddr) -> io::Result<tokio::net::TcpStream> {
        let kind = if to.is_ipv4() { SocketKind::Tcp4 } else { SocketKind::Tcp6 };
        let socket = self.host_socket(kind).await.map_err(io::Error::other)?;
        connect_tcp(socket, to).await
    }

    /// Forks a pod supervisor that serves `listener`.
    ///
    /// # Errors
    /// The kernel refused.
    pub(crate) async fn spawn_supervisor(&self, id: &str, listener: BorrowedFd<'_>) -> Result<i32, InitError> {
        const OPERATION: &str = "fork a pod supervisor";
        match self.ask(OPERATION, &Request::Spawn { id: id.into() }, &[listener.as_fd()]).await? {
            (Reply::Spawned { pid }, _) => Ok(pid),
            _ => Err(unexpected(OPERATION)),
        }
    }

    /// Supervisors that run.
    ///
    /// # Errors
    /// [`InitError::Connection`].
    pub async fn supervisors(&self) -> Result<Vec<RunningSupervisor>, InitError> {
        const OPERATION: &str = "list pod supervisors";
        match self.ask(OPERATION, &Request::Supervisors, &[]).await? {
            (Reply::Supervisors(list), _) => {
                Ok(list.into_iter().map(|(id, pid)| RunningSupervisor { id, pid }).collect())
            }
            _ => Err(unexpected(OPERATION)),
        }
    }

    /// Puts the rules that let the node's packets pass into foreign chains that drop what is forwarded (again, if somebody
    /// reloaded his rules). Returns those chains, for `status`; empty where nothing is in the way.
    ///
    /// # Errors
    /// nftables refused.
    pub async fn permit_forwarding(&self) -> Result<Vec<String>, InitError> {
        const OPERATION: &str = "let the node's packets pass the host's firewall";
        match self.ask(OPERATION, &Request::PermitForwarding, &[]).await? {
            (Reply::Permitted(chains), _) => Ok(chains),
            _ => Err(unexpected(OPERATION)),
        }
    }
}

fn unexpected(operation: &'static str) -> InitError {
    InitError::Refused { operation, message: "unexpected answer".into() }
}

/// Connects a TCP socket of whatever network namespace.
pub(crate) async fn connect_tcp(socket: OwnedFd, to: SocketAddr) -> io::Result<tokio::net::TcpStream> {
    let socket = std::net::TcpStream::from(socket);
    socket.set_nonblocking(true)?;
    tokio::net::TcpSocket::from_std_stream(socket).connect(to).await
}
