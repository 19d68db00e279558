//! All output goes through here: results to standard output, everything else to standard error. A reader that has gone
//! away ends the command, and is no failure.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::KubectlError;

type Sink = Arc<Mutex<Box<dyn Write + Send>>>;

/// Where a command writes. Clones write to the same place.
#[derive(Clone)]
pub(crate) struct Printer {
    out: Sink,
    err: Sink,
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Printer")
    }
}

impl Printer {
    /// To the process' own output.
    pub(crate) fn standard() -> Self {
        Self::new(Box::new(std::io::stdout()), Box::new(std::io::stderr()))
    }

    /// To these.
    pub(crate) fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self { out: Arc::new(Mutex::new(out)), err: Arc::new(Mutex::new(err)) }
    }

    /// Writes to standard output as it is, and flushes.
    pub(crate) fn out(&self, text: impl AsRef<[u8]>) -> Result<(), KubectlError> {
        let mut out = self.out.lock();
        match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(KubectlError::ReaderGone),
            Err(error) => Err(KubectlError::new(format!("write /dev/stdout: {error}"))),
        }
    }

    /// Writes a line to standard output.
    pub(crate) fn line(&self, text: impl fmt::Display) -> Result<(), KubectlError> {
        self.out(format!("{text}\n"))
    }

    /// Writes to standard error as it is. Nobody is told where that fails.
    pub(crate) fn err(&self, text: impl AsRef<[u8]>) {
        let mut err = self.err.lock();
        let _ = err.write_all(text.as_ref()).and_then(|()| err.flush());
    }

    /// Writes a line to standard error.
    pub(crate) fn err_line(&self, text: impl fmt::Display) {
        self.err(format!("{text}\n"));
    }
}
