//! Installing a system call filter.
#![allow(unsafe_code, reason = "system calls without a safe form")]

use std::io;

use serde::{Deserialize, Serialize};

/// One instruction of classic BPF: code, jump if true, jump if false, operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Instruction(pub(crate) u16, pub(crate) u8, pub(crate) u8, pub(crate) u32);

/// Filters this process and all that come from it, for good. Needs `no_new_privs` or CAP_SYS_ADMIN.
pub(crate) fn install(program: &[Instruction]) -> io::Result<()> {
    let mut filter: Vec<libc::sock_filter> =
        program.iter().map(|&Instruction(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k }).collect();
    let length = u16::try_from(filter.len()).map_err(|_| io::Error::other("the seccomp filter is too long"))?;
    let program = libc::sock_fprog { len: length, filter: filter.as_mut_ptr() };
    // SAFETY: the program points to `len` instructions that live until the call returns; the kernel copies and checks them.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, std::ptr::from_ref(&program)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
