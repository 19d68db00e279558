//! What people see: results on standard output, progress and errors on standard error. A reader that has gone away is no
//! error.

use std::io::Write;

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

/// Writes an error with its causes, and what to do next if it says so.
pub(crate) fn error(error: &anyhow::Error) {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        text.push_str(&format!(": {cause}"));
    }
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
