//! What a runtime call can fail with.

use std::time::Duration;

/// A runtime call failed. `Display` is fit for Events and `status.message`.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No such sandbox.
    #[error("pod sandbox {0:?} not found")]
    SandboxNotFound(String),
    /// No such container.
    #[error("container {0:?} not found")]
    ContainerNotFound(String),
    /// The sandbox is stopped, or its supervisor is gone.
    #[error("pod sandbox {0:?} is not ready")]
    SandboxNotReady(String),
    /// The call needs a running container.
    #[error("container {id:?} is {state}, not running")]
    ContainerNotRunning {
        /// The container.
        id: String,
        /// `created` or `exited`.
        state: &'static str,
    },
    /// The configuration asks for something impossible.
    #[error("{0}")]
    InvalidConfig(String),
    /// The image is not in the store.
    #[error("image {0:?} not found")]
    ImageNotFound(String),
    /// The sandbox could not be made.
    #[error("failed to create pod sandbox: {0}")]
    SandboxCreate(String),
    /// The container could not be made.
    #[error("failed to create container: {0}")]
    ContainerCreate(String),
    /// The program could not be executed; the text is runc's, which users and scripts know. The container is `Exited`
    /// with `StartError`.
    #[error("failed to create containerd task: failed to create shim task: OCI runtime create failed: {0}")]
    ContainerStart(String),
    /// A program could not be executed in a running container.
    #[error("OCI runtime exec failed: {message}")]
    Exec {
        /// runc's text.
        message: String,
        /// 127 not found, 126 not executable, else 128.
        exit_code: i32,
    },
    /// [`crate::RuntimeService::exec_sync`] ran out of time; the process is killed.
    #[error("command {command:?} timed out after {timeout:?}")]
    ExecTimeout {
        /// The command.
        command: String,
        /// How long it was given.
        timeout: Duration,
    },
    /// Nothing listens on that port of the pod.
    #[error("failed to connect to localhost:{port} inside namespace {id:?}, {message}")]
    PortForward {
        /// The sandbox.
        id: String,
        /// The port.
        port: u16,
        /// The kernel's words.
        message: String,
    },
    /// Anything else that the kernel or the supervisor refused.
    #[error("failed to {operation}: {message}")]
    Failed {
        /// What was tried on what.
        operation: String,
        /// Why it failed.
        message: String,
    },
}

impl RuntimeError {
    /// A [`RuntimeError::Failed`].
    pub fn failed(operation: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self::Failed { operation: operation.into(), message: cause.to_string() }
    }

    /// Whether the object of the call does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::SandboxNotFound(_) | Self::ContainerNotFound(_))
    }
}
