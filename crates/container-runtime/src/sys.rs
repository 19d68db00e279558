//! The only unsafe code of the project: system calls that `rustix` has no safe form of.
//!
//! Everything here is a thin wrapper that checks its result; what is decided is decided elsewhere.

pub(crate) mod devices;
pub(crate) mod enter;
pub(crate) mod inherit;
pub(crate) mod mount;
pub(crate) mod process;
pub(crate) mod readiness;
pub(crate) mod seccomp;
