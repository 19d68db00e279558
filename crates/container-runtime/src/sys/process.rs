//! Processes: clone, exec, signals, descriptors.
#![allow(unsafe_code, reason = "system calls without a safe form")]

use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::thread::UnshareFlags;

/// What [`clone`] returned.
#[derive(Debug)]
pub(crate) enum Cloned {
    /// In the new process.
    Child,
    /// In the old one.
    Parent {
        /// The child's id in the caller's PID namespace.
        pid: i32,
        /// A descriptor of the child, close-on-exec.
        pidfd: OwnedFd,
    },
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Whether this process has one thread. Only then is a child of [`clone`] free to allocate and take locks.
pub(crate) fn is_single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

/// `CLONE_INTO_CGROUP` (Linux 5.7), which does not fit the C library's type for flags.
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// A new process, in new namespaces as `flags` (`CLONE_NEW*`) say. The caller has to be single-threaded: the child goes on
/// with ordinary Rust code.
pub(crate) fn clone(flags: i32) -> io::Result<Cloned> {
    clone_into(flags, None)
}

/// As [`clone`]; the process begins its life in the v2 cgroup whose directory is given.
pub(crate) fn clone_into(flags: i32, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    let mut pidfd: RawFd = -1;
    let into = if cgroup.is_some() { INTO_CGROUP } else { 0 };
    let arguments = libc::clone_args {
        flags: u64::from((flags | libc::CLONE_PIDFD).cast_unsigned()) | into,
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: cgroup.map_or(0, |directory| u64::from(directory.as_raw_fd().cast_unsigned())),
    };
    // SAFETY: the arguments are a valid `clone_args` of the size given; without a stack and without CLONE_VM the child is a
    // copy that returns here, as after fork. Callers are single-threaded, so no lock is held by a thread that is not copied.
    let pid = check(unsafe {
        libc::syscall(libc::SYS_clone3, std::ptr::from_ref(&arguments), std::mem::size_of::<libc::clone_args>())
    })?;
    if pid == 0 {
        return Ok(Cloned::Child);
    }
    // SAFETY: the kernel stored a new descriptor that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned::Parent { pid: i32::try_from(pid).expect("process ids fit"), pidfd })
}

/// Ends this process at once: no destructors, no flushing, as a forked child must.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Moves this process into new namespaces. For a new PID namespace only later children are in it.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    assert!(!flags.contains(UnshareFlags::FILES), "descriptor tables stay shared");
    // SAFETY: the descriptor table is not unshared, so no thread can see a descriptor that it does not have.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(Into::into)
}

/// Replaces this process by a program; returns only if that failed.
pub(crate) fn execve(path: &CString, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const c_char> {
        strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: all pointers are to zero-terminated strings that live until the call returns; both lists end with null.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// All signals to their default action and none blocked: Rust ignores SIGPIPE, and forked processes block what their
/// parent reads from a descriptor.
pub(crate) fn reset_signals() {
    /// The kernel has signals 1 to 64.
    const SIGNALS: i32 = 64;
    for signal in 1..=SIGNALS {
        // SAFETY: the default action installs no code of ours; signals that can't be changed are refused, which is fine.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an all-zero set is a valid, empty set, and is read only.
    unsafe {
        let none: libc::sigset_t = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Blocks `signals` and gives a non-blocking descriptor from which they are read.
pub(crate) fn signal_descriptor(signals: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset before use, and outlives the calls; a new descriptor is owned by nobody.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()).into())?;
        let fd = check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK).into())?;
        Ok(OwnedFd::from_raw_fd(i32::try_from(fd).expect("descriptors fit")))
    }
}

/// Signals waiting at a [`signal_descriptor`].
pub(crate) fn pending_signals(fd: BorrowedFd<'_>) -> Vec<i32> {
    /// `struct signalfd_siginfo`, of which the first word is the number.
    const RECORD: usize = 128;
    let mut signals = vec![];
    let mut record = [0; RECORD];
    while let Ok(RECORD) = rustix::io::read(fd, &mut record[..]) {
        signals.push(i32::from_ne_bytes([record[0], record[1], record[2], record[3]]));
    }
    signals
}

/// Sends a signal to a process; `signal` may be a real-time one.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    assert!(pid > 0, "never a group by accident");
    // SAFETY: kill has no memory preconditions.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// Sends a signal through a process descriptor.
pub(crate) fn pidfd_kill(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: no pointer but null is passed.
    let sent = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0)
    };
    check(sent).map(drop)
}

/// Closes all descriptors from `first` on, or marks them to be closed by exec.
pub(crate) fn close_from(first: RawFd, on_exec: bool) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    let flags = if on_exec { CLOSE_RANGE_CLOEXEC } else { 0 };
    // SAFETY: closing can't harm memory; callers are about to exec, or have just been forked and own nothing up there.
    check(unsafe { libc::syscall(libc::SYS_close_range, first.cast_unsigned(), libc::c_uint::MAX, flags) }).map(drop)
}

/// A session keyring of its own, so that keys of whoever started the node can't be reached. Kernels without keys are fine.
pub(crate) fn new_session_keyring() {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_ulong = 1;
    // SAFETY: a null name asks for an anonymous keyring.
    unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<c_char>()) };
}

/// Sets the real, effective and saved ids of this process, and its groups, for good.
pub(crate) fn set_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: the list of groups is valid for its length; the raw calls act on this thread, which is the only one.
    unsafe {
        check(libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()))?;
        check(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
        check(libc::syscall(libc::SYS_setresuid, uid, uid, uid))?;
    }
    Ok(())
}

/// A write to a closed pipe gives an error and no signal.
pub(crate) fn ignore_broken_pipes() {
    // SAFETY: ignoring installs no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}
