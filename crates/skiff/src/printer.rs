//! What people see: results on standard output, progress and errors on standard error. A reader that has gone away is no
//! error.

use std::io::{IsTerminal as _, Write};

/// Writes a line of a result.
pub(crate) fn line(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.as_ref());
}

/// Writes a result that ends its own lines.
pub(crate) fn text(text: impl AsRef<str>) {
    let _ = write!(std::io::stdout().lock(), "{}", text.as_ref());
}

/// Writes a line about what is going on.
pub(crate) fn progress(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
}

/// What goes on while people wait. On a terminal it is one line that grows with each step; else only its beginning is
/// written, lest a log fill with half lines.
#[derive(Debug)]
pub(crate) struct Steps {
    terminal: bool,
}

impl Steps {
    /// Begins with `text`.
    pub(crate) fn begin(text: impl AsRef<str>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let end = if terminal { "" } else { "\n" };
        let _ = write!(std::io::stderr().lock(), "{} …{end}", text.as_ref());
        Self { terminal }
    }

    /// Says what is done now.
    pub(crate) fn done(&self, step: &str) {
        if self.terminal {
            let mut stderr = std::io::stderr().lock();
            let _ = write!(stderr, " {step} ✓");
            let _ = stderr.flush();
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        if self.terminal {
            let _ = writeln!(std::io::stderr().lock());
        }
    }
}

/// Writes an error with its causes, and what to do next if it says so.
pub(crate) fn error(error: &anyhow::Error) {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        text.push_str(&format!(": {cause}"));
    }
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
