//! Images: pulled, loaded or made, and unpacked into overlay layers, in one store for all clusters of the machine.
//!
//! [`ImageStore`] is the entry. Below it: `store` (the directory), `pull` and `registry` and `http` and [`Dial`] (from a
//! registry), `archive` (from a file), `build` (from memory), `layer` and `unpack` (from a stream to a directory).
//!
//! Absent: writing archives and pushing (the compressed layers are not kept), HTTP proxies, encrypted and lazily loaded layers, layers for other platforms.

mod archive;
mod build;
mod dial;
mod http;
mod layer;
mod pull;
mod registries;
mod registry;
mod spec;
mod store;
mod unpack;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use component_base::{Clock, Supervisor};
use cri::{FilesystemUsage, Image, ImageConfig, ImageError, ImageRef, ImageService, PullRequest, Reference};

pub use archive::LoadedImage;
pub use build::{FileContent, FileEntry};
pub(crate) use dial::io_text;
pub use dial::{Connection, Dial, DialError, LocalSockets, Sockets, TcpDial};
pub use registries::{Registries, RegistriesError};

use crate::{Rootfs, RootfsProvider};
use pull::{Flights, size_of, store_error};
use registry::RegistryClient;
use spec::Digest;
use store::{ImageRecord, NameRecord, NewLayer, Removed, Store};
pub(crate) use unpack::has;

/// What an image store needs.
#[derive(Debug, Clone)]
pub struct ImageStoreConfig {
    /// Its directory; several processes may share it.
    pub root: PathBuf,
    /// How registries are reached.
    pub registries: Registries,
    /// What opens the connections.
    pub dial: Arc<dyn Dial>,
    /// For the time of a pull.
    pub clock: Arc<dyn Clock>,
    /// Runs the transfers.
    pub supervisor: Supervisor,
    /// Who uses the store: cluster and node, of letters, digits, `-` and `_`; what a container of one owner uses, no other can remove.
    pub owner: String,
}

/// The machine's images. Clones are the same store.
#[derive(Debug, Clone)]
pub struct ImageStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<Store>,
    client: RegistryClient,
    clock: Arc<dyn Clock>,
    supervisor: Supervisor,
    flights: Flights,
    runtime: tokio::runtime::Handle,
    sync_pending: Arc<AtomicBool>,
    owner: String,
}

impl Inner {
    /// Has the disk take what was stored. Nobody waits for it: what it has not taken when the power fails is dropped at the next start.
    fn sync_later(&self) {
        if self.sync_pending.swap(true, Ordering::AcqRel) {
            // One that has not begun will do for this, too.
            return;
        }
        let _runtime = self.runtime.enter();
        let (store, pending, supervisor) = (self.store.clone(), self.sync_pending.clone(), self.supervisor.clone());
        self.supervisor.spawn("sync-image-store", async move {
            pending.store(false, Ordering::Release);
            if let Some(Err(error)) = supervisor.blocking(move || store.sync()).await {
                tracing::warn!(%error, "the disk has not taken an image yet");
            }
        });
    }
}

fn image_record(
    store: &Store,
    id: Digest,
    chain: &[Digest],
    new: &[NewLayer],
    manifest: Option<Digest>,
    config: ImageConfig,
) -> ImageRecord {
    ImageRecord { id, layers: chain.to_vec(), size_bytes: size_of(store, chain, new), manifest, config }
}

impl ImageStore {
    /// Opens the store, making it if there is none. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// [`ImageError::Store`]: the directory can't be used, or belongs to something else.
    pub fn open(config: ImageStoreConfig) -> Result<Self, ImageError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if config.owner.is_empty() || !config.owner.bytes().all(plain) {
            let message = format!("{:?} is no name for an owner", config.owner);
            return Err(ImageError::Store { operation: "open the image store".into(), message });
        }
        let http = http::HttpClient::new(config.dial, config.supervisor.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                store: Arc::new(Store::open(config.root).map_err(store_error)?),
                client: RegistryClient::new(Arc::new(http), Arc::new(config.registries)),
                clock: config.clock,
                supervisor: config.supervisor,
                flights: Flights::default(),
                runtime: tokio::runtime::Handle::current(),
                sync_pending: Arc::default(),
                owner: config.owner,
            }),
        })
    }

    /// Loads the images of an archive that `docker save` wrote, or of an OCI layout, compressed or not. They are pinned.
    ///
    /// # Errors
    /// [`ImageError::Store`]: the archive is malformed, or the disk refuses.
    pub async fn load(&self, archive: impl Read + Send + 'static) -> Result<Vec<LoadedImage>, ImageError> {
        self.blocking(move |inner| archive::load(inner, archive)).await
    }

    /// Makes an image of one layer with these files, and returns its id. It is pinned.
    ///
    /// # Errors
    /// [`ImageError::InvalidName`], [`ImageError::Store`].
    pub async fn import_files(
        &self,
        name: &str,
        config: ImageConfig,
        files: Vec<FileEntry>,
    ) -> Result<String, ImageError> {
        let name = name.to_owned();
        self.blocking(move |inner| build::import_files(inner, &name, config, &files)).await
    }

    /// Lets go of everything that owners hold whose names begin with `prefix`: a node or cluster is gone for good.
    ///
    /// # Errors
    /// [`ImageError::Store`].
    pub async fn forget_owners(&self, prefix: &str) -> Result<(), ImageError> {
        let prefix = prefix.to_owned();
        self.blocking(move |inner| inner.release_all(|holder| holder.starts_with(&prefix))).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, ImageError> {
        let inner = self.inner.clone();
        let panicked =
            || ImageError::Store { operation: "use the image store".into(), message: "a thread panicked".into() };
        self.inner.supervisor.blocking(move || work(&inner)).await.unwrap_or_else(|| Err(panicked()))
    }
}

#[async_trait]
impl RootfsProvider for ImageStore {
    async fn hold(&self, image: &str, holder: &str) -> Result<Option<Rootfs>, ImageError> {
        let (image, holder) = (image.to_owned(), self.inner.holder(holder)?);
        self.blocking(move |inner| {
            let Some(id) = inner.find(&image)? else { return Ok(None) };
            let Some(record) = inner.store.hold(&id, &holder).map_err(store_error)? else { return Ok(None) };
            let names = inner.store.names().map_err(store_error)?;
            let digest_ref = of(&names, &id).map(|name| name.name.clone()).find(|name| name.contains('@'));
            Ok(Some(Rootfs {
                image_id: id.to_string(),
                digest_ref: digest_ref.unwrap_or_else(|| id.to_string()),
                lowers: record.layers.iter().rev().map(|layer| inner.store.layer_fs(layer)).collect(),
                config: record.config,
            }))
        })
        .await
    }

    async fn release(&self, holder: &str) -> Result<(), ImageError> {
        let holder = self.inner.holder(holder)?;
        self.blocking(move |inner| inner.store.release(&holder).map_err(store_error)).await
    }

    async fn retain(&self, holders: &[String]) -> Result<(), ImageError> {
        let kept = holders.iter().map(|holder| self.inner.holder(holder)).collect::<Result<BTreeSet<_>, _>>()?;
        let own = format!("{}.", self.inner.owner);
        self.blocking(move |inner| inner.release_all(|holder| holder.starts_with(&own) && !kept.contains(holder))).await
    }
}

/// An image as its user means it.
enum Meant {
    Id(Digest),
    Name { name: String, repository: String },
}

fn parse(image: &str) -> Result<Meant, ImageError> {
    let id = Digest::parse(image).or_else(|| Digest::parse(&format!("sha256:{image}")));
    if let Some(id) = id {
        return Ok(Meant::Id(id));
    }
    let invalid =
        |error: cri::ReferenceError| ImageError::InvalidName { image: image.into(), message: error.to_string() };
    let reference = Reference::parse(image).map_err(invalid)?;
    let repository = reference.repository();
    let name = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => format!("{repository}@{digest}"),
        (None, Some(tag)) => format!("{repository}:{tag}"),
        (None, None) => repository.clone(),
    };
    Ok(Meant::Name { name, repository })
}

impl Inner {
    /// A holder's name in the store, a file's name.
    fn holder(&self, holder: &str) -> Result<String, ImageError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if holder.is_empty() || !holder.bytes().all(plain) {
            let message = format!("{holder:?} is no name for a holder");
            return Err(ImageError::Store { operation: "hold an image".into(), message });
        }
        Ok(format!("{}.{holder}", self.owner))
    }

    fn release_all(&self, gone: impl Fn(&str) -> bool) -> Result<(), ImageError> {
        let holders = self.store.holders().map_err(store_error)?;
        holders
            .keys()
            .filter(|holder| gone(holder))
            .try_for_each(|holder| self.store.release(holder).map_err(store_error))
    }

    /// The image's id.
    fn find(&self, image: &str) -> Result<Option<Digest>, ImageError> {
        Ok(match parse(image)? {
            Meant::Id(id) => self.store.image(&id).map(|image| image.id),
            Meant::Name { name, .. } => self.store.name(&name).map(|name| name.image),
        })
    }

    fn remove(&self, image: &str) -> Result<(), ImageError> {
        let names = self.store.names().map_err(store_error)?;
        let (id, removed): (Digest, Vec<String>) = match parse(image)? {
            Meant::Id(id) => (id.clone(), of(&names, &id).map(|name| name.name.clone()).collect()),
            Meant::Name { name, repository } => {
                let Some(found) = names.iter().find(|record| record.name == name) else { return Ok(()) };
                let mut removed = vec![name];
                let of_repository = |separator| format!("{repository}{separator}");
                // The digest is a tag's shadow: it goes with the last tag.
                let other_tag = of(&names, &found.image)
                    .any(|other| other.name.starts_with(&of_repository(':')) && other.name != found.name);
                if !other_tag {
                    let shadows = of(&names, &found.image).filter(|other| other.name.starts_with(&of_repository('@')));
                    removed.extend(shadows.map(|other| other.name.clone()));
                }
                (found.image.clone(), removed)
            }
        };
        match self.store.remove_names(&id, &removed).map_err(store_error)? {
            Removed::Done => Ok(()),
            Removed::InUse { holder } => {
                Err(ImageError::InUse { image: image.into(), user: format!("container {holder}") })
            }
        }
    }
}

fn of<'a>(names: &'a [NameRecord], image: &'a Digest) -> impl Iterator<Item = &'a NameRecord> {
    names.iter().filter(move |name| name.image == *image)
}

fn describe(record: ImageRecord, names: &[NameRecord]) -> Image {
    let mut image = Image {
        id: record.id.to_string(),
        repo_tags: Vec::new(),
        repo_digests: Vec::new(),
        size_bytes: record.size_bytes,
        pinned: false,
        config: record.config,
        pulled_at: None,
    };
    for name in of(names, &record.id) {
        match name.name.contains('@') {
            true => image.repo_digests.push(name.name.clone()),
            false if name.name != image.id => image.repo_tags.push(name.name.clone()),
            false => {}
        }
        image.pinned |= name.pinned;
        image.pulled_at = image.pulled_at.max(Some(name.at));
    }
    image.repo_tags.sort();
    image.repo_digests.sort();
    image
}

#[async_trait]
impl ImageService for ImageStore {
    async fn pull(&self, request: PullRequest) -> Result<ImageRef, ImageError> {
        let invalid = |error: cri::ReferenceError| ImageError::InvalidName {
            image: request.image.clone(),
            message: error.to_string(),
        };
        let reference = Reference::parse(&request.image).map_err(invalid)?;
        pull::pull(&self.inner, reference, request.auth, request.progress).await
    }

    async fn status(&self, image: &str) -> Result<Option<Image>, ImageError> {
        let image = image.to_owned();
        self.blocking(move |inner| {
            let record = inner.find(&image)?.and_then(|id| inner.store.image(&id));
            let Some(record) = record else { return Ok(None) };
            let names = inner.store.names().map_err(store_error)?;
            Ok(Some(describe(record, &names)))
        })
        .await
    }

    async fn list(&self) -> Result<Vec<Image>, ImageError> {
        self.blocking(|inner| {
            let names = inner.store.names().map_err(store_error)?;
            let images = inner.store.images().map_err(store_error)?;
            Ok(images.into_iter().map(|record| describe(record, &names)).collect())
        })
        .await
    }

    async fn remove(&self, image: &str) -> Result<(), ImageError> {
        let image = image.to_owned();
        self.blocking(move |inner| inner.remove(&image)).await
    }

    async fn fs_info(&self) -> Result<FilesystemUsage, ImageError> {
        self.blocking(|inner| {
            let usage = inner.store.usage().map_err(store_error)?;
            Ok(FilesystemUsage { used_bytes: usage.bytes, inodes_used: usage.inodes })
        })
        .await
    }
}

#[cfg(test)]
pub(crate) mod tests;
