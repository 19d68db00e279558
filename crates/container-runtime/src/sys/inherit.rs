//! Descriptors that a parent process left open for us.
#![allow(unsafe_code, reason = "a number becomes an owner")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes over descriptor `number`, which the parent left open across exec, and marks it close-on-exec.
pub(crate) fn take(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl has no memory preconditions; it fails on a number that is not open.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and by the protocol between node init and daemon nobody else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Puts `fd` at `number` and leaves it open across exec.
pub(crate) fn leave(fd: &OwnedFd, number: RawFd) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let result = if fd.as_raw_fd() == number {
        // SAFETY: fcntl has no memory preconditions.
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) }
    } else {
        // SAFETY: what was open at `number` is closed, which the caller, about to exec, no longer uses.
        unsafe { libc::dup2(fd.as_raw_fd(), number) }
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
