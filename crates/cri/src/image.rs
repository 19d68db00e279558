//! Images, as far as the kubelet needs them.

mod keyring;
mod reference;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use keyring::{Keyring, KeyringError};
pub use reference::{Reference, ReferenceError};

/// Text that never appears in `Debug` output.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// How to log in to a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Auth {
    /// User and password.
    Basic {
        /// User.
        username: String,
        /// Password.
        password: Secret,
    },
    /// Identity token, exchanged for an access token.
    IdentityToken(Secret),
    /// Access token, sent as it is.
    RegistryToken(Secret),
}

/// Name of an image in the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImageRef {
    /// `sha256:…` of its configuration: what [`crate::ContainerConfig::image`] takes.
    pub id: String,
    /// `repository@sha256:…`, or the id where the image was loaded and has no digest.
    pub digest_ref: String,
}

/// What an image says about the containers made from it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// `user[:group]`, names or numbers; empty means root.
    pub user: String,
    /// Program.
    pub entrypoint: Vec<String>,
    /// Arguments, or the program where there is no entry point.
    pub cmd: Vec<String>,
    /// `KEY=value`.
    pub env: Vec<String>,
    /// Working directory; empty means `/`.
    pub working_dir: String,
    /// As `SIGQUIT`; empty means SIGTERM.
    pub stop_signal: String,
    /// Paths for which the runtime makes an empty directory outside of the writable layer.
    pub volumes: Vec<PathBuf>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Ports, as `80/tcp`.
    pub exposed_ports: Vec<String>,
}

/// An image in the store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Image {
    /// `sha256:…` of its configuration.
    pub id: String,
    /// `repository:tag`.
    pub repo_tags: Vec<String>,
    /// `repository@sha256:…`.
    pub repo_digests: Vec<String>,
    /// Bytes on disk, unpacked.
    pub size_bytes: u64,
    /// Never garbage-collected: loaded by the user.
    pub pinned: bool,
    /// What it says about containers.
    pub config: ImageConfig,
    /// When it was last pulled or loaded; garbage collection spares young images.
    pub pulled_at: Option<Timestamp>,
}

/// How far a pull is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PullProgress {
    /// Bytes received.
    pub done_bytes: u64,
    /// Bytes of all layers; 0 until the manifest is known.
    pub total_bytes: u64,
    /// Layers unpacked.
    pub layers_done: u32,
    /// Layers in all.
    pub layers_total: u32,
}

/// What to pull.
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// As the user wrote it: `nginx`, `ghcr.io/a/b:1`, `…@sha256:…`.
    pub image: String,
    /// Login from pull secrets; none means anonymous or the store's own configuration.
    pub auth: Option<Auth>,
    /// Where progress is told; only the latest value counts.
    pub progress: Option<watch::Sender<PullProgress>>,
}

/// Bytes and inodes in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FilesystemUsage {
    /// Bytes.
    pub used_bytes: u64,
    /// Inodes.
    pub inodes_used: u64,
}

/// An image call failed. The variant decides the reason that the kubelet shows.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ImageError {
    /// `InvalidImageName`.
    #[error("couldn't parse image name {image:?}: {message}")]
    InvalidName {
        /// The name.
        image: String,
        /// What is wrong with it.
        message: String,
    },
    /// The registry does not have it, or hides it.
    #[error("failed to pull and unpack image {image:?}: {message}")]
    NotFound {
        /// The image.
        image: String,
        /// The registry's words.
        message: String,
    },
    /// `401` or `403`. As all pull errors it reads like containerd's: the message names each step that failed.
    #[error("failed to pull and unpack image {image:?}: {message}")]
    Unauthorized {
        /// The image.
        image: String,
        /// The registry's words.
        message: String,
    },
    /// `RegistryUnavailable`: it can't be reached.
    #[error("failed to pull and unpack image {image:?}: {message}")]
    RegistryUnavailable {
        /// The image.
        image: String,
        /// Why.
        message: String,
    },
    /// A digest does not fit, or the content is malformed.
    #[error("failed to pull and unpack image {image:?}: {message}")]
    Corrupt {
        /// The image.
        image: String,
        /// What is wrong.
        message: String,
    },
    /// A running container uses it.
    #[error("image {image:?} is in use by {user}")]
    InUse {
        /// The image.
        image: String,
        /// By what.
        user: String,
    },
    /// The disk refused.
    #[error("failed to {operation}: {message}")]
    Store {
        /// What was tried.
        operation: String,
        /// Why it failed.
        message: String,
    },
}

/// The image store.
#[async_trait]
pub trait ImageService: Send + Sync + fmt::Debug {
    /// Pulls and unpacks an image; returns when containers can be made from it. Pulls of one image at the same time are one
    /// transfer.
    ///
    /// # Errors
    /// See [`ImageError`].
    async fn pull(&self, request: PullRequest) -> Result<ImageRef, ImageError>;

    /// The image of that name, digest or id; none if it is not there.
    ///
    /// # Errors
    /// [`ImageError::InvalidName`], [`ImageError::Store`].
    async fn status(&self, image: &str) -> Result<Option<Image>, ImageError>;

    /// All images.
    ///
    /// # Errors
    /// [`ImageError::Store`].
    async fn list(&self) -> Result<Vec<Image>, ImageError>;

    /// Removes a name, and the content with the last name; a digest or id removes all names. What is not there is fine.
    ///
    /// # Errors
    /// [`ImageError::InUse`], [`ImageError::Store`].
    async fn remove(&self, image: &str) -> Result<(), ImageError>;

    /// What the store takes on disk.
    ///
    /// # Errors
    /// [`ImageError::Store`].
    async fn fs_info(&self) -> Result<FilesystemUsage, ImageError>;
}
