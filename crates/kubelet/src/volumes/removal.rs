//! Removes a Pod's directory, and nothing that is only mounted or linked there.

use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::mount::UnmountFlags;

/// Removes `directory` with all that is in it. What is mounted below it is unmounted first; if that fails, all stays.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    let directory = match directory.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    // The last one that was mounted goes first: it may lie on another.
    for mount in mounts()?.iter().rev().filter(|mount| mount.starts_with(&directory)) {
        rustix::mount::unmount(mount, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
    }
    if let Some(left) = mounts()?.iter().find(|mount| mount.starts_with(&directory)) {
        return Err(io::Error::other(format!("{} is still mounted", left.display())));
    }
    // Links are removed, not followed.
    std::fs::remove_dir_all(directory)
}

/// Where something is mounted, in the order in which it was.
fn mounts() -> io::Result<Vec<PathBuf>> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    let lines = text.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4).map(unescape)).collect())
}

/// The kernel writes blanks, line ends and backslashes as `\ooo`.
fn unescape(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                path.push(byte);
                rest = &tail[3..];
            }
            None => {
                path.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(path))
}

#[cfg(test)]
mod tests;
