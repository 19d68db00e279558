//! The directory that a layer is unpacked into: walking paths in it, as root, without ever leaving it.

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::{IMPLICIT_MODE, OPAQUE_XATTR, Result, UnpackError, disk, join};

/// Symbolic links in one path; the kernel's limit.
const LINKS_MAX: u32 = 40;

/// A directory as the root of paths.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    /// Directories made because something lies in them, which no entry describes.
    pub(super) implicit: BTreeSet<Vec<u8>>,
    /// The last directory asked for, as asked for and as it really is: entries of one directory follow each other.
    cache: Option<(Vec<u8>, Vec<u8>, Arc<OwnedFd>)>,
}

impl Tree {
    pub(super) fn open(root: &Path) -> Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root =
            rustix::fs::open(root, flags, Mode::empty()).map_err(disk("open", root.as_os_str().as_encoded_bytes()))?;
        rustix::fs::fchmod(&root, Mode::from_raw_mode(IMPLICIT_MODE))
            .map_err(disk("change the permissions of", b"/"))?;
        // The root, too, is described by an entry or takes the attributes of the one below.
        Ok(Self { root, implicit: BTreeSet::from([Vec::new()]), cache: None })
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// An entry describes this directory.
    pub(super) fn describe(&mut self, path: &[u8]) {
        self.implicit.remove(path);
    }

    pub(super) fn forget_cache(&mut self) {
        self.cache = None;
    }

    /// The directory with its real path; what is missing of it is made.
    pub(super) fn directory(&mut self, path: &[u8]) -> Result<(Vec<u8>, Arc<OwnedFd>)> {
        if let Some((asked, real, directory)) = &self.cache
            && asked == path
        {
            return Ok((real.clone(), directory.clone()));
        }
        let (real, directory) = self.walk(path, true)?.expect("what is missing is made");
        let directory = Arc::new(directory);
        self.cache = Some((path.to_vec(), real.clone(), directory.clone()));
        Ok((real, directory))
    }

    /// The directory, if it exists.
    pub(super) fn existing_directory(&mut self, path: &[u8]) -> Result<Option<OwnedFd>> {
        Ok(self.walk(path, false)?.map(|(_, directory)| directory))
    }

    fn walk(&mut self, path: &[u8], make: bool) -> Result<Option<(Vec<u8>, OwnedFd)>> {
        let mut pending: VecDeque<Vec<u8>> = components(path).collect();
        let mut real = Vec::new();
        let mut directory = self.reopen(b"")?;
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == b".." {
                real.truncate(real.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
                directory = self.reopen(&real)?;
                continue;
            }
            let here = join(&real, &name);
            directory = match open_directory(directory.as_fd(), &name) {
                Ok(next) => next,
                Err(Errno::NOENT) if !make => return Ok(None),
                Err(Errno::NOENT) => self.make_implicit(directory.as_fd(), &here, &name)?,
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let stat = rustix::fs::statat(&directory, &name[..], AtFlags::SYMLINK_NOFOLLOW)
                        .map_err(disk("look at", &here))?;
                    match FileType::from_raw_mode(stat.st_mode) {
                        FileType::Symlink => {
                            links += 1;
                            if links > LINKS_MAX {
                                return Err(UnpackError::entry(path, "too many levels of symbolic links"));
                            }
                            let target = rustix::fs::readlinkat(&directory, &name[..], Vec::new())
                                .map_err(disk("read", &here))?;
                            let target = target.as_bytes();
                            for component in components(target).collect::<Vec<_>>().into_iter().rev() {
                                pending.push_front(component);
                            }
                            if target.starts_with(b"/") {
                                real.clear();
                                directory = self.reopen(b"")?;
                            }
                            continue;
                        }
                        _ if !make => return Ok(None),
                        _ if is_whiteout(&stat) => self.make_directory(directory.as_fd(), &here, &name)?,
                        _ => {
                            return Err(UnpackError::entry(path, format!("{} is not a directory", super::text(&here))));
                        }
                    }
                }
                Err(error) => return Err(disk("open", &here)(error)),
            };
            real = here;
        }
        Ok(Some((real, directory)))
    }

    /// Opens a path that has been walked: no component is a link.
    fn reopen(&self, real: &[u8]) -> Result<OwnedFd> {
        let path = if real.is_empty() { &b"."[..] } else { real };
        let resolve = rustix::fs::ResolveFlags::BENEATH | rustix::fs::ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve).map_err(disk("open", real))
    }

    fn make_implicit(&mut self, parent: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Result<OwnedFd> {
        let mode = Mode::from_raw_mode(IMPLICIT_MODE);
        rustix::fs::mkdirat(parent, name, mode).map_err(disk("create", path))?;
        let made = open_directory(parent, name).map_err(disk("open", path))?;
        rustix::fs::fchmod(&made, mode).map_err(disk("change the permissions of", path))?;
        self.implicit.insert(path.to_vec());
        Ok(made)
    }

    /// A directory of this name, whatever was there: one stays as it is, anything else is replaced. One that was hidden before hides what is below.
    pub(super) fn make_directory(&mut self, parent: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Result<OwnedFd> {
        let opaque = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                return open_directory(parent, name).map_err(disk("open", path));
            }
            Ok(stat) => {
                self.clear(parent, path, name)?;
                is_whiteout(&stat)
            }
            Err(Errno::NOENT) => false,
            Err(error) => return Err(disk("look at", path)(error)),
        };
        let made = self.make_implicit(parent, path, name)?;
        if opaque {
            set_opaque(&made, path)?;
        }
        Ok(made)
    }

    /// Removes what an earlier entry left under this name.
    pub(super) fn clear(&mut self, parent: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Result<()> {
        match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) => self.forget_cache(),
            Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => {
                self.forget_cache();
                let below = join(path, b"");
                self.implicit.retain(|implicit| implicit != path && !implicit.starts_with(&below));
                // Through the descriptor: the name is resolved beneath it, and nothing beneath is followed.
                let inside = Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string());
                let inside = inside.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
                std::fs::remove_dir_all(inside).map_err(disk("replace", path))?;
            }
            Err(error) => return Err(disk("replace", path)(error)),
        }
        Ok(())
    }
}

/// The components of a path; `..` stays one.
pub(super) fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).map(<[u8]>::to_vec)
}

pub(super) fn open_directory(parent: BorrowedFd<'_>, name: &[u8]) -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// overlayfs' sign that a name is gone.
pub(super) fn is_whiteout(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

pub(super) fn set_opaque(directory: impl AsFd, path: &[u8]) -> Result<()> {
    rustix::fs::fsetxattr(directory, OPAQUE_XATTR, b"y", XattrFlags::empty()).map_err(disk("mark as opaque", path))
}
