//! The last steps before a program is executed, the same for a container's first process and for an exec'd one.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Access, CWD, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs,
};

use super::report::{Reporter, StartFailure, plain};
use super::spec::{ProcessSpec, Streams};
use crate::sys::process::{close_from, execve, new_session_keyring, set_user};
use crate::user::{self, User};

/// What a program is looked up in where its environment has no PATH: Docker's.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The group of terminals in every distribution.
const TTY_GID: u32 = 5;

fn step<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> Result<T, StartFailure> {
    result.map_err(|error| StartFailure::of(what, &error))
}

/// Puts streams where a program expects them.
pub(super) fn take_streams(streams: Streams) -> Result<(), StartFailure> {
    step("standard input", rustix::stdio::dup2_stdin(&streams.stdin).map_err(io::Error::from))?;
    step("standard output", rustix::stdio::dup2_stdout(&streams.stdout).map_err(io::Error::from))?;
    step("standard error", rustix::stdio::dup2_stderr(&streams.stderr).map_err(io::Error::from))
}

/// Opens a new terminal of the container, makes it this session's and gives its other end to the parent.
pub(super) fn take_terminal(reporter: &Reporter) -> Result<(), StartFailure> {
    let open = || -> io::Result<(OwnedFd, OwnedFd)> {
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let master = rustix::fs::open("/dev/pts/ptmx", flags, Mode::empty())?;
        rustix::pty::unlockpt(&master)?;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        rustix::process::ioctl_tiocsctty(&slave)?;
        Ok((master, slave))
    };
    let (master, slave) = step("failed to open a terminal", open())?;
    let copy = |fd: &OwnedFd| step("failed to open a terminal", fd.try_clone());
    step("failed to hand over the terminal", reporter.terminal(master.as_fd()))?;
    take_streams(Streams { stdin: copy(&slave)?, stdout: copy(&slave)?, stderr: slave })
}

fn read_or_empty(path: &str) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Becomes the program; returns only if that failed.
pub(super) fn become_program(spec: &ProcessSpec, reporter: &Reporter) -> StartFailure {
    match prepare_and_execute(spec, reporter) {
        Ok(never) => match never {},
        Err(failure) => failure,
    }
}

fn prepare_and_execute(spec: &ProcessSpec, reporter: &Reporter) -> Result<std::convert::Infallible, StartFailure> {
    let user = step(
        "failed to resolve user",
        user::resolve(&spec.user, &read_or_empty("/etc/passwd"), &read_or_empty("/etc/group")),
    )
    .map_err(|failure| StartFailure::new(failure.message.trim_start_matches("failed to resolve user: ").to_owned()))?;
    step("failed to report", reporter.user(&user))?;
    match std::fs::write("/proc/self/oom_score_adj", spec.oom_score_adj.to_string()) {
        // A node within a container may have no right to lower it; runc goes on there too.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied || spec.oom_score_adj == 0 => {}
        written => step("failed to set oom_score_adj", written)?,
    }
    new_session_keyring();
    own_streams(&user, spec.tty)?;
    change_directory(&spec.cwd)?;
    let arguments = strings(&spec.argv)?;
    let environment = environment(spec, &user);
    // Looked up as root and checked by the kernel as the user.
    let path = environment.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(PATH).to_owned();
    let environment = strings(&environment)?;
    let Some(name) = spec.argv.first() else { return Err(StartFailure::new("no command specified")) };
    drop_privileges(spec, &user)?;
    let program = look_up(name, &path)?;
    step("failed to close descriptors", close_from(3, true))?;
    let error = execve(&program, &arguments, &environment);
    Err(StartFailure::new(format!("exec {}: {}", program.to_string_lossy(), plain(&error.to_string()))))
}

fn strings(texts: &[String]) -> Result<Vec<CString>, StartFailure> {
    texts.iter().map(|text| step("argument or variable with a zero byte", CString::new(text.as_str()))).collect()
}

fn environment(spec: &ProcessSpec, user: &User) -> Vec<String> {
    let mut environment = spec.env.clone();
    let has = |environment: &[String], name: &str| environment.iter().any(|variable| variable.starts_with(name));
    if !has(&environment, "PATH=") {
        environment.push(format!("PATH={PATH}"));
    }
    if !has(&environment, "HOME=") {
        environment.push(format!("HOME={}", user.home));
    }
    if spec.tty && !has(&environment, "TERM=") {
        environment.push("TERM=xterm".into());
    }
    environment
}

/// Gives pipes and terminals to the user, so that /dev/stdout can be opened again by whoever is not root.
fn own_streams(user: &User, tty: bool) -> Result<(), StartFailure> {
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let stat = step("failed to look at a stream", rustix::fs::fstat(stream).map_err(io::Error::from))?;
        let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && !tty;
        if is_null {
            continue;
        }
        let gid = if tty { TTY_GID } else { user.gid };
        match rustix::fs::fchown(stream, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(gid))) {
            // A stream on a file system that refuses is still usable through its descriptor.
            Ok(()) | Err(Errno::ROFS | Errno::PERM | Errno::INVAL) => {}
            Err(error) => return Err(StartFailure::of("failed to give a stream to the user", &io::Error::from(error))),
        }
    }
    Ok(())
}

fn change_directory(path: &str) -> Result<(), StartFailure> {
    let path = if path.is_empty() { "/" } else { path };
    if !Path::new(path).is_absolute() {
        return Err(StartFailure::new(format!("Cwd must be an absolute path, got {path:?}")));
    }
    let missing = matches!(rustix::process::chdir(path), Err(Errno::NOENT));
    if missing {
        step(&format!("mkdir {path}"), std::fs::create_dir_all(path))?;
    }
    step(
        &format!("chdir to cwd ({path:?}) set in config.json failed"),
        rustix::process::chdir(path).map_err(io::Error::from),
    )
}

fn drop_privileges(spec: &ProcessSpec, user: &User) -> Result<(), StartFailure> {
    let kernel = |what: &str, result: rustix::io::Result<()>| step(what, result.map_err(io::Error::from));
    if spec.no_new_privs {
        kernel("failed to set no_new_privs", set_no_new_privs(true))?;
    } else if let Some(filter) = &spec.seccomp {
        // Without no_new_privs a filter takes CAP_SYS_ADMIN, which is about to go.
        step("failed to install the seccomp filter", crate::sys::seccomp::install(filter))?;
    }
    for number in 0..u64::BITS {
        if spec.capabilities >> number & 1 == 0 {
            let one = CapabilitySet::from_bits_retain(1 << number);
            match remove_capability_from_bounding_set(one) {
                // The kernel does not know it.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(error) => return Err(StartFailure::of("failed to drop a capability", &io::Error::from(error))),
            }
        }
    }
    kernel("failed to keep capabilities", set_keep_capabilities(true))?;
    step("failed to set the user", set_user(user.uid, user.gid, &user.groups))?;
    kernel("failed to unkeep capabilities", set_keep_capabilities(false))?;
    let held =
        capabilities(None).map_err(|error| StartFailure::of("failed to read capabilities", &io::Error::from(error)))?;
    let kept = held.permitted & CapabilitySet::from_bits_retain(spec.capabilities);
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    kernel("failed to set capabilities", set_capabilities(None, sets))?;
    if let Some(filter) = spec.seccomp.as_ref().filter(|_| spec.no_new_privs) {
        step("failed to install the seccomp filter", crate::sys::seccomp::install(filter))?;
    }
    Ok(())
}

/// Finds a program as Go's `exec.LookPath` does, with its words, which users and scripts know.
fn look_up(name: &str, path: &str) -> Result<CString, StartFailure> {
    let fail = |why: String, exit_code| StartFailure { message: format!("exec: {name:?}: {why}"), exit_code };
    let check = |candidate: &str| -> Result<(), Errno> {
        let stat = rustix::fs::stat(candidate)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(Errno::ISDIR);
        }
        rustix::fs::accessat(CWD, candidate, Access::EXEC_OK, rustix::fs::AtFlags::EACCESS)
    };
    let text = |error: Errno| plain(&io::Error::from(error).to_string());
    let accept = |candidate: String| step("program name", CString::new(candidate));
    if name.contains('/') {
        return match check(name) {
            Ok(()) => accept(name.into()),
            Err(Errno::NOENT) => Err(fail(format!("stat {name}: no such file or directory"), 127)),
            Err(error) => Err(fail(text(error), 126)),
        };
    }
    let mut denied = None;
    for directory in path.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate = format!("{directory}/{name}");
        match check(&candidate) {
            Ok(()) => return accept(candidate),
            Err(error @ Errno::ACCESS) => denied = Some(error),
            Err(_) => {}
        }
    }
    match denied {
        Some(error) => Err(fail(text(error), 126)),
        None => Err(fail("executable file not found in $PATH".into(), 127)),
    }
}
