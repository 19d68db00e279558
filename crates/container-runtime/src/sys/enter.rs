//! Starting a program in a node's namespaces.
#![allow(unsafe_code, reason = "code between fork and exec")]

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

/// Lets `command` run in all namespaces of the process behind `pidfd`. A process never changes its own PID namespace, so one
/// in between stays outside, waits, and ends as the program ended.
pub(crate) fn prepare(command: &mut Command, pidfd: BorrowedFd<'_>) -> io::Result<()> {
    let pidfd = pidfd.try_clone_to_owned()?;
    let namespaces = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::CONTROL_GROUP
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::NETWORK;
    let hook = move || {
        use std::os::fd::AsFd;
        move_into_thread_name_spaces(pidfd.as_fd(), namespaces)?;
        rustix::process::chdir(c"/")?;
        // SAFETY: fork has no preconditions; the child goes on to exec.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => Ok(()),
            child => wait_and_follow(child),
        }
    };
    // SAFETY: between fork and exec the hook makes system calls only; it takes no lock and allocates nothing.
    unsafe { command.pre_exec(hook) };
    Ok(())
}

/// Waits for `child` and ends as it ended.
fn wait_and_follow(child: libc::pid_t) -> ! {
    // The error pipe of the parent is among these; it would wait for us otherwise.
    let _ = super::process::close_from(3, false);
    let mut status = 0;
    loop {
        // SAFETY: `status` is valid for the call.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        if waited == child {
            break;
        }
        // SAFETY: errno is this thread's own.
        if waited < 0 && unsafe { *libc::__errno_location() } != libc::EINTR {
            break;
        }
    }
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) };
    super::process::exit(code)
}
