//! A layer's tar stream becomes one directory of an overlay.
//!
//! Layers are unpacked side by side while they arrive, each for itself, so at first nothing is known of the layers below. What depends on
//! them is remembered in a [`Draft`] and done by [`Draft::finish`] once they are there:
//! - A directory that the layer does not describe but puts something into takes the attributes of the one below it; where a
//!   symbolic link is below, the content belongs to where that points.
//! - A hard link to a file of a lower layer becomes a copy: a link can't leave its layer.
//!
//! Nothing leaves the directory: paths are walked component by component without following links, and links are resolved here, against
//! the directory as root.

mod finish;
mod tree;
mod view;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use tar::EntryType;

use tree::Tree;
pub(crate) use view::has;

/// File contents are copied through a buffer of this size.
const COPY_BUFFER_BYTES: usize = 128 << 10;
/// A name in an image's layer that begins so hides the same name without it in the layers below.
const WHITEOUT: &[u8] = b".wh.";
/// Hides everything below the directory it lies in.
const OPAQUE_WHITEOUT: &[u8] = b".wh..wh..opq";
/// Other names of AUFS' own, without meaning for us.
const AUFS_PRIVATE: &[u8] = b".wh..wh.";
/// How overlayfs marks a directory that hides everything below.
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";
/// An image may not speak to overlayfs itself.
const OVERLAY_XATTRS: &str = "trusted.overlay.";
const PAX_XATTRS: &str = "SCHILY.xattr.";
/// The permissions of directories that nobody describes.
const IMPLICIT_MODE: u32 = 0o755;

/// A layer can't be unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// The stream is no tar archive, or its compression is broken.
    #[error("failed to read the layer: {0}")]
    Stream(#[source] io::Error),
    /// The archive asks for something that must not or can't be.
    #[error("invalid entry {path:?}: {what}")]
    Entry {
        /// The entry.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The file system refuses.
    #[error("failed to {action} {path:?}: {source}")]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On which path in the layer.
        path: String,
        /// What the kernel answered.
        source: io::Error,
    },
}

impl UnpackError {
    fn entry(path: &[u8], what: impl Into<String>) -> Self {
        Self::Entry { path: text(path), what: what.into() }
    }
}

type Result<T> = std::result::Result<T, UnpackError>;

fn disk<E: Into<io::Error>>(action: &'static str, path: &[u8]) -> impl FnOnce(E) -> UnpackError {
    let path = text(path);
    move |source| UnpackError::Disk { action, path, source: source.into() }
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// What a layer takes on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) bytes: u64,
    pub(crate) inodes: u64,
}

/// A layer unpacked for itself, before it is known what lies below.
#[derive(Debug)]
pub(crate) struct Draft {
    root: PathBuf,
    tree: Tree,
    /// Hard links whose target is not in this layer, in the archive's order.
    foreign_links: Vec<(Vec<u8>, Vec<u8>)>,
    /// Directories with their times, to be set when nothing more is put into them.
    times: Vec<(Vec<u8>, Timestamps)>,
    usage: Usage,
}

/// Undoes gzip or zstd, whichever the first bytes show: media types are not to be trusted.
pub(crate) fn decompress<'a>(input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut input = BufReader::with_capacity(COPY_BUFFER_BYTES, input);
    let start = input.fill_buf()?;
    Ok(if start.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(input))
    } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(zstd::stream::read::Decoder::with_buffer(input)?)
    } else {
        Box::new(input)
    })
}

/// Unpacks an uncompressed tar stream into `root`, an empty directory. Reads it to its end.
pub(crate) fn unpack(mut input: impl Read, root: &Path) -> Result<Draft> {
    let mut unpacker = Unpacker {
        draft: Draft {
            root: root.to_owned(),
            tree: Tree::open(root)?,
            foreign_links: Vec::new(),
            times: Vec::new(),
            usage: Usage::default(),
        },
        buffer: vec![0; COPY_BUFFER_BYTES],
    };
    let mut archive = tar::Archive::new(&mut input);
    for entry in archive.entries().map_err(UnpackError::Stream)? {
        unpacker.entry(entry.map_err(UnpackError::Stream)?)?;
    }
    // What follows the archive's end is part of the digest.
    io::copy(&mut input, &mut io::sink()).map_err(UnpackError::Stream)?;
    Ok(unpacker.draft)
}

struct Unpacker {
    draft: Draft,
    buffer: Vec<u8>,
}

/// Owner, permissions, time and extended attributes of an entry.
struct Attributes {
    uid: Uid,
    gid: Gid,
    mode: Mode,
    times: Timestamps,
    xattrs: Vec<(String, Vec<u8>)>,
}

impl Attributes {
    fn read<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Self> {
        let path = entry.path_bytes().into_owned();
        let invalid = |error: io::Error| UnpackError::entry(&path, error.to_string());
        let header = entry.header();
        let id = |id: u64| u32::try_from(id).map_err(|_| UnpackError::entry(&path, format!("id {id} is too large")));
        let mut uid = id(header.uid().map_err(invalid)?)?;
        let mut gid = id(header.gid().map_err(invalid)?)?;
        let mode = Mode::from_raw_mode(header.mode().map_err(invalid)? & 0o7777);
        let mut seconds = i64::try_from(header.mtime().map_err(invalid)?).unwrap_or(i64::MAX);
        let mut nanoseconds = 0;
        let mut xattrs = Vec::new();
        // The extended header says what the old one has no room for.
        for extension in entry.pax_extensions().map_err(invalid)?.into_iter().flatten() {
            let extension = extension.map_err(invalid)?;
            let key = extension.key().unwrap_or_default();
            let malformed = || UnpackError::entry(&path, format!("malformed extended header {key}"));
            match key {
                "uid" => uid = extension.value().ok().and_then(|id| id.parse().ok()).ok_or_else(malformed)?,
                "gid" => gid = extension.value().ok().and_then(|id| id.parse().ok()).ok_or_else(malformed)?,
                "mtime" => {
                    (seconds, nanoseconds) = extension.value().ok().and_then(parse_time).ok_or_else(malformed)?;
                }
                _ => {
                    if let Some(name) = key.strip_prefix(PAX_XATTRS)
                        && !name.starts_with(OVERLAY_XATTRS)
                    {
                        xattrs.push((name.to_owned(), extension.value_bytes().to_vec()));
                    }
                }
            }
        }
        let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
        let times = Timestamps { last_access: time, last_modification: time };
        Ok(Self { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), mode, times, xattrs })
    }

    /// Owner first: changing it clears setuid bits and file capabilities.
    fn apply(&self, file: impl AsFd, path: &[u8]) -> Result<()> {
        rustix::fs::fchown(&file, Some(self.uid), Some(self.gid)).map_err(disk("change the owner of", path))?;
        rustix::fs::fchmod(&file, self.mode).map_err(disk("change the permissions of", path))?;
        for (name, value) in &self.xattrs {
            match rustix::fs::fsetxattr(&file, name.as_str(), value, XattrFlags::empty()) {
                // As containerd: a file system without them is no reason to refuse the image.
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(error) => return Err(disk("set extended attributes of", path)(error)),
            }
        }
        Ok(())
    }
}

/// `seconds[.fraction]`, possibly negative.
fn parse_time(text: &str) -> Option<(i64, i64)> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: i64 = digits.parse().ok()?;
    // The fraction counts away from zero, the kernel counts upwards.
    if text.starts_with('-') && nanoseconds > 0 {
        return Some((seconds - 1, 1_000_000_000 - nanoseconds));
    }
    Some((seconds, nanoseconds))
}

/// The path without empty and `.` components; `..` is refused.
fn normalise(path: &[u8]) -> Result<Vec<u8>> {
    let mut components = Vec::new();
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err(UnpackError::entry(path, "it leaves the layer by \"..\"")),
            component => components.push(component),
        }
    }
    Ok(components.join(&b'/'))
}

/// Directory and last component.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, name].join(&b'/') }
}

impl Unpacker {
    fn entry<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> Result<()> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let requested = normalise(&entry.path_bytes())?;
        let attributes = Attributes::read(&mut entry)?;
        if requested.is_empty() {
            if kind != EntryType::Directory {
                return Err(UnpackError::entry(&entry.path_bytes(), "the root is not a directory"));
            }
            attributes.apply(self.draft.tree.root(), b"/")?;
            self.draft.tree.describe(b"");
            self.draft.times.push((Vec::new(), attributes.times));
            return Ok(());
        }
        let (parent, name) = split(&requested);
        let (real_parent, directory) = self.draft.tree.directory(parent)?;
        let path = join(&real_parent, name);
        if name == OPAQUE_WHITEOUT {
            return tree::set_opaque(&*directory, &real_parent);
        }
        if name.starts_with(AUFS_PRIVATE) {
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            if matches!(hidden, b"" | b"." | b"..") {
                return Err(UnpackError::entry(&path, "a whiteout of nothing"));
            }
            return self.whiteout(directory.as_fd(), &join(&real_parent, hidden), hidden);
        }
        self.draft.usage.inodes += 1;
        if kind == EntryType::Directory {
            let made = self.draft.tree.make_directory(directory.as_fd(), &path, name)?;
            attributes.apply(&made, &path)?;
            self.draft.tree.describe(&path);
            self.draft.times.push((path, attributes.times));
            return Ok(());
        }
        self.draft.tree.clear(directory.as_fd(), &path, name)?;
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&directory, name, flags, Mode::from_raw_mode(0o600))
                    .map_err(disk("create", &path))?;
                let file = self.copy(&mut entry, file, &path)?;
                attributes.apply(&file, &path)?;
                rustix::fs::futimens(&file, &attributes.times).map_err(disk("set the time of", &path))
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or_else(|| UnpackError::entry(&path, "a link to nothing"))?;
                rustix::fs::symlinkat(&*target, &directory, name).map_err(disk("create", &path))?;
                self.draft.tree.forget_cache();
                apply_to_name(directory.as_fd(), name, &path, &attributes)
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().ok_or_else(|| UnpackError::entry(&path, "a link to nothing"))?;
                let target = normalise(&target)?;
                self.link(directory.as_fd(), path, name, target)
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                let file_type = match kind {
                    EntryType::Char => FileType::CharacterDevice,
                    EntryType::Block => FileType::BlockDevice,
                    _ => FileType::Fifo,
                };
                let header = entry.header();
                let number = |number: io::Result<Option<u32>>| number.ok().flatten().unwrap_or(0);
                let device = match file_type {
                    FileType::Fifo => 0,
                    _ => rustix::fs::makedev(number(header.device_major()), number(header.device_minor())),
                };
                rustix::fs::mknodat(&directory, name, file_type, attributes.mode, device)
                    .map_err(disk("create", &path))?;
                apply_to_name(directory.as_fd(), name, &path, &attributes)?;
                // Not a link, so this does not follow one.
                rustix::fs::chmodat(&directory, name, attributes.mode, AtFlags::empty())
                    .map_err(disk("change the permissions of", &path))
            }
            other => Err(UnpackError::entry(&path, format!("unknown entry type {:?}", char::from(other.as_byte())))),
        }
    }

    fn copy(&mut self, input: &mut impl Read, output: OwnedFd, path: &[u8]) -> Result<OwnedFd> {
        let mut output = std::fs::File::from(output);
        loop {
            let count = input.read(&mut self.buffer).map_err(UnpackError::Stream)?;
            if count == 0 {
                return Ok(output.into());
            }
            output.write_all(&self.buffer[..count]).map_err(disk("write", path))?;
            self.draft.usage.bytes += count as u64;
        }
    }

    /// Hides what lower layers have; what this layer has itself stays.
    fn whiteout(&mut self, directory: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Result<()> {
        match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let own = tree::open_directory(directory, name).map_err(disk("open", path))?;
                tree::set_opaque(&own, path)
            }
            Ok(_) => Ok(()),
            Err(Errno::NOENT) => rustix::fs::mknodat(directory, name, FileType::CharacterDevice, Mode::empty(), 0)
                .map_err(disk("create a whiteout of", path)),
            Err(error) => Err(disk("look at", path)(error)),
        }
    }

    fn link(&mut self, directory: BorrowedFd<'_>, path: Vec<u8>, name: &[u8], target: Vec<u8>) -> Result<()> {
        let (target_parent, target_name) = split(&target);
        if let Some(target_directory) = self.draft.tree.existing_directory(target_parent)? {
            match rustix::fs::linkat(&target_directory, target_name, directory, name, AtFlags::empty()) {
                Ok(()) => {
                    self.draft.usage.inodes -= 1;
                    return Ok(());
                }
                Err(Errno::NOENT) => {}
                Err(error) => return Err(disk("link", &path)(error)),
            }
        }
        self.draft.foreign_links.push((path, target));
        Ok(())
    }
}

/// Owner, time and attributes of something that can't be opened: a link, a device.
fn apply_to_name(directory: BorrowedFd<'_>, name: &[u8], path: &[u8], attributes: &Attributes) -> Result<()> {
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(directory, name, Some(attributes.uid), Some(attributes.gid), nofollow)
        .map_err(disk("change the owner of", path))?;
    rustix::fs::utimensat(directory, name, &attributes.times, nofollow).map_err(disk("set the time of", path))
}

#[cfg(test)]
pub(crate) mod tests;
