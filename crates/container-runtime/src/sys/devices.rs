//! Device access on cgroup v2: an eBPF program attached to the cgroup (v1 has files for it).
#![allow(unsafe_code, reason = "system calls without a safe form")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ATTACH_ALLOW_MULTI: u32 = 2;
/// `union bpf_attr` of the commands used here fits in this; the rest has to be zero.
const ATTRIBUTE_BYTES: usize = 128;

fn bpf(command: libc::c_int, attribute: &[u8; ATTRIBUTE_BYTES]) -> io::Result<libc::c_long> {
    // SAFETY: the attribute is readable for the size given, and pointers stored in it outlive the call (see callers).
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attribute.as_ptr(), ATTRIBUTE_BYTES) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Loads a device program of eBPF instructions (eight bytes each) and attaches it to a cgroup.
pub(crate) fn attach(cgroup: BorrowedFd<'_>, instructions: &[[u8; 8]]) -> io::Result<()> {
    let license = c"Apache-2.0";
    let mut attribute = [0; ATTRIBUTE_BYTES];
    attribute[0..4].copy_from_slice(&PROG_TYPE_CGROUP_DEVICE.to_ne_bytes());
    let count = u32::try_from(instructions.len()).map_err(io::Error::other)?;
    attribute[4..8].copy_from_slice(&count.to_ne_bytes());
    attribute[8..16].copy_from_slice(&(instructions.as_ptr() as u64).to_ne_bytes());
    attribute[16..24].copy_from_slice(&(license.as_ptr() as u64).to_ne_bytes());
    let program = bpf(BPF_PROG_LOAD, &attribute)?;
    // SAFETY: the kernel returned a new descriptor that nobody else owns.
    let program = unsafe { OwnedFd::from_raw_fd(i32::try_from(program).expect("descriptors fit")) };
    let mut attribute = [0; ATTRIBUTE_BYTES];
    attribute[0..4].copy_from_slice(&cgroup.as_raw_fd().to_ne_bytes());
    attribute[4..8].copy_from_slice(&program.as_raw_fd().to_ne_bytes());
    attribute[8..12].copy_from_slice(&ATTACH_CGROUP_DEVICE.to_ne_bytes());
    attribute[12..16].copy_from_slice(&ATTACH_ALLOW_MULTI.to_ne_bytes());
    bpf(BPF_PROG_ATTACH, &attribute).map(drop)
}
