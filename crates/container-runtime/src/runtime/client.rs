//! A connection to a pod supervisor.

use std::collections::HashMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use component_base::Supervisor;
use cri::RuntimeError;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::supervisor::{Command, FromSupervisor, PROTOCOL_VERSION, Push, Reply, Request};
use crate::wire::{FrameStream, Inbox};

/// An answer with its descriptors.
pub(super) type Answer = (Reply, Vec<OwnedFd>);

/// What happens without being asked for.
#[derive(Debug)]
pub(super) enum Happening {
    Push(Push),
    /// The supervisor is gone.
    Gone,
}

#[derive(Debug)]
struct Inner {
    stream: FrameStream,
    /// One sender at a time, for frames go out in pieces.
    sending: tokio::sync::Mutex<()>,
    /// None once the connection is broken.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>,
    next: AtomicU64,
}

/// Asks a supervisor. Clones share the connection.
#[derive(Debug, Clone)]
pub(super) struct SupervisorClient {
    inner: Arc<Inner>,
}

impl SupervisorClient {
    /// Takes over a connected socket; `on_happening` is called by one task, in order, ending with `Gone`.
    pub(super) fn new(
        socket: UnixStream,
        tasks: &Supervisor,
        on_happening: impl Fn(Happening) + Send + 'static,
    ) -> io::Result<Self> {
        let inner = Arc::new(Inner {
            stream: FrameStream::new(socket)?,
            sending: tokio::sync::Mutex::default(),
            waiting: Mutex::new(Some(HashMap::new())),
            next: AtomicU64::new(1),
        });
        let reader = inner.clone();
        tasks.spawn_until_shutdown("pod supervisor connection", async move {
            let mut inbox = Inbox::default();
            while let Ok((message, fds)) = reader.stream.receive(&mut inbox).await {
                match message {
                    FromSupervisor::Reply { id, reply } => {
                        let waiting = reader.waiting.lock().as_mut().and_then(|waiting| waiting.remove(&id));
                        if let Some(waiting) = waiting {
                            // Whoever asked may have given up.
                            let _ = waiting.send((reply, fds));
                        }
                    }
                    FromSupervisor::Push(push) => on_happening(Happening::Push(push)),
                }
            }
            // Those who wait see their senders dropped.
            reader.waiting.lock().take();
            on_happening(Happening::Gone);
        });
        Ok(Self { inner })
    }

    /// Asks and waits for the answer.
    pub(super) async fn ask(
        &self,
        operation: &str,
        command: Command,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Answer, RuntimeError> {
        let gone = || RuntimeError::failed(operation, "the pod's supervisor is gone");
        let id = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.inner.waiting.lock().as_mut().ok_or_else(gone)?.insert(id, sender);
        {
            let _one_at_a_time = self.inner.sending.lock().await;
            let sent = self.inner.stream.send(&Request { id, command }, fds).await;
            sent.map_err(|error| RuntimeError::failed(operation, error))?;
        }
        receiver.await.map_err(|_| gone())
    }

    /// Asks, where `Done` is the only good answer.
    pub(super) async fn tell(&self, operation: &str, command: Command) -> Result<(), RuntimeError> {
        match self.ask(operation, command, &[]).await?.0 {
            Reply::Done => Ok(()),
            other => Err(refused(operation, &other)),
        }
    }

    /// The supervisor's process id, whether its sandbox is usable, and its containers.
    pub(super) async fn hello(&self) -> Result<(i32, bool, Vec<crate::supervisor::ContainerReport>), RuntimeError> {
        const OPERATION: &str = "say hello to the pod's supervisor";
        match self.ask(OPERATION, Command::Hello { version: PROTOCOL_VERSION }, &[]).await?.0 {
            Reply::Hello { version, pid, is_set_up, containers } if version == PROTOCOL_VERSION => {
                Ok((pid, is_set_up, containers))
            }
            Reply::Hello { version, .. } => {
                let message = format!("it speaks protocol version {version}, this daemon {PROTOCOL_VERSION}");
                Err(RuntimeError::failed(OPERATION, message))
            }
            other => Err(refused(OPERATION, &other)),
        }
    }
}

/// An answer that is none of the good ones.
pub(super) fn refused(operation: &str, reply: &Reply) -> RuntimeError {
    match reply {
        Reply::Failed { message } | Reply::NotStarted { message, .. } => RuntimeError::failed(operation, message),
        Reply::NotRunning => RuntimeError::failed(operation, "the container does not run"),
        Reply::NoSuchContainer => RuntimeError::failed(operation, "the supervisor does not know the container"),
        _ => RuntimeError::failed(operation, "unexpected answer of the pod's supervisor"),
    }
}
