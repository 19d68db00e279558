//! The contract between the kubelet and a container runtime, shaped like CRI v1.
//!
//! Traits and plain types, no IO. The kubelet knows only this crate; `container-runtime` implements [`RuntimeService`]
//! and [`ImageService`] with the kernel, [`fake`] implements both in memory and in virtual time.
//!
//! Where we differ from CRI's protobuf:
//! - states are enums that carry their data ([`ContainerState`]), not a tag beside optional fields;
//! - streaming calls hand over byte streams, not URLs of a streaming server;
//! - [`RuntimeService::subscribe`] tells everything that happens, so that nobody polls;
//! - absent on purpose: checkpoints, user namespaces, Windows, log reopening (the runtime rotates its logs itself).

mod container;
mod error;
mod event;
pub mod fake;
mod image;
mod resources;
mod runtime;
mod sandbox;
mod security;
mod stats;
mod stream;

pub use container::{
    ContainerConfig, ContainerFilter, ContainerId, ContainerMetadata, ContainerState, ContainerStatus, Device,
    ExitReason, KeyValue, Mount, MountPropagation,
};
pub use error::RuntimeError;
pub use event::{ContainerEvent, EVENT_QUEUE_MAX, EventKind, Exit};
pub use image::{
    Auth, FilesystemUsage, Image, ImageConfig, ImageError, ImageRef, ImageService, Keyring, KeyringError, PullProgress,
    PullRequest, Reference, ReferenceError, Secret,
};
pub use resources::{HugepageLimit, LinuxContainerResources};
pub use runtime::{ContainerUpdate, RuntimeCondition, RuntimeConfig, RuntimeService, RuntimeStatus, RuntimeVersion};
pub use sandbox::{
    DnsConfig, LinuxPodSandboxConfig, PodSandboxConfig, PodSandboxFilter, PodSandboxId, PodSandboxMetadata,
    PodSandboxState, PodSandboxStatus, PortMapping, Protocol, QosClass, RUNTIME_HANDLERS,
};
pub use security::{
    Capabilities, LinuxContainerSecurityContext, NamespaceMode, NamespaceOptions, SeccompProfile,
    SupplementalGroupsPolicy,
};
pub use stats::{ContainerStats, CpuUsage, MemoryUsage, NetworkUsage, PodSandboxStats};
pub use stream::{
    AttachOptions, ByteReader, ByteWriter, DuplexStream, EXEC_SYNC_OUTPUT_MAX, ExecOptions, ExecOutput, ExecSession,
    ExitFuture, Terminal, TerminalSize, Timeout,
};
