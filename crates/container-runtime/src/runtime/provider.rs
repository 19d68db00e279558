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

/// The image store, as the runtime sees it. A container holds its image: the layers stay until it lets go. Holders are ids of containers.
#[async_trait]
pub trait RootfsProvider: Send + Sync + fmt::Debug {
    /// The image of that id, digest or name, held from now on; none if it is not there.
    ///
    /// # Errors
    /// The store is broken.
    async fn hold(&self, image: &str, holder: &str) -> Result<Option<Rootfs>, ImageError>;

    /// Lets go; of nothing, if nothing is held.
    ///
    /// # Errors
    /// The store is broken.
    async fn release(&self, holder: &str) -> Result<(), ImageError>;

    /// Lets go of all that this runtime holds, except for these holders: what a crash left behind.
    ///
    /// # Errors
    /// The store is broken.
    async fn retain(&self, holders: &[String]) -> Result<(), ImageError>;
}
