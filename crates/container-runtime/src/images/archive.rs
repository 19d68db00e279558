//! Images from files: what `docker save` writes, and OCI layouts in a tar archive; plain, gzip or zstd.
//!
//! An archive names its layers after or before it holds them, so its members are written down first.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use cri::{ImageError, Reference};
use serde::Deserialize;

use super::layer::{Expected, LayerError, stack, unpack_layer};
use super::pull::store_error;
use super::spec::{Configuration, Descriptor, Digest, Manifest, Platform, chain_ids};
use super::store::{Ingest, NameRecord, Publication, failed};
use super::unpack::decompress;
use super::{Inner, image_record};

/// Members of an archive: an image of the largest size has a few hundred.
const MEMBERS_MAX: usize = 10_000;
/// Largest manifest, index or configuration in an archive.
const JSON_BYTES_MAX: u64 = 8 << 20;
/// Where containerd and current versions of Docker write an image's name.
const NAME_ANNOTATION: &str = "io.containerd.image.name";
/// Where OCI's tools write it, or only its tag.
const REF_ANNOTATION: &str = "org.opencontainers.image.ref.name";

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedImage {
    /// `sha256:…`.
    pub id: String,
    /// Its complete names; none if the archive has none for it.
    pub names: Vec<String>,
}

/// An entry of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

/// An image in an archive, with members for its parts.
#[derive(Debug)]
struct Found {
    names: Vec<String>,
    config: String,
    layers: Vec<(String, Option<Digest>)>,
    manifest: Option<Vec<u8>>,
}

/// An archive's files by name; links lead to other names.
#[derive(Debug, Default)]
struct Members(BTreeMap<String, Member>);

#[derive(Debug)]
enum Member {
    File(PathBuf),
    Link(String),
}

fn malformed(message: impl Into<String>) -> ImageError {
    ImageError::Store { operation: "load the archive".into(), message: message.into() }
}

/// Loads all images of an archive for this platform. Blocks.
pub(super) fn load(inner: &Inner, input: impl Read) -> Result<Vec<LoadedImage>, ImageError> {
    let spool = inner.store.ingest(&[]).map_err(store_error)?;
    let members = Members::read(input, &spool)?;
    let mut loaded = Vec::new();
    for found in members.images()? {
        loaded.push(add(inner, &members, found)?);
    }
    if loaded.is_empty() {
        return Err(malformed("it holds no image"));
    }
    inner.sync_later();
    Ok(loaded)
}

fn add(inner: &Inner, members: &Members, found: Found) -> Result<LoadedImage, ImageError> {
    let config = members.json(&found.config)?;
    let id = Digest::of(&config);
    let configuration: Configuration = serde_json::from_slice(&config)
        .map_err(|error| malformed(format!("invalid image configuration {}: {error}", found.config)))?;
    let diff_ids = &configuration.rootfs.diff_ids;
    if diff_ids.len() != found.layers.len() {
        let (layers, expected) = (found.layers.len(), diff_ids.len());
        return Err(malformed(format!("image {id} has {layers} layers, its configuration says {expected}")));
    }
    let chain = chain_ids(diff_ids);
    let ingest = inner.store.ingest(&chain).map_err(store_error)?;
    let mut layers = Vec::new();
    for (index, ((member, blob), diff_id)) in found.layers.iter().zip(diff_ids).enumerate() {
        if inner.store.has_layer(&chain[index]) {
            layers.push(None);
            continue;
        }
        let directory = ingest.new_layer(index).map_err(store_error)?;
        let expected = Expected { blob: blob.clone(), diff_id: diff_id.clone() };
        let unpacked = unpack_layer(members.open(member)?, &directory, &expected).map_err(layer_error)?;
        layers.push(Some(unpacked));
    }
    let layers = stack(&inner.store, &ingest, &chain, diff_ids, layers).map_err(layer_error)?;
    let manifest = found.manifest.map(|bytes| (Digest::of(&bytes), bytes));
    let manifest_digest = manifest.as_ref().map(|(digest, _)| digest.clone());
    let image = image_record(
        &inner.store,
        id.clone(),
        &chain,
        &layers,
        manifest_digest.clone(),
        configuration.config.clone().into(),
    );
    let mut names = Vec::new();
    for name in &found.names {
        let reference =
            Reference::parse(name).map_err(|error| malformed(format!("invalid image name {name:?}: {error}")))?;
        names.push(reference.to_string());
        names.extend(manifest_digest.as_ref().map(|digest| format!("{}@{digest}", reference.repository())));
    }
    if names.is_empty() {
        // Without a name it could be found by its id only, and not be removed by a name.
        names.push(id.to_string());
    }
    let now = inner.clock.now();
    let named = |name: &String| NameRecord { name: name.clone(), image: id.clone(), pinned: true, at: now };
    let publication = Publication {
        image,
        names: names.iter().map(named).collect(),
        layers,
        blobs: manifest.into_iter().chain([(id.clone(), config)]).collect(),
    };
    inner.store.publish(&publication).map_err(store_error)?;
    names.retain(|name| !name.contains('@') && *name != id.as_str());
    Ok(LoadedImage { id: id.to_string(), names })
}

pub(super) fn layer_error(error: LayerError) -> ImageError {
    match error {
        LayerError::Store(error) => store_error(error),
        other => malformed(other.to_string()),
    }
}

impl Members {
    fn read(input: impl Read, ingest: &Ingest) -> Result<Self, ImageError> {
        let unreadable = |error: io::Error| malformed(format!("it is no tar archive: {error}"));
        let mut members = Self::default();
        let mut archive = tar::Archive::new(decompress(input).map_err(unreadable)?);
        for (index, entry) in archive.entries().map_err(unreadable)?.enumerate() {
            let mut entry = entry.map_err(unreadable)?;
            let Some(name) = normalise(&String::from_utf8_lossy(&entry.path_bytes())) else { continue };
            if index >= MEMBERS_MAX {
                return Err(malformed(format!("it has more than {MEMBERS_MAX} members")));
            }
            let kind = entry.header().entry_type();
            if kind.is_file() {
                let path = ingest.directory().join(format!("member-{index}"));
                let mut write = || io::copy(&mut entry, &mut File::create(&path)?);
                write().map_err(failed("spool the archive")).map_err(store_error)?;
                members.0.insert(name, Member::File(path));
            } else if kind.is_symlink() || kind.is_hard_link() {
                let target = entry.link_name_bytes().map(|target| String::from_utf8_lossy(&target).into_owned());
                let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
                let target = match target {
                    Some(target) if kind.is_symlink() => normalise(&format!("{directory}/{target}")),
                    Some(target) => normalise(&target),
                    None => None,
                };
                members.0.extend(target.map(|target| (name, Member::Link(target))));
            }
        }
        Ok(members)
    }

    fn path(&self, name: &str) -> Result<&PathBuf, ImageError> {
        let mut here = normalise(name).unwrap_or_default();
        // Old versions of Docker write a layer once and link to it from there.
        for _ in 0..8 {
            match self.0.get(&here) {
                Some(Member::File(path)) => return Ok(path),
                Some(Member::Link(target)) => here.clone_from(target),
                None => break,
            }
        }
        Err(malformed(format!("it names {name:?} but does not hold it")))
    }

    fn open(&self, name: &str) -> Result<File, ImageError> {
        File::open(self.path(name)?).map_err(failed("read the archive")).map_err(store_error)
    }

    fn json(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let path = self.path(name)?;
        let bytes = fs::metadata(path).map_err(failed("read the archive")).map_err(store_error)?.len();
        if bytes > JSON_BYTES_MAX {
            return Err(malformed(format!("{name:?} has {bytes} bytes, more than {JSON_BYTES_MAX}")));
        }
        fs::read(path).map_err(failed("read the archive")).map_err(store_error)
    }

    /// Docker's list says all; an OCI index that names every image says more, as it has the manifests.
    fn images(&self) -> Result<Vec<Found>, ImageError> {
        let index = match self.0.contains_key("index.json") {
            true => Some(parse::<Index>("index.json", &self.json("index.json")?)?),
            false => None,
        };
        let complete = |index: &Index| {
            !index.manifests.is_empty()
                && index.manifests.iter().all(|manifest| manifest.annotations.contains_key(NAME_ANNOTATION))
        };
        match index {
            Some(index) if complete(&index) || !self.0.contains_key("manifest.json") => self.layout(&index),
            _ if self.0.contains_key("manifest.json") => self.saved(),
            _ => Err(malformed("it has neither manifest.json nor index.json, so it is no archive of images")),
        }
    }

    fn saved(&self) -> Result<Vec<Found>, ImageError> {
        let saved: Vec<Saved> = parse("manifest.json", &self.json("manifest.json")?)?;
        let found = |saved: Saved| Found {
            names: saved.repo_tags.unwrap_or_default(),
            config: saved.config,
            layers: saved.layers.into_iter().map(|layer| (layer, None)).collect(),
            manifest: None,
        };
        Ok(saved.into_iter().map(found).collect())
    }

    fn layout(&self, index: &Index) -> Result<Vec<Found>, ImageError> {
        // One image may have several names, and so several entries.
        let mut images: BTreeMap<Digest, Found> = BTreeMap::new();
        for entry in &index.manifests {
            let Some((digest, bytes, config, layers)) = self.image(entry)? else { continue };
            let name = entry.annotations.get(NAME_ANNOTATION).or_else(|| {
                // A tag alone is no name.
                entry.annotations.get(REF_ANNOTATION).filter(|name| name.contains(['/', ':']))
            });
            let image = images.entry(digest).or_insert_with(|| Found {
                names: Vec::new(),
                config: member(&config.digest),
                layers: layers.iter().map(|layer| (member(&layer.digest), Some(layer.digest.clone()))).collect(),
                manifest: Some(bytes),
            });
            image.names.extend(name.cloned());
        }
        Ok(images.into_values().collect())
    }

    /// The manifest for this platform behind an entry; none if there is none, or if it is no image (an attestation).
    #[allow(clippy::type_complexity, reason = "it has one caller, next to it")]
    fn image(&self, entry: &Descriptor) -> Result<Option<(Digest, Vec<u8>, Descriptor, Vec<Descriptor>)>, ImageError> {
        let name = member(&entry.digest);
        let bytes = self.json(&name)?;
        let found = Digest::of(&bytes);
        if found != entry.digest {
            return Err(malformed(format!("{name:?} is damaged: unexpected digest {found}")));
        }
        match Manifest::parse(&bytes, &entry.media_type).map_err(malformed)? {
            Manifest::Image { config, layers } => Ok(Some((found, bytes, config, layers))),
            Manifest::Index { manifests } => match Platform::current().choose(&manifests) {
                // An index's entries are images: what is nested deeper is not looked for.
                Some(chosen) if chosen.digest != entry.digest => {
                    let bytes = self.json(&member(&chosen.digest))?;
                    match Manifest::parse(&bytes, &chosen.media_type).map_err(malformed)? {
                        Manifest::Image { config, layers } => Ok(Some((Digest::of(&bytes), bytes, config, layers))),
                        Manifest::Index { .. } => Ok(None),
                    }
                }
                _ => Ok(None),
            },
        }
    }
}

fn member(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn parse<T: for<'de> Deserialize<'de>>(name: &str, bytes: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(bytes).map_err(|error| malformed(format!("{name} is malformed: {error}")))
}

/// A member's name without `.`, `..` and slashes too many; none if it leaves the archive or is its root.
fn normalise(name: &str) -> Option<String> {
    let mut components: Vec<&str> = Vec::new();
    for component in name.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop()?;
            }
            component => components.push(component),
        }
    }
    (!components.is_empty()).then(|| components.join("/"))
}
