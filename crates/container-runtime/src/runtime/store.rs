//! What is on disk: one directory a sandbox, in it one a container.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use cri::{ContainerConfig, PodSandboxConfig};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// `sandbox.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SandboxRecord {
    pub(super) config: PodSandboxConfig,
    pub(super) created_at: Timestamp,
    pub(super) ips: Vec<IpAddr>,
}

/// `container.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ContainerRecord {
    pub(super) config: ContainerConfig,
    pub(super) created_at: Timestamp,
    pub(super) image_id: String,
    pub(super) image_ref: String,
    pub(super) stop_signal: String,
}

/// Writes aside and renames, so that a reader sees all or nothing.
pub(super) fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let aside = path.with_extension("new");
    fs::write(&aside, serde_json::to_vec(value)?)?;
    fs::rename(aside, path)
}

/// None if it is not there.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Directories in a directory, by name.
pub(super) fn directories(path: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error),
    };
    let mut found = vec![];
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
    }
    Ok(found)
}

const SOCKET: &str = "supervisor.sock";

/// A path to the socket that is short enough for a socket address (107 bytes), however deep the directory is.
fn socket_path(directory: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let opened = OwnedFd::from(fs::File::open(directory)?);
    let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd()));
    Ok((opened, path))
}

/// The socket that a sandbox's supervisor will serve.
pub(super) fn listen(directory: &Path) -> io::Result<UnixListener> {
    let (_opened, path) = socket_path(directory)?;
    UnixListener::bind(path)
}

/// Connects to a sandbox's supervisor.
pub(super) fn connect(directory: &Path) -> io::Result<UnixStream> {
    let (_opened, path) = socket_path(directory)?;
    UnixStream::connect(path)
}

/// Removes a directory; one that is not there is fine.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Bytes and inodes of what is below a directory, on its own file system. What vanishes meanwhile is not counted.
pub(super) fn usage(path: &Path) -> cri::FilesystemUsage {
    use std::os::unix::fs::MetadataExt;
    let mut usage = cri::FilesystemUsage::default();
    let mut pending = vec![path.to_path_buf()];
    while let Some(path) = pending.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        usage.used_bytes += metadata.blocks() * 512;
        usage.inodes_used += 1;
        if metadata.is_dir() {
            pending.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    usage
}
