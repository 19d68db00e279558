//! The API server's way to this process' own kubelet.

use std::sync::Arc;

use apimachinery::{ApiError, Reason};
use apiserver::{ContainerTarget, LogBytes, LogOptions, LogStream, NodeConnector};
use async_trait::async_trait;
use component_base::Clock;
use cri::{AttachOptions, DuplexStream, EventKind, ExecOptions, ExecSession, RuntimeError};
use kubelet::{Kubelet, LogError, LogQuery, LogSource};
use tokio::sync::broadcast;

/// How long a follower waits for more before it looks again: a container's writes wake nobody, so this is the one place
/// where the node is asked and does not tell.
const FOLLOW_INTERVAL: std::time::Duration = std::time::Duration::from_millis(100);

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

struct Follower {
    source: LogSource,
    events: broadcast::Receiver<cri::ContainerEvent>,
    follow: bool,
    ended: bool,
    id: cri::ContainerId,
}

impl Follower {
    async fn next(mut self) -> Option<(Result<bytes::Bytes, std::io::Error>, Self)> {
        loop {
            match self.source.read_more() {
                Ok(Some(bytes)) => return Some((Ok(bytes), self)),
                Ok(None) if !self.follow || self.ended || self.source.is_full() => return None,
                Ok(None) => {}
                Err(error) => {
                    self.follow = false;
                    self.ended = true;
                    return Some((Err(std::io::Error::other(error.to_string())), self));
                }
            }
            tokio::select! {
                event = self.events.recv() => match event {
                    Ok(event) => {
                        self.ended |= matches!(event.kind, EventKind::Stopped(ref id, _) if *id == self.id);
                    }
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => self.ended = true,
                },
                () = tokio::time::sleep(FOLLOW_INTERVAL) => {}
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
        let follower = Follower { source, events, follow: options.follow, ended, id: status.id };
        Ok(Box::pin(futures_util::stream::unfold(follower, Follower::next)))
    }

    async fn exec(&self, target: &ContainerTarget, options: ExecOptions) -> Result<ExecSession, ApiError> {
        self.kubelet.exec(&target.namespace, &target.pod, &target.container, options).await.map_err(runtime_error)
    }

    async fn attach(&self, target: &ContainerTarget, options: ExecOptions) -> Result<ExecSession, ApiError> {
        let streams = AttachOptions { stdin: options.stdin, stdout: options.stdout, stderr: options.stderr };
        self.kubelet.attach(&target.namespace, &target.pod, &target.container, streams).await.map_err(runtime_error)
    }

    async fn port_forward(&self, target: &ContainerTarget, port: u16) -> Result<Box<dyn DuplexStream>, ApiError> {
        self.kubelet.port_forward(&target.namespace, &target.pod, port).await.map_err(runtime_error)
    }
}
