//! Mount attributes.
#![allow(unsafe_code, reason = "system calls without a safe form")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What to change of a mount.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MountChange {
    /// `MOUNT_ATTR_*` to set.
    pub(crate) set: u64,
    /// `MS_PRIVATE`, `MS_SLAVE` or `MS_SHARED`; 0 leaves it.
    pub(crate) propagation: u64,
    /// Also all mounts below.
    pub(crate) recursive: bool,
}

pub(crate) const ATTR_RDONLY: u64 = 1;
pub(crate) const ATTR_NOSUID: u64 = 2;
pub(crate) const ATTR_NODEV: u64 = 4;
pub(crate) const ATTR_NOEXEC: u64 = 8;

/// Changes the mount at `path` below `directory`; the mount that `directory` is, where `path` is empty.
pub(crate) fn change_mount(directory: BorrowedFd<'_>, path: &CStr, change: MountChange) -> io::Result<()> {
    let attributes =
        libc::mount_attr { attr_set: change.set, attr_clr: 0, propagation: change.propagation, userns_fd: 0 };
    let empty = if path.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    let recursive = if change.recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: `path` is zero-terminated, `attributes` is a valid mount_attr of the size given; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            directory.as_raw_fd(),
            path.as_ptr(),
            empty | recursive,
            std::ptr::from_ref(&attributes),
            std::mem::size_of::<libc::mount_attr>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
