//! Starting a program in a node's namespaces.
#![allow(unsafe_code, reason = "code between fork and exec")]

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, getpgrp, getpid, kill_current_process_group, kill_process_group, setpgid};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

/// Lets `command` run in all namespaces of the process behind `pidfd`. A process never changes its own PID namespace, so one
/// in between stays outside, waits, and ends as the program ended. If it is in the foreground of a terminal, the program gets
/// a foreground group of its own: a shell could not name, and so not put back, one that is outside its PID namespace.
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
        let own_group = getpgrp();
        // Ignored, so that who is in the background yet may become the foreground.
        // SAFETY: there is no handler.
        let background_writes = unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
        let foreground = tcgetpgrp(rustix::stdio::stdin()) == Ok(own_group);
        // SAFETY: fork has no preconditions; the child goes on to exec.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                if foreground {
                    setpgid(None, None)?;
                    tcsetpgrp(rustix::stdio::stdin(), getpid())?;
                }
                // SAFETY: this is what was there before.
                unsafe { libc::signal(libc::SIGTTOU, background_writes) };
                Ok(())
            }
            child => wait_and_follow(child, foreground.then_some(own_group)),
        }
    };
    // SAFETY: between fork and exec the hook makes system calls only; it takes no lock and allocates nothing.
    unsafe { command.pre_exec(hook) };
    Ok(())
}

/// Waits for `child` and ends as it ended. `own_group` is there if the child has the terminal's foreground instead of it.
fn wait_and_follow(child: libc::pid_t, own_group: Option<Pid>) -> ! {
    // The error pipe of the parent is among these; it would wait for us otherwise.
    let _ = super::process::close_from(3, false);
    let take_foreground = |group: Option<Pid>| {
        // Without a terminal any more there is nothing to take.
        let _ = group.map(|group| tcsetpgrp(rustix::stdio::stdin(), group));
    };
    let options = if own_group.is_some() { libc::WUNTRACED } else { 0 };
    let mut status = 0;
    loop {
        // SAFETY: `status` is valid for the call.
        let waited = unsafe { libc::waitpid(child, &raw mut status, options) };
        if waited == child && libc::WIFSTOPPED(status) {
            // The user's shell sees only this group: it stops, too, until the user has it go on. The kernel leaves the signal
            // out where there is no such shell.
            take_foreground(own_group);
            let _ = kill_current_process_group(Signal::TSTP);
            let group = Pid::from_raw(child);
            take_foreground(group.filter(|_| tcgetpgrp(rustix::stdio::stdin()).ok() == own_group));
            let _ = group.map(|group| kill_process_group(group, Signal::CONT));
            continue;
        }
        if waited == child {
            break;
        }
        // SAFETY: errno is this thread's own.
        if waited < 0 && unsafe { *libc::__errno_location() } != libc::EINTR {
            break;
        }
    }
    take_foreground(own_group);
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) };
    super::process::exit(code)
}
