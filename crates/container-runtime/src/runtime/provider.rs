//! What the runtime needs of the image store.

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use cri::{ImageConfig, ImageError};

/// An image, ready to be the root of containers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rootfs {
    /// `sha256:…` of its configuration.
    pub image_id: String,
    /// `repository@sha256:…`, or the id.
    pub digest_ref: String,
    /// Unpacked layers, the topmost first.
    pub lowers: Vec<PathBuf>,
    /// What it says about containers.
    pub config: ImageConfig,
}

/// The image store, as the runtime sees it. The layers of an image that a container uses must stay.
#[async_trait]
pub trait RootfsProvider: Send + Sync + fmt::Debug {
    /// The image of that id, digest or name; none if it is not there.
    ///
    /// # Errors
    /// The store is broken.
    async fn rootfs(&self, image: &str) -> Result<Option<Rootfs>, ImageError>;
}
