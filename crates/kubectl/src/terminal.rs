//! The user's terminal: raw mode, its size, and the keys that detach from a session.

use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

use crate::error::KubectlError;

/// The keys that detach where no others are chosen: upstream's.
pub(crate) const DETACH_KEYS: &str = "ctrl-p,ctrl-q";

/// Columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Columns.
    pub(crate) width: u16,
    /// Rows.
    pub(crate) height: u16,
}

/// The size of the terminal that output goes to; none where that is no terminal.
pub(crate) fn size() -> Option<Size> {
    let size = tcgetwinsize(stdout()).ok()?;
    Some(Size { width: size.ws_col, height: size.ws_row })
}

/// Whether input comes from a terminal.
pub(crate) fn input_is_terminal() -> bool {
    isatty(stdin())
}

/// The terminal hands on every key as it is, until this is dropped.
#[derive(Debug)]
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Begins raw mode.
    pub(crate) fn begin() -> Result<Self, KubectlError> {
        let fault = |error: rustix::io::Errno| KubectlError::new(format!("failed to set the terminal: {error}"));
        let before = tcgetattr(stdin()).map_err(fault)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw).map_err(fault)?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Nobody is left to be told where that fails.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// Looks for the keys that detach in what is typed.
#[derive(Debug)]
pub(crate) struct Detacher {
    keys: Vec<u8>,
    /// How many of the keys were typed last, and held back.
    matched: usize,
}

impl Detacher {
    /// From text such as `ctrl-p,ctrl-q`.
    pub(crate) fn new(keys: &str) -> Result<Self, KubectlError> {
        let keys = keys.split(',').map(key).collect::<Result<Vec<_>, _>>();
        let keys = keys.map_err(|fault| KubectlError::new(format!("could not bind detach keys: {fault}")))?;
        Ok(Self { keys, matched: 0 })
    }

    /// What to hand on of `typed`, and whether the keys were there.
    pub(crate) fn filter(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut handed_on = Vec::with_capacity(typed.len());
        for &byte in typed {
            if byte != self.keys[self.matched] {
                handed_on.extend_from_slice(&self.keys[..self.matched]);
                self.matched = 0;
            }
            if byte != self.keys[self.matched] {
                handed_on.push(byte);
                continue;
            }
            self.matched += 1;
            if self.matched == self.keys.len() {
                self.matched = 0;
                return (handed_on, true);
            }
        }
        (handed_on, false)
    }
}

/// One key: a character, or `ctrl-` with a letter or one of `@[\]^_`.
fn key(name: &str) -> Result<u8, String> {
    match (name.as_bytes(), name.strip_prefix("ctrl-").map(str::as_bytes)) {
        ([byte], _) => Ok(*byte),
        (_, Some([byte @ (b'a'..=b'z')])) => Ok(byte - b'a' + 1),
        (_, Some(b"@")) => Ok(0),
        (_, Some([byte @ b'['..=b'_'])) => Ok(byte - b'[' + 27),
        _ => Err(format!("Unknown character: '{name}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detach_keys_are_found_and_others_handed_on() {
        let mut detacher = Detacher::new(DETACH_KEYS).unwrap();
        assert_eq!(detacher.filter(b"ls\n"), (b"ls\n".to_vec(), false));
        assert_eq!(detacher.filter(b"a\x10"), (b"a".to_vec(), false), "the first key is held back");
        assert_eq!(detacher.filter(b"b"), (b"\x10b".to_vec(), false), "and handed on where another follows");
        assert_eq!(detacher.filter(b"c\x10\x11d"), (b"c".to_vec(), true));
        assert_eq!(Detacher::new("x,ctrl-[").unwrap().keys, [b'x', 27]);
        let fault = Detacher::new("ctrl-p,what").unwrap_err().to_string();
        assert_eq!(fault, "could not bind detach keys: Unknown character: 'what'");
    }
}
