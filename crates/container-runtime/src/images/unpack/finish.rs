//! The second half of unpacking: what depends on the layers below.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::tree::components;
use super::view::{Found, View, is_opaque, is_whiteout};
use super::{Draft, IMPLICIT_MODE, OPAQUE_XATTR, OVERLAY_XATTRS, Result, UnpackError, Usage, disk, join, split};

/// Symbolic links in one path; the kernel's limit.
const LINKS_MAX: u32 = 40;
/// A file's extended attributes; the kernel allows 64 KiB for names and for each value.
const XATTR_BYTES_MAX: usize = 64 << 10;

impl Draft {
    /// Completes the layer in view of those below it, the topmost first.
    pub(crate) fn finish(self, parents: &[PathBuf]) -> Result<Usage> {
        let mut finisher = Finisher {
            root: self.root,
            view: View { layers: parents },
            implicit: self.tree.implicit,
            usage: self.usage,
        };
        while let Some(path) = finisher.implicit.pop_first() {
            finisher.adopt(&path)?;
        }
        for (path, target) in &self.foreign_links {
            finisher.link(path, target)?;
        }
        // What finishing added needs the same look downwards.
        while let Some(path) = finisher.implicit.pop_first() {
            finisher.adopt(&path)?;
        }
        for (path, times) in self.times.iter().rev() {
            match rustix::fs::utimensat(CWD, finisher.at(path), times, AtFlags::SYMLINK_NOFOLLOW) {
                // It was replaced by a later entry, or lies elsewhere now.
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => return Err(disk("set the time of", path)(error)),
            }
        }
        Ok(finisher.usage)
    }
}

struct Finisher<'a> {
    root: PathBuf,
    view: View<'a>,
    /// Directories still to be looked at; parents come before what they hold.
    implicit: BTreeSet<Vec<u8>>,
    usage: Usage,
}

impl Finisher<'_> {
    fn at(&self, path: &[u8]) -> PathBuf {
        self.root.join(OsStr::from_bytes(path))
    }

    /// Gives a directory that nobody describes what is below it, or moves its content there.
    fn adopt(&mut self, path: &[u8]) -> Result<()> {
        let here = self.at(path);
        match here.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => {}
            _ => return Ok(()),
        }
        if is_opaque(&here).map_err(disk("look at", path))? {
            return Ok(());
        }
        let Some(below) = self.view.find(path).map_err(disk("look below", path))? else { return Ok(()) };
        if below.metadata.is_dir() {
            return copy_attributes(&below, &here, path);
        }
        if below.metadata.is_symlink()
            && let Some(target) = self.resolve(path)?
            && !target.starts_with(&join(path, b""))
            && target != path
        {
            return self.relocate(path, &target);
        }
        Ok(())
    }

    /// Where the link below this path leads in view of this layer and those below; none if there is no directory.
    fn resolve(&self, path: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut pending: VecDeque<Vec<u8>> = components(path).collect();
        let mut real: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == b".." {
                real = split(&real).0.to_vec();
                continue;
            }
            let here = join(&real, &name);
            let found = if here == path { self.view.find(&here) } else { self.find(&here) };
            match found.map_err(disk("look at", &here))? {
                Some(Found { path: link, metadata }) if metadata.is_symlink() => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(UnpackError::entry(path, "too many levels of symbolic links"));
                    }
                    let target = fs::read_link(link).map_err(disk("read", &here))?;
                    let target = target.as_os_str().as_bytes();
                    for component in components(target).collect::<Vec<_>>().into_iter().rev() {
                        pending.push_front(component);
                    }
                    if target.starts_with(b"/") {
                        real.clear();
                    }
                }
                Some(found) if !found.metadata.is_dir() => return Ok(None),
                Some(_) | None => real = here,
            }
        }
        Ok(Some(real))
    }

    /// What lies at a path in this layer, or else below it.
    fn find(&self, path: &[u8]) -> io::Result<Option<Found>> {
        let layers: Vec<PathBuf> = std::iter::once(&self.root).chain(self.view.layers).cloned().collect();
        View { layers: &layers }.find(path)
    }

    fn relocate(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        self.make_directories(target)?;
        let below = join(path, b"");
        let moved: Vec<_> = self.implicit.iter().filter(|implicit| implicit.starts_with(&below)).cloned().collect();
        for implicit in moved {
            self.implicit.remove(&implicit);
            self.implicit.insert(join(target, &implicit[below.len()..]));
        }
        merge(&self.at(path), &self.at(target)).map_err(disk("move what belongs behind the link", path))
    }

    fn make_directories(&mut self, path: &[u8]) -> Result<()> {
        let mut here = Vec::new();
        for component in components(path) {
            here = join(&here, &component);
            let directory = self.at(&here);
            match directory.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => continue,
                Ok(metadata) if is_whiteout(&metadata) => {
                    fs::remove_file(&directory).map_err(disk("replace", &here))?;
                    make_directory(&directory, &here)?;
                    rustix::fs::lsetxattr(&directory, OPAQUE_XATTR, b"y", XattrFlags::empty())
                        .map_err(disk("mark as opaque", &here))?;
                }
                Ok(_) => return Err(UnpackError::entry(path, format!("{} is not a directory", super::text(&here)))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    make_directory(&directory, &here)?;
                    self.implicit.insert(here.clone());
                }
                Err(error) => return Err(disk("look at", &here)(error)),
            }
            self.usage.inodes += 1;
        }
        Ok(())
    }

    /// A hard link to something of a lower layer becomes a copy of it.
    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        let (target_parent, target_name) = split(target);
        let real_parent = self.resolve_parent(target_parent)?;
        let found = match real_parent {
            Some(parent) => self.find(&join(&parent, target_name)).map_err(disk("look at", target))?,
            None => None,
        };
        let Some(found) = found else {
            return Err(UnpackError::entry(
                path,
                format!("a hard link to {}, which does not exist", super::text(target)),
            ));
        };
        // The link's own directory may have moved meanwhile.
        let (parent, name) = split(path);
        let parent = self.resolve_parent(parent)?.unwrap_or_else(|| parent.to_vec());
        self.make_directories(&parent)?;
        let here = self.at(&join(&parent, name));
        if found.path.starts_with(&self.root) {
            return fs::hard_link(&found.path, &here).map_err(disk("link", path));
        }
        if found.metadata.is_symlink() {
            let link = fs::read_link(&found.path).map_err(disk("read", target))?;
            std::os::unix::fs::symlink(link, &here).map_err(disk("create", path))?;
        } else if found.metadata.is_file() {
            let bytes = fs::copy(&found.path, &here).map_err(disk("copy", path))?;
            self.usage.bytes += bytes;
        } else {
            return Err(UnpackError::entry(path, format!("a hard link to {}, which is no file", super::text(target))));
        }
        copy_attributes(&found, &here, path)
    }

    fn resolve_parent(&self, path: &[u8]) -> Result<Option<Vec<u8>>> {
        if path.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut real = Vec::new();
        for component in components(path) {
            let here = join(&real, &component);
            real = match self.find(&here).map_err(disk("look at", &here))? {
                Some(found) if found.metadata.is_dir() => here,
                Some(found) if found.metadata.is_symlink() => match self.resolve_own(&here)? {
                    Some(target) => target,
                    None => return Ok(None),
                },
                _ => return Ok(None),
            };
        }
        Ok(Some(real))
    }

    /// Like [`Self::resolve`], with this layer on top everywhere.
    fn resolve_own(&self, path: &[u8]) -> Result<Option<Vec<u8>>> {
        let layers: Vec<PathBuf> = std::iter::once(&self.root).chain(self.view.layers).cloned().collect();
        let whole = Finisher {
            root: self.root.clone(),
            view: View { layers: &layers },
            implicit: BTreeSet::new(),
            usage: Usage::default(),
        };
        whole.resolve(path)
    }
}

fn make_directory(directory: &Path, path: &[u8]) -> Result<()> {
    fs::create_dir(directory).map_err(disk("create", path))?;
    rustix::fs::chmod(directory, Mode::from_raw_mode(IMPLICIT_MODE)).map_err(disk("change the permissions of", path))
}

/// Moves the content of a directory into another one.
fn merge(from: &Path, to: &Path) -> io::Result<()> {
    if is_opaque(from)? {
        rustix::fs::lsetxattr(to, OPAQUE_XATTR, b"y", XattrFlags::empty())?;
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match target.symlink_metadata() {
            Ok(existing) if existing.is_dir() && entry.file_type()?.is_dir() => merge(&entry.path(), &target)?,
            Ok(existing) if existing.is_dir() => {
                fs::remove_dir_all(&target)?;
                fs::rename(entry.path(), target)?;
            }
            Ok(_) => {
                fs::remove_file(&target)?;
                fs::rename(entry.path(), target)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(entry.path(), target)?,
            Err(error) => return Err(error),
        }
    }
    fs::remove_dir(from)
}

/// Owner, permissions, extended attributes and time of what lies below.
fn copy_attributes(from: &Found, to: &Path, path: &[u8]) -> Result<()> {
    let metadata = &from.metadata;
    let owner = (Some(Uid::from_raw(metadata.uid())), Some(Gid::from_raw(metadata.gid())));
    rustix::fs::chownat(CWD, to, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(disk("change the owner of", path))?;
    if !metadata.is_symlink() {
        rustix::fs::chmod(to, Mode::from_raw_mode(metadata.mode() & 0o7777))
            .map_err(disk("change the permissions of", path))?;
    }
    copy_xattrs(&from.path, to).map_err(disk("copy the extended attributes of", path))?;
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps {
        last_access: time(metadata.atime(), metadata.atime_nsec()),
        last_modification: time(metadata.mtime(), metadata.mtime_nsec()),
    };
    rustix::fs::utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(disk("set the time of", path))
}

fn copy_xattrs(from: &Path, to: &Path) -> io::Result<()> {
    let mut names = vec![0; XATTR_BYTES_MAX];
    let count = match rustix::fs::llistxattr(from, &mut names[..]) {
        Ok(count) => count,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut value = vec![0; XATTR_BYTES_MAX];
    for name in names[..count].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(OVERLAY_XATTRS.as_bytes()) {
            continue;
        }
        let bytes = rustix::fs::lgetxattr(from, name, &mut value[..])?;
        rustix::fs::lsetxattr(to, name, &value[..bytes], XattrFlags::empty())?;
    }
    Ok(())
}
