//! The API server's way to this process' own kubelet.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use apimachinery::{ApiError, Reason};
use apiserver::{ContainerTarget, LogBytes, LogOptions, LogStream, NodeConnector};
use async_trait::async_trait;
use component_base::Clock;
use cri::{AttachOptions, DuplexStream, EventKind, ExecOptions, ExecSession, RuntimeError};
use kubelet::{Kubelet, LogError, LogQuery, LogSource};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;
use tokio::sync::broadcast;

/// How long a connection to a Pod or Service may take: upstream's transports dial so long.
const DIAL_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Reaches the kubelet by calls.
#[derive(Debug)]
pub(crate) struct LocalConnector {
    kubelet: Kubelet,
    clock: Arc<dyn Clock>,
}

impl LocalConnector {
    pub(crate) fn new(kubelet: Kubelet, clock: Arc<dyn Clock>) -> Self {
        Self { kubelet, clock }
    }
}

fn runtime_error(error: RuntimeError) -> ApiError {
    match error {
        RuntimeError::ContainerNotFound(text) => ApiError::new(Reason::NotFound, 404, text),
        RuntimeError::ContainerNotRunning { .. } => ApiError::bad_request(error.to_string()),
        other => ApiError::internal(other),
    }
}

/// Wakes when something happens in a log's directory: the container wrote, or the log was rotated.
struct LogWatch {
    inotify: AsyncFd<OwnedFd>,
}

impl LogWatch {
    fn new(log: &Path) -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
        inotify::add_watch(&fd, log.parent().unwrap_or(log), flags)?;
        #[allow(
            deprecated,
            reason = "its successor is unsafe; an owned descriptor that nobody else holds is what it asks for"
        )]
        let inotify = AsyncFd::new(fd)?;
        Ok(Self { inotify })
    }

    async fn changed(&self) -> io::Result<()> {
        let mut guard = self.inotify.readable().await?;
        // What exactly happened does not matter: the log is read to its end anyway.
        let mut buffer = [0; 4096];
        while rustix::io::read(self.inotify.get_ref(), &mut buffer).is_ok_and(|count| count > 0) {}
        guard.clear_ready();
        Ok(())
    }
}

struct Follower {
    source: LogSource,
    events: broadcast::Receiver<cri::ContainerEvent>,
    /// None: what is there now, and then the end.
    watch: Option<LogWatch>,
    ended: bool,
    id: cri::ContainerId,
}

impl Follower {
    async fn next(mut self) -> Option<(Result<bytes::Bytes, io::Error>, Self)> {
        loop {
            let read = match self.source.read_more() {
                Ok(None) if self.watch.is_some() && self.source.follow_rotation().unwrap_or(false) => continue,
                other => other,
            };
            match (read, &self.watch) {
                (Ok(Some(bytes)), _) => return Some((Ok(bytes), self)),
                (Ok(None), Some(watch)) if !self.ended && !self.source.is_full() => {
                    tokio::select! {
                        event = self.events.recv() => match event {
                            Ok(event) => {
                                self.ended |= matches!(event.kind, EventKind::Stopped(ref id, _) if *id == self.id);
                            }
                            Err(broadcast::error::RecvError::Lagged(_)) => {}
                            Err(broadcast::error::RecvError::Closed) => self.ended = true,
                        },
                        changed = watch.changed() => self.ended |= changed.is_err(),
                    }
                }
                (Ok(None), _) => return None,
                (Err(error), _) => {
                    self.ended = true;
                    return Some((Err(io::Error::other(error.to_string())), self));
                }
            }
        }
    }
}

#[async_trait]
impl NodeConnector for LocalConnector {
    async fn logs(&self, target: &ContainerTarget, options: LogOptions) -> Result<LogBytes, ApiError> {
        let since_seconds = options
            .since_seconds
            .and_then(|seconds| self.clock.now().checked_sub(jiff::SignedDuration::from_secs(seconds)).ok());
        let query = LogQuery {
            since: options.since_time.or(since_seconds),
            tail_lines: options.tail_lines,
            limit_bytes: options.limit_bytes,
            timestamps: options.timestamps,
            stream: match options.stream {
                LogStream::All => None,
                LogStream::Stdout => Some("stdout"),
                LogStream::Stderr => Some("stderr"),
            },
        };
        let events = self.kubelet.subscribe();
        let opened =
            self.kubelet.open_log(&target.namespace, &target.pod, &target.container, options.previous, query).await;
        let (source, status) = opened.map_err(|error| match error {
            LogError::NotThere(text) => ApiError::bad_request(text),
            other => ApiError::internal(other),
        })?;
        let ended = status.state.is_exited();
        let watch = match status.log_path.filter(|_| options.follow) {
            Some(path) => Some(LogWatch::new(&path).map_err(ApiError::internal)?),
            None => None,
        };
        let follower = Follower { source, events, watch, ended, id: status.id };
        Ok(Box::pin(futures_util::stream::unfold(follower, Follower::next)))
    }

    async fn exec(&self, target: &ContainerTarget, options: ExecOptions) -> Result<ExecSession, ApiError> {
        match self.kubelet.exec(&target.namespace, &target.pod, &target.container, options).await {
            // As upstream: once the container is found, the session begins, and what went wrong is its end.
            Err(error) if !error.is_not_found() => Ok(ExecSession {
                stdin: None,
                stdout: None,
                stderr: None,
                terminal: None,
                exit: Box::pin(std::future::ready(Err(error))),
            }),
            other => other.map_err(runtime_error),
        }
    }

    async fn attach(&self, target: &ContainerTarget, options: ExecOptions) -> Result<ExecSession, ApiError> {
        let streams = AttachOptions { stdin: options.stdin, stdout: options.stdout, stderr: options.stderr };
        self.kubelet.attach(&target.namespace, &target.pod, &target.container, streams).await.map_err(runtime_error)
    }

    async fn port_forward(&self, target: &ContainerTarget, port: u16) -> Result<Box<dyn DuplexStream>, ApiError> {
        self.kubelet.port_forward(&target.namespace, &target.pod, port).await.map_err(runtime_error)
    }

    /// This process is in the node's network, where Pods and Services are.
    async fn dial(&self, address: SocketAddr) -> io::Result<Box<dyn DuplexStream>> {
        let connecting = tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect(address));
        let stream = connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
