//! An image from files in memory: how the sample application comes into a new cluster.

use bytes::Bytes;
use cri::{ImageConfig, ImageError, Reference};

use super::archive::layer_error;
use super::layer::{Expected, stack, unpack_layer};
use super::pull::store_error;
use super::spec::{
    Configuration, Descriptor, Digest, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Platform, RootFs, chain_ids,
};
use super::store::{NameRecord, Publication};
use super::{Inner, image_record};

/// A file of an image to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// From the root, as `bin/app`; directories above it need no entry.
    pub path: String,
    /// Permissions, as `0o755`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// What it is.
    pub content: FileContent,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// A regular file.
    File(Bytes),
    /// A directory.
    Directory,
    /// A symbolic link to this.
    Symlink(String),
}

fn invalid(message: impl ToString) -> ImageError {
    ImageError::Store { operation: "make the image".into(), message: message.to_string() }
}

/// Makes an image of one layer. The same files make the same image. Blocks.
pub(super) fn import_files(
    inner: &Inner,
    name: &str,
    config: ImageConfig,
    files: &[FileEntry],
) -> Result<String, ImageError> {
    let reference = Reference::parse(name)
        .map_err(|error| ImageError::InvalidName { image: name.to_owned(), message: error.to_string() })?;
    let layer = tar(files).map_err(invalid)?;
    let diff_id = Digest::of(&layer);
    let platform = Platform::current();
    let configuration = Configuration {
        architecture: platform.architecture,
        os: platform.os,
        config: config.clone().into(),
        rootfs: RootFs { kind: "layers".into(), diff_ids: vec![diff_id.clone()] },
    };
    let configuration = serde_json::to_vec(&configuration).map_err(invalid)?;
    let id = Digest::of(&configuration);
    let manifest = manifest(&configuration, &layer).map_err(invalid)?;
    let manifest_digest = Digest::of(&manifest);
    let diff_ids = [diff_id.clone()];
    let chain = chain_ids(&diff_ids);
    let ingest = inner.store.ingest(&chain).map_err(store_error)?;
    let unpacked = if inner.store.has_layer(&chain[0]) {
        None
    } else {
        let directory = ingest.new_layer(0).map_err(store_error)?;
        let expected = Expected { blob: None, diff_id };
        Some(unpack_layer(&layer[..], &directory, &expected).map_err(layer_error)?)
    };
    let layers = stack(&inner.store, &ingest, &chain, &diff_ids, vec![unpacked]).map_err(layer_error)?;
    let image = image_record(&inner.store, id.clone(), &chain, &layers, Some(manifest_digest.clone()), config);
    let at = inner.clock.now();
    let names = [reference.to_string(), format!("{}@{manifest_digest}", reference.repository())];
    let named = |name| NameRecord { name, image: id.clone(), pinned: true, at };
    let publication = Publication {
        image,
        names: names.into_iter().map(named).collect(),
        layers,
        blobs: vec![(manifest_digest, manifest), (id.clone(), configuration)],
    };
    inner.store.publish(&publication).map_err(store_error)?;
    inner.sync_later();
    Ok(id.to_string())
}

fn tar(files: &[FileEntry]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(file.mode);
        header.set_uid(file.uid.into());
        header.set_gid(file.gid.into());
        // The files' time would make each build another image.
        header.set_mtime(0);
        let path = file.path.trim_start_matches('/');
        match &file.content {
            FileContent::File(bytes) => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(bytes.len() as u64);
                archive.append_data(&mut header, path, &bytes[..])?;
            }
            FileContent::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                archive.append_data(&mut header, path, std::io::empty())?;
            }
            FileContent::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, path, target)?;
            }
        }
    }
    archive.into_inner()
}

fn manifest(configuration: &[u8], layer: &[u8]) -> serde_json::Result<Vec<u8>> {
    let descriptor = |media_type: &str, bytes: &[u8]| Descriptor {
        media_type: media_type.into(),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        platform: None,
        annotations: Default::default(),
    };
    serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, configuration),
        "layers": [descriptor(OCI_LAYER, layer)],
    }))
}
