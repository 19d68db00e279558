//! What a container would see of a stack of unpacked layers, without mounting them.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{OPAQUE_XATTR, tree::components};

/// Layers, the topmost first.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) layers: &'a [PathBuf],
}

/// What lies at a path.
#[derive(Debug)]
pub(super) struct Found {
    /// Where it really is.
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
}

impl View<'_> {
    /// What lies at a path of which no component but the last is a link.
    pub(super) fn find(&self, path: &[u8]) -> io::Result<Option<Found>> {
        for layer in self.layers {
            match look(layer, path)? {
                Look::Here(found) => return Ok(Some(found)),
                Look::Hidden => return Ok(None),
                Look::Below => {}
            }
        }
        Ok(None)
    }
}

/// Whether there is something at a path of an image with these layers, the topmost first. What lies behind a link is left to
/// the kernel.
pub(crate) fn has(layers: &[PathBuf], path: &Path) -> io::Result<bool> {
    let view = View { layers };
    let mut prefixes: Vec<&Path> = path.ancestors().filter(|prefix| !prefix.as_os_str().is_empty()).collect();
    prefixes.reverse();
    for prefix in prefixes {
        match view.find(prefix.as_os_str().as_bytes())? {
            None => return Ok(false),
            Some(found) if found.metadata.is_symlink() => return Ok(true),
            Some(_) => {}
        }
    }
    Ok(true)
}

enum Look {
    Here(Found),
    /// This layer says that it does not exist.
    Hidden,
    /// This layer says nothing.
    Below,
}

fn look(layer: &Path, path: &[u8]) -> io::Result<Look> {
    let mut here = layer.to_owned();
    let mut metadata = here.symlink_metadata()?;
    for component in components(path) {
        if !metadata.is_dir() {
            return Ok(Look::Hidden);
        }
        let opaque = is_opaque(&here)?;
        here.push(OsStr::from_bytes(&component));
        metadata = match here.symlink_metadata() {
            Ok(metadata) if is_whiteout(&metadata) => return Ok(Look::Hidden),
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(if opaque { Look::Hidden } else { Look::Below });
            }
            Err(error) => return Err(error),
        };
    }
    Ok(Look::Here(Found { path: here, metadata }))
}

pub(super) fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

/// Whether a directory hides what is below it.
pub(super) fn is_opaque(directory: &Path) -> io::Result<bool> {
    let mut value = [0; 1];
    match rustix::fs::lgetxattr(directory, OPAQUE_XATTR, &mut value[..]) {
        Ok(count) => Ok(&value[..count] == b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
