//! The store on disk, shared by all clusters of a machine and so by several processes.
//!
//! ```text
//! version             what this directory is
//! lock                flock: held while records change, never for long
//! boot                the boot in which the store was last checked
//! blobs/<hex>         manifests and configurations, by digest
//! layers/<chain>/     fs/ the unpacked layer, meta.json; "unsynced" until the disk has it
//! images/<hex>.json   an image by the digest of its configuration
//! names/<hash>.json   a name and the image it means
//! holders/<holder>    a container and the image it was made from
//! ingest/<id>/        what is being pulled or loaded: lock (held by its process), uses, layers, archive members
//! locks/<nn>          held by the process that pulls an image, by the first byte of its digest
//! trash/<id>          removed, about to be deleted
//! ```
//!
//! Everything appears by a rename. Pulls do not wait for the disk: a layer is marked until the disk has it, and one that is still marked
//! after a restart of the machine is dropped with the images that need it. The compressed layers are not kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cri::ImageConfig;
use jiff::Timestamp;
use rustix::fs::{CWD, FlockOperation};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::spec::Digest;
use super::unpack::Usage;

const VERSION: &str = "skiff image store 1\n";
const FOLDERS: [&str; 8] = ["blobs", "layers", "images", "names", "holders", "ingest", "locks", "trash"];
const UNSYNCED: &str = "unsynced";
const META: &str = "meta.json";
const FS: &str = "fs";

/// A step on the store failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {operation}: {source}")]
pub(super) struct StoreError {
    pub(super) operation: String,
    pub(super) source: io::Error,
}

pub(super) type Result<T> = std::result::Result<T, StoreError>;

pub(super) fn failed(operation: impl Into<String>) -> impl FnOnce(io::Error) -> StoreError {
    let operation = operation.into();
    move |source| StoreError { operation, source }
}

/// What a layer's directory says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LayerMeta {
    pub(super) diff_id: Digest,
    pub(super) bytes: u64,
    pub(super) inodes: u64,
}

/// An image. Its id is the digest of its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ImageRecord {
    pub(super) id: Digest,
    /// From the bottom.
    pub(super) layers: Vec<Digest>,
    pub(super) size_bytes: u64,
    /// Its manifest, where it came with one.
    pub(super) manifest: Option<Digest>,
    pub(super) config: ImageConfig,
}

/// A name: `repository:tag` or `repository@digest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NameRecord {
    pub(super) name: String,
    pub(super) image: Digest,
    pub(super) pinned: bool,
    pub(super) at: Timestamp,
}

/// A layer that was unpacked in an [`Ingest`].
#[derive(Debug)]
pub(super) struct NewLayer {
    pub(super) chain: Digest,
    /// Holds `fs`.
    pub(super) directory: PathBuf,
    pub(super) diff_id: Digest,
    pub(super) usage: Usage,
}

/// What makes an image appear.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) image: ImageRecord,
    pub(super) names: Vec<NameRecord>,
    pub(super) layers: Vec<NewLayer>,
    pub(super) blobs: Vec<(Digest, Vec<u8>)>,
}

/// Why an image stays.
#[derive(Debug)]
pub(super) enum Removed {
    Done,
    InUse { holder: String },
}

#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
}

/// Released when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Work in progress; what it has made and not published goes when it is dropped, or at the next start after a crash.
#[derive(Debug)]
pub(super) struct Ingest {
    directory: PathBuf,
    _lock: Lock,
}

impl Ingest {
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// An empty directory for a layer, with `fs` in it.
    pub(super) fn new_layer(&self, index: usize) -> Result<PathBuf> {
        let directory = self.directory.join(format!("layer-{index}"));
        fs::create_dir_all(directory.join(FS)).map_err(failed("create a directory for a layer"))?;
        Ok(directory)
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        // What remains is removed at the next start.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn flock(path: &Path, operation: FlockOperation) -> io::Result<Lock> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    rustix::fs::flock(&file, operation)?;
    Ok(Lock { _file: file })
}

impl Store {
    /// Opens or makes a store, and removes what crashes and restarts of the machine made worthless.
    pub(super) fn open(root: PathBuf) -> Result<Self> {
        let open = || {
            fs::create_dir_all(&root)?;
            match fs::read_to_string(root.join("version")) {
                Ok(version) if version == VERSION => {}
                Ok(_) => {
                    return Err(io::Error::other(
                        "it was made by another version; remove it, or use another directory",
                    ));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if let Some(found) = fs::read_dir(&root)?.next().transpose()?
                        && found.file_name() != "lock"
                    {
                        let found = found.file_name().display().to_string();
                        return Err(io::Error::other(format!(
                            "it holds something else ({found}); use another directory"
                        )));
                    }
                }
                Err(error) => return Err(error),
            }
            for folder in FOLDERS {
                fs::create_dir_all(root.join(folder))?;
            }
            Ok(())
        };
        open().map_err(failed(format!("open the image store {}", root.display())))?;
        let store = Self { root };
        {
            let _lock = store.lock()?;
            write_aside(&store.root.join("version"), VERSION.as_bytes())?;
            store.recover()?;
        }
        store.empty_trash();
        Ok(store)
    }

    fn lock(&self) -> Result<Lock> {
        flock(&self.root.join("lock"), FlockOperation::LockExclusive).map_err(failed("lock the image store"))
    }

    /// Waits until no other process pulls this image (or, one in 256, another one).
    pub(super) fn pull_lock(&self, digest: &Digest) -> Result<Lock> {
        let path = self.root.join("locks").join(&digest.hex()[..2]);
        flock(&path, FlockOperation::LockExclusive).map_err(failed("wait for another pull"))
    }

    fn recover(&self) -> Result<()> {
        for directory in self.entries("ingest")? {
            if flock(&directory.join("lock"), FlockOperation::NonBlockingLockExclusive).is_ok() {
                self.discard(&directory)?;
            }
        }
        let boot = boot_id();
        if fs::read_to_string(self.root.join("boot")).is_ok_and(|checked| checked == boot) {
            return Ok(());
        }
        let mut lost = false;
        for layer in self.entries("layers")? {
            if layer.join(UNSYNCED).exists() || read_json::<LayerMeta>(&layer.join(META)).is_none() {
                self.discard(&layer)?;
                lost = true;
            }
        }
        let mut kept = BTreeSet::new();
        for path in self.entries("images")? {
            match read_json::<ImageRecord>(&path) {
                Some(image) if image.layers.iter().all(|layer| self.has_layer(layer)) => {
                    kept.insert(image.id);
                }
                _ => remove_file(&path)?,
            }
        }
        for path in self.entries("names")? {
            if read_json::<NameRecord>(&path).is_none_or(|name| !kept.contains(&name.image)) {
                remove_file(&path)?;
            }
        }
        if lost {
            self.sweep()?;
        }
        write_aside(&self.root.join("boot"), boot.as_bytes())
    }

    fn entries(&self, folder: &str) -> Result<Vec<PathBuf>> {
        let list = || -> io::Result<Vec<PathBuf>> {
            fs::read_dir(self.root.join(folder))?.map(|entry| Ok(entry?.path())).collect()
        };
        let mut entries = list().map_err(failed(format!("list {folder} of the image store")))?;
        entries.retain(|path| path.extension().is_none_or(|extension| extension != "tmp"));
        entries.sort();
        Ok(entries)
    }

    /// Begins a pull or load that needs these layers: those that are there stay until it has ended.
    pub(super) fn ingest(&self, uses: &[Digest]) -> Result<Ingest> {
        let _lock = self.lock()?;
        let begin = || {
            let directory = make_unique(&self.root.join("ingest"))?;
            let lock = flock(&directory.join("lock"), FlockOperation::NonBlockingLockExclusive)?;
            fs::write(directory.join("uses"), serde_json::to_vec(uses).expect("digests can be written"))?;
            Ok(Ingest { directory, _lock: lock })
        };
        begin().map_err(failed("begin to store an image"))
    }

    pub(super) fn has_layer(&self, chain: &Digest) -> bool {
        self.layer(chain).join(META).exists()
    }

    fn layer(&self, chain: &Digest) -> PathBuf {
        self.root.join("layers").join(chain.hex())
    }

    /// The unpacked layer, as overlayfs takes it.
    pub(super) fn layer_fs(&self, chain: &Digest) -> PathBuf {
        self.layer(chain).join(FS)
    }

    /// What a layer that is there takes.
    pub(super) fn layer_usage(&self, chain: &Digest) -> Option<Usage> {
        let meta = read_json::<LayerMeta>(&self.layer(chain).join(META))?;
        Some(Usage { bytes: meta.bytes, inodes: meta.inodes })
    }

    /// Makes an image appear with its names. A name that meant another image means this one from now on.
    pub(super) fn publish(&self, publication: &Publication) -> Result<()> {
        let _lock = self.lock()?;
        for layer in &publication.layers {
            let target = self.layer(&layer.chain);
            if target.join(META).exists() {
                continue;
            }
            let meta =
                LayerMeta { diff_id: layer.diff_id.clone(), bytes: layer.usage.bytes, inodes: layer.usage.inodes };
            write_aside(&layer.directory.join(UNSYNCED), boot_id().as_bytes())?;
            write_json(&layer.directory.join(META), &meta)?;
            fs::rename(&layer.directory, target).map_err(failed(format!("store layer {}", layer.chain)))?;
        }
        for (digest, bytes) in &publication.blobs {
            write_aside(&self.blob(digest), bytes)?;
        }
        write_json(&self.image_path(&publication.image.id), &publication.image)?;
        for name in &publication.names {
            let previous = read_json::<NameRecord>(&self.name_path(&name.name));
            // A user's image stays the user's when it is pulled again.
            let pinned =
                name.pinned || previous.is_some_and(|previous| previous.pinned && previous.image == name.image);
            write_json(&self.name_path(&name.name), &NameRecord { pinned, ..name.clone() })?;
        }
        Ok(())
    }

    /// Waits until the disk has what was published before, and takes the marks off.
    pub(super) fn sync(&self) -> Result<()> {
        let marked: Vec<_> = self
            .entries("layers")?
            .into_iter()
            .map(|layer| layer.join(UNSYNCED))
            .filter(|mark| mark.exists())
            .collect();
        let sync = || Ok(rustix::fs::syncfs(File::open(&self.root)?)?);
        sync().map_err(failed("write the image store to disk"))?;
        for mark in marked {
            remove_file(&mark)?;
        }
        Ok(())
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.hex())
    }

    fn image_path(&self, id: &Digest) -> PathBuf {
        self.root.join("images").join(format!("{}.json", id.hex()))
    }

    fn name_path(&self, name: &str) -> PathBuf {
        self.root.join("names").join(format!("{}.json", Digest::of(name.as_bytes()).hex()))
    }

    pub(super) fn image(&self, id: &Digest) -> Option<ImageRecord> {
        read_json(&self.image_path(id))
    }

    pub(super) fn name(&self, name: &str) -> Option<NameRecord> {
        read_json(&self.name_path(name))
    }

    pub(super) fn names(&self) -> Result<Vec<NameRecord>> {
        Ok(self.entries("names")?.iter().filter_map(|path| read_json(path)).collect())
    }

    pub(super) fn images(&self) -> Result<Vec<ImageRecord>> {
        Ok(self.entries("images")?.iter().filter_map(|path| read_json(path)).collect())
    }

    pub(super) fn usage(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        for layer in self.entries("layers")? {
            if let Some(meta) = read_json::<LayerMeta>(&layer.join(META)) {
                usage.bytes += meta.bytes;
                usage.inodes += meta.inodes;
            }
        }
        Ok(usage)
    }

    /// Notes that a container is made from an image, which stays until [`Self::release`]. None if it is not there.
    pub(super) fn hold(&self, id: &Digest, holder: &str) -> Result<Option<ImageRecord>> {
        let _lock = self.lock()?;
        let Some(image) = self.image(id) else { return Ok(None) };
        write_aside(&self.root.join("holders").join(holder), id.as_str().as_bytes())?;
        Ok(Some(image))
    }

    pub(super) fn release(&self, holder: &str) -> Result<()> {
        remove_file(&self.root.join("holders").join(holder))
    }

    pub(super) fn holders(&self) -> Result<BTreeMap<String, Digest>> {
        let holder = |path: &PathBuf| {
            let id = Digest::parse(&fs::read_to_string(path).ok()?)?;
            Some((path.file_name()?.to_str()?.to_owned(), id))
        };
        Ok(self.entries("holders")?.iter().filter_map(holder).collect())
    }

    /// Removes names, and with the last of them the image.
    pub(super) fn remove_names(&self, id: &Digest, names: &[String]) -> Result<Removed> {
        {
            let _lock = self.lock()?;
            let remaining =
                self.names()?.into_iter().filter(|name| name.image == *id && !names.contains(&name.name)).count();
            if remaining == 0
                && let Some((holder, _)) = self.holders()?.into_iter().find(|(_, held)| held == id)
            {
                return Ok(Removed::InUse { holder });
            }
            for name in names {
                remove_file(&self.name_path(name))?;
            }
            if remaining == 0 {
                remove_file(&self.image_path(id))?;
                self.sweep()?;
            }
        }
        self.empty_trash();
        Ok(Removed::Done)
    }

    /// Moves to the trash what no image and nobody at work needs.
    fn sweep(&self) -> Result<()> {
        let images = self.images()?;
        let mut layers: BTreeSet<String> = BTreeSet::new();
        let mut blobs: BTreeSet<String> = BTreeSet::new();
        for image in &images {
            layers.extend(image.layers.iter().map(|layer| layer.hex().to_owned()));
            blobs.extend([&image.id].into_iter().chain(&image.manifest).map(|digest| digest.hex().to_owned()));
        }
        for ingest in self.entries("ingest")? {
            let uses: Vec<Digest> = read_json(&ingest.join("uses")).unwrap_or_default();
            layers.extend(uses.iter().map(|layer| layer.hex().to_owned()));
        }
        for (folder, needed) in [("layers", layers), ("blobs", blobs)] {
            for path in self.entries(folder)? {
                if !path.file_name().is_some_and(|name| needed.contains(&*name.to_string_lossy())) {
                    self.discard(&path)?;
                }
            }
        }
        Ok(())
    }

    fn discard(&self, path: &Path) -> Result<()> {
        let discard = || fs::rename(path, make_unique(&self.root.join("trash"))?.join("x"));
        discard().map_err(failed(format!("remove {}", path.display())))
    }

    /// Deletes what was moved there; what can't be deleted is tried again at the next start.
    fn empty_trash(&self) {
        for path in self.entries("trash").unwrap_or_default() {
            if let Err(error) = fs::remove_dir_all(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "failed to delete removed image content");
            }
        }
    }
}

/// A new directory. The process id only makes a collision rare: processes of several namespaces share the store.
fn make_unique(parent: &Path) -> io::Result<PathBuf> {
    let process = std::process::id();
    let mut number = 0_u64;
    loop {
        let path = parent.join(format!("{process}-{number}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// None if it is missing or, after a power failure, not whole.
fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write_aside(path, &serde_json::to_vec(value).expect("records can be written"))
}

/// Replaces a file as a whole.
fn write_aside(path: &Path, bytes: &[u8]) -> Result<()> {
    // Writers hold a lock, so one name for the aside file is enough.
    let aside = path.with_added_extension("tmp");
    let write = || {
        File::create(&aside)?.write_all(bytes)?;
        Ok(rustix::fs::renameat(CWD, &aside, CWD, path)?)
    };
    write().map_err(failed(format!("write {}", path.display())))
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(format!("remove {}", path.display()))(error)),
    }
}
