//! A process exec'd into a running container.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use super::child::enter_cgroups;
use super::process::{become_program, take_streams, take_terminal};
use super::report::{Reporter, StartFailure};
use super::spec::{ProcessSpec, Streams};
use crate::cgroups::Entrances;
use crate::sys::process::{exit, reset_signals};

/// Runs in the child, which is in the container's PID namespace already; `container` is its first process.
pub(crate) fn run(
    spec: &ProcessSpec,
    container: BorrowedFd<'_>,
    entrances: &Entrances,
    streams: Option<Streams>,
    reporter: &Reporter,
) -> ! {
    let prepare = || -> Result<(), StartFailure> {
        reset_signals();
        enter_cgroups(entrances)?;
        let namespaces = ThreadNameSpaceType::MOUNT | ThreadNameSpaceType::CONTROL_GROUP;
        move_into_thread_name_spaces(container, namespaces)
            .map_err(|error| StartFailure::of("failed to enter the container's namespaces", &io::Error::from(error)))?;
        rustix::process::setsid().map_err(|error| StartFailure::of("setsid", &io::Error::from(error)))?;
        match streams {
            Some(streams) => take_streams(streams),
            None => take_terminal(reporter),
        }
    };
    let failure = match prepare() {
        Ok(()) => become_program(spec, reporter),
        Err(failure) => failure,
    };
    reporter.failed(failure);
    exit(1)
}
