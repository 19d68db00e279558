//! Reads the logs of containers, in CRI's format: a line has a time, the stream, `F` or `P` (more follows), and the text
//! (upstream: `pkg/kubelet/kuberuntime/logs`).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;

/// The most bytes of one line in memory; a longer one is handed on in pieces.
const LINE_MAX: u64 = 1 << 20;
/// Bytes that are read from the end at a time while looking for the last lines.
const TAIL_CHUNK: u64 = 64 << 10;

/// Why a log can't be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The container has not run yet, or not twice.
    #[error("{0}")]
    NotThere(String),
    /// The file can't be read.
    #[error("failed to read the log {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Which part of a log, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Only what is newer.
    pub since: Option<Timestamp>,
    /// Only the last lines.
    pub tail_lines: Option<u64>,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
    /// Each line with its time.
    pub timestamps: bool,
    /// Only this stream (`stdout`, `stderr`); `None`: both.
    pub stream: Option<&'static str>,
}

/// A log being read. Blocking: use it on a thread of its own.
#[derive(Debug)]
pub struct LogSource {
    path: PathBuf,
    reader: BufReader<File>,
    query: LogQuery,
    sent: u64,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
}

impl LogSource {
    /// Opens `path` at the place where `query` begins.
    pub fn open(path: &Path, query: LogQuery) -> Result<Self, LogError> {
        let failed = |source| LogError::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => LogError::NotThere("the container has written no log yet".to_owned()),
            _ => failed(error),
        })?;
        if let Some(lines) = query.tail_lines {
            let at = tail_start(&mut file, lines).map_err(failed)?;
            file.seek(SeekFrom::Start(at)).map_err(failed)?;
        }
        Ok(Self { path: path.to_owned(), reader: BufReader::new(file), query, sent: 0, partial: Vec::new() })
    }

    /// What can be read now; `None` at the end for now, or for good once the limit is reached.
    pub fn read_more(&mut self) -> Result<Option<Bytes>, LogError> {
        let mut out = Vec::new();
        while out.len() < 32 << 10 {
            if self.query.limit_bytes.is_some_and(|limit| self.sent >= limit) {
                break;
            }
            let mut line = std::mem::take(&mut self.partial);
            let read = (&mut self.reader).take(LINE_MAX).read_until(b'\n', &mut line);
            read.map_err(|source| LogError::Io { path: self.path.clone(), source })?;
            if line.last() != Some(&b'\n') {
                // The writer is in the middle of a line.
                self.partial = line;
                break;
            }
            let before = out.len();
            self.append(&line, &mut out);
            self.sent += (out.len() - before) as u64;
        }
        if let Some(limit) = self.query.limit_bytes
            && self.sent > limit
        {
            let over = usize::try_from(self.sent - limit).unwrap_or(usize::MAX);
            out.truncate(out.len().saturating_sub(over));
            self.sent = limit;
        }
        Ok((!out.is_empty()).then(|| out.into()))
    }

    /// Goes on with the file that took this one's place, if the runtime has rotated the log. True if it did.
    pub fn follow_rotation(&mut self) -> Result<bool, LogError> {
        use std::os::unix::fs::MetadataExt;
        let failed = |source| LogError::Io { path: self.path.clone(), source };
        let own = self.reader.get_ref().metadata().map_err(failed)?.ino();
        let Ok(current) = std::fs::metadata(&self.path) else { return Ok(false) };
        if current.ino() == own {
            return Ok(false);
        }
        self.reader = BufReader::new(File::open(&self.path).map_err(failed)?);
        self.partial.clear();
        Ok(true)
    }

    /// Whether the byte limit is reached.
    pub fn is_full(&self) -> bool {
        self.query.limit_bytes.is_some_and(|limit| self.sent >= limit)
    }

    fn append(&self, line: &[u8], out: &mut Vec<u8>) {
        let Some((time, rest)) = split(line) else { return };
        let Some((stream, rest)) = split(rest) else { return };
        let Some((tag, text)) = split(rest) else { return };
        if self.query.stream.is_some_and(|wanted| wanted.as_bytes() != stream) {
            return;
        }
        if let Some(since) = self.query.since {
            let at = std::str::from_utf8(time).ok().and_then(|t| t.parse::<Timestamp>().ok());
            if at.is_some_and(|at| at < since) {
                return;
            }
        }
        if self.query.timestamps {
            out.extend_from_slice(time);
            out.push(b' ');
        }
        let text = if tag == b"P" { text.strip_suffix(b"\n").unwrap_or(text) } else { text };
        out.extend_from_slice(text);
    }
}

fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|b| *b == b' ')?;
    Some((&line[..at], &line[at + 1..]))
}

/// Where the last `lines` lines of a file begin.
fn tail_start(file: &mut File, lines: u64) -> io::Result<u64> {
    let end = file.metadata()?.len();
    if lines == 0 {
        return Ok(end);
    }
    let (mut at, mut seen) = (end, 0);
    while at > 0 {
        let size = TAIL_CHUNK.min(at);
        at -= size;
        let mut chunk = vec![0; usize::try_from(size).unwrap_or(0)];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut chunk)?;
        for (index, _) in chunk.iter().enumerate().rev().filter(|(_, b)| **b == b'\n') {
            seen += 1;
            // The very last newline ends the last line; the one before the wanted lines is the mark.
            if seen > lines {
                return Ok(at + index as u64 + 1);
            }
        }
    }
    Ok(0)
}

/// The last lines of a log as text, at most `max_bytes`.
pub(crate) fn last_lines(path: &Path, lines: u64, max_bytes: usize) -> String {
    let query = LogQuery { tail_lines: Some(lines), ..LogQuery::default() };
    let Ok(mut source) = LogSource::open(path, query) else { return String::new() };
    let mut all = Vec::new();
    while let Ok(Some(bytes)) = source.read_more() {
        all.extend_from_slice(&bytes);
    }
    let from = all.len().saturating_sub(max_bytes);
    String::from_utf8_lossy(&all[from..]).into_owned()
}

#[cfg(test)]
mod tests;
