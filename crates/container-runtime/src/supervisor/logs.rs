//! Log files in the CRI format: `<RFC 3339 with nanoseconds> <stream> <F or P> <text>`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// Longest line in one record; what is longer is cut into partial records (`P`), as containerd does.
pub(super) const LINE_BYTES_MAX: usize = 16 << 10;
/// A file that has grown to this is put aside (upstream's `containerLogMaxSize`).
pub(super) const FILE_BYTES_MAX: u64 = 10 << 20;
/// Files kept, the current one included (upstream's `containerLogMaxFiles`).
pub(super) const FILES_MAX: usize = 5;

/// Cuts a stream into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes bytes and gives whole lines (true) and parts of long ones (false), without line ends.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut emit: impl FnMut(&[u8], bool)) {
        while !bytes.is_empty() {
            let room = LINE_BYTES_MAX - self.rest.len();
            let window = &bytes[..bytes.len().min(room)];
            if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
                self.rest.extend_from_slice(&window[..end]);
                emit(&self.rest, true);
                self.rest.clear();
                bytes = &bytes[end + 1..];
            } else {
                self.rest.extend_from_slice(window);
                bytes = &bytes[window.len()..];
                if self.rest.len() == LINE_BYTES_MAX {
                    emit(&self.rest, false);
                    self.rest.clear();
                }
            }
        }
    }

    /// What is left when the stream ends is a part of a line, for its end never came, as containerd has it.
    pub(super) fn finish(&mut self, emit: impl FnOnce(&[u8], bool)) {
        if !self.rest.is_empty() {
            emit(&std::mem::take(&mut self.rest), false);
        }
    }
}

/// A container's log. Several streams write to it in turn.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    size: u64,
    pending: Vec<u8>,
}

impl Log {
    /// Opens or makes it, with its directory.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.into(), file, size, pending: vec![] })
    }

    /// Queues a record.
    pub(super) fn record(&mut self, now: Timestamp, stream: &str, line: &[u8], whole: bool) {
        // Writing to memory does not fail.
        let _ = write!(self.pending, "{now:.9} {stream} {} ", if whole { 'F' } else { 'P' });
        self.pending.extend_from_slice(line);
        self.pending.push(b'\n');
    }

    /// Writes what is queued, in one piece, and puts a full file aside.
    pub(super) fn flush(&mut self, now: Timestamp) {
        if self.pending.is_empty() {
            return;
        }
        // A full disk must not stop the container; the records are lost, as with every other runtime.
        let _ = self.file.write_all(&self.pending);
        self.size += self.pending.len() as u64;
        self.pending.clear();
        if self.size >= FILE_BYTES_MAX {
            let _ = self.rotate(now);
        }
    }

    /// `0.log` becomes `0.log.20060102-150405`, the name that upstream's kubelet gives.
    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        let stamp = now.to_string().replace(['-', ':'], "").replace('T', "-");
        let stamp = stamp.split(['.', 'Z']).next().unwrap_or_default().to_owned();
        let mut aside = with_suffix(&self.path, &stamp);
        let mut number = 0;
        while aside.exists() {
            number += 1;
            aside = with_suffix(&self.path, &format!("{stamp}.{number:03}"));
        }
        std::fs::rename(&self.path, aside)?;
        self.file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        self.size = 0;
        let mut old = rotated(&self.path)?;
        old.sort();
        let excess = old.len().saturating_sub(FILES_MAX - 1);
        old[..excess].iter().try_for_each(std::fs::remove_file)
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// Files put aside.
fn rotated(path: &Path) -> io::Result<Vec<PathBuf>> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let prefix = format!("{}.", path.file_name().unwrap_or_default().to_string_lossy());
    let entries = std::fs::read_dir(directory)?.flatten().map(|entry| entry.path());
    let ours = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
    Ok(entries.filter(ours).collect())
}

#[cfg(test)]
mod tests;
