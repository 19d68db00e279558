//! Waiting for a descriptor in tokio.
#![allow(unsafe_code, reason = "an unsafe constructor")]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// Registers a non-blocking descriptor with the current runtime.
pub(crate) fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` gives the same open descriptor for as long as it lives, and the result owns it.
    unsafe { AsyncFd::register(fd) }.map_err(|error| error.into_parts().1)
}
