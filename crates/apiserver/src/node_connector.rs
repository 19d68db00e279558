//! How the server reaches containers: the kubelet of a Pod's node, in this process or over the network.

use std::net::SocketAddr;
use std::pin::Pin;

use apimachinery::ApiError;
use async_trait::async_trait;
use bytes::Bytes;
use cri::{DuplexStream, ExecOptions, ExecSession};
use futures_util::Stream;

/// A container of a Pod on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerTarget {
    /// The node.
    pub node: String,
    /// The Pod's namespace.
    pub namespace: String,
    /// The Pod.
    pub pod: String,
    /// The Pod's uid.
    pub pod_uid: String,
    /// The container's name.
    pub container: String,
}

/// Which part of a log, and how (`PodLogOptions`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Go on as the container writes.
    pub follow: bool,
    /// The log of the container's run before this one.
    pub previous: bool,
    /// Only what is at most this old, in seconds.
    pub since_seconds: Option<i64>,
    /// Only what is newer than this time.
    pub since_time: Option<jiff::Timestamp>,
    /// Each line with its time.
    pub timestamps: bool,
    /// Only the last lines.
    pub tail_lines: Option<u64>,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
    /// `All`, `Stdout` or `Stderr`.
    pub stream: LogStream,
}

/// Which of a container's streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogStream {
    /// Both.
    #[default]
    All,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Bytes of a log as they come.
pub type LogBytes = Pin<Box<dyn Stream<Item = Result<Bytes, std::io::Error>> + Send>>;

/// A way to kubelets.
#[async_trait]
pub trait NodeConnector: Send + Sync + std::fmt::Debug {
    /// Reads a container's log.
    async fn logs(&self, target: &ContainerTarget, options: LogOptions) -> Result<LogBytes, ApiError>;
    /// Runs a program in a container.
    async fn exec(&self, target: &ContainerTarget, options: ExecOptions) -> Result<ExecSession, ApiError>;
    /// Joins a container's own streams.
    async fn attach(&self, target: &ContainerTarget, options: ExecOptions) -> Result<ExecSession, ApiError>;
    /// Connects to a port in the Pod's network.
    async fn port_forward(&self, target: &ContainerTarget, port: u16) -> Result<Box<dyn DuplexStream>, ApiError>;
    /// Connects to an address in the cluster's network: of a Pod or a Service.
    async fn dial(&self, address: SocketAddr) -> std::io::Result<Box<dyn DuplexStream>>;
}
