//! The part of a volume that a container mounts (upstream: `pkg/volume/util/subpath`).

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

fn leads_out(sub_path: &str) -> io::Error {
    io::Error::other(format!("{sub_path:?} leads out of the volume"))
}

/// Finds `sub_path` in the volume at `base`. Directories that are missing are made, as open as that, unless the volume is
/// `read_only`. Containers write to volumes: a link among them that leads out of the volume leads nowhere.
pub(crate) fn resolve(base: &Path, sub_path: &str, read_only: bool) -> io::Result<PathBuf> {
    let base = base.canonicalize()?;
    let mode = fs::metadata(&base)?.permissions().mode() & 0o7777;
    let mut found = base.clone();
    for part in Path::new(sub_path).components() {
        match part {
            Component::CurDir => continue,
            Component::Normal(part) => found.push(part),
            _ => return Err(leads_out(sub_path)),
        }
        match fs::symlink_metadata(&found) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !read_only => {
                fs::DirBuilder::new().mode(0o700).create(&found)?;
                // Whatever the umask is.
                fs::set_permissions(&found, fs::Permissions::from_mode(mode))?;
            }
            Err(error) => return Err(error),
            Ok(entry) if entry.is_symlink() => {
                found = found.canonicalize()?;
                if !found.starts_with(&base) {
                    return Err(leads_out(sub_path));
                }
            }
            Ok(_) => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
