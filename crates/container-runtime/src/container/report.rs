//! What the child tells its parent.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use serde::{Deserialize, Serialize};

use crate::user::User;
use crate::wire::{Inbox, encode, send};

/// Why a program did not start; the words are runc's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub(crate) struct StartFailure {
    pub(crate) message: String,
    /// 127: no such program; 126: not executable; 128: everything else.
    pub(crate) exit_code: i32,
}

impl StartFailure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 128 }
    }

    /// "{what}: {cause}", with the cause in the kernel's words.
    pub(crate) fn of(what: impl std::fmt::Display, cause: &dyn std::fmt::Display) -> Self {
        Self::new(format!("{what}: {}", plain(&cause.to_string())))
    }
}

/// Errors without Rust's "(os error 2)", in lower case as Go's.
pub(crate) fn plain(text: &str) -> String {
    let bare = text.split(" (os error").next().unwrap_or(text);
    match bare.split_once(char::is_whitespace) {
        // A word in capitals or with an inner dot is a name and stays.
        Some((first, rest)) if first.chars().skip(1).all(char::is_lowercase) => {
            format!("{} {rest}", first.to_lowercase())
        }
        _ => bare.to_owned(),
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum Report {
    User(User),
    Terminal,
    Failed(StartFailure),
}

/// The child's end.
#[derive(Debug)]
pub(crate) struct Reporter(UnixStream);

impl Reporter {
    fn tell(&self, report: &Report, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = encode(report, fds.len())?;
        // Far below the socket's buffer, so it goes in one piece.
        send(self.0.as_fd(), &bytes, fds)?;
        Ok(())
    }

    pub(crate) fn user(&self, user: &User) -> io::Result<()> {
        self.tell(&Report::User(user.clone()), &[])
    }

    pub(crate) fn terminal(&self, master: BorrowedFd<'_>) -> io::Result<()> {
        self.tell(&Report::Terminal, &[master])
    }

    pub(crate) fn failed(&self, failure: StartFailure) {
        // If the parent is gone there is nobody to tell.
        let _ = self.tell(&Report::Failed(failure), &[]);
    }
}

/// What the parent learnt.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) user: Option<User>,
    pub(crate) terminal: Option<OwnedFd>,
}

/// Both ends, close-on-exec.
pub(crate) fn pair() -> io::Result<(UnixStream, Reporter)> {
    let (parent, child) = UnixStream::pair()?;
    Ok((parent, Reporter(child)))
}

/// Reads until the child has executed its program, or failed. The child's end has to be closed in the parent.
pub(crate) fn collect(parent: &UnixStream) -> Result<Outcome, StartFailure> {
    let mut inbox = Inbox::default();
    let mut outcome = Outcome::default();
    let broken = |error: io::Error| StartFailure::of("failed to read the container's report", &error);
    loop {
        match inbox.read(parent.as_fd()) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(outcome),
            other => other.map_err(broken)?,
        }
        while let Some((report, mut fds)) = inbox.next::<Report>().map_err(broken)? {
            match report {
                Report::User(user) => outcome.user = Some(user),
                Report::Terminal => outcome.terminal = fds.pop(),
                Report::Failed(failure) => return Err(failure),
            }
        }
    }
}
