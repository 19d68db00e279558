//! A container's output: read, logged, and copied to whoever is attached.

use std::os::fd::OwnedFd;

use component_base::{Clock, SystemClock};
use rustix::io::Errno;

use super::logs::{Lines, Log};

/// Bytes read at a time.
const READ_BYTES: usize = 16 << 10;

/// Somebody attached: a pipe, and what did not fit into it yet.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) pipe: OwnedFd,
    pub(super) pending: Vec<u8>,
}

impl Sink {
    /// Writes what fits; false when the reader is gone.
    pub(super) fn push(&mut self) -> bool {
        while !self.pending.is_empty() {
            match rustix::io::write(&self.pipe, &self.pending) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }
}

/// One stream of a container.
#[derive(Debug)]
pub(super) struct Output {
    /// A pipe, or a terminal; non-blocking. None once it ended.
    pub(super) source: Option<OwnedFd>,
    stream: &'static str,
    lines: Lines,
    pub(super) sinks: Vec<Sink>,
}

impl Output {
    pub(super) fn new(source: OwnedFd, stream: &'static str) -> Result<Self, Errno> {
        rustix::io::ioctl_fionbio(&source, true)?;
        Ok(Self { source: Some(source), stream, lines: Lines::default(), sinks: vec![] })
    }

    /// Whether to read: not while somebody attached is behind, so that the container waits instead of text being lost.
    pub(super) fn is_wanted(&self) -> bool {
        self.source.is_some() && self.sinks.iter().all(|sink| sink.pending.is_empty())
    }

    /// Pushes what sinks are behind with, and drops those whose readers are gone.
    pub(super) fn push_sinks(&mut self) {
        self.sinks.retain_mut(Sink::push);
    }

    /// Reads once. True if there may be more.
    pub(super) fn read(&mut self, log: &mut Option<Log>) -> bool {
        let Some(source) = &self.source else { return false };
        let mut chunk = [0; READ_BYTES];
        match rustix::io::read(source, &mut chunk[..]) {
            Err(Errno::AGAIN) => false,
            Err(Errno::INTR) => true,
            // A terminal whose last user is gone gives EIO.
            Ok(0) | Err(_) => {
                self.close(log);
                false
            }
            Ok(length) => {
                let bytes = &chunk[..length];
                if let Some(log) = log {
                    let now = SystemClock.now();
                    let stream = self.stream;
                    self.lines.push(bytes, |line, whole| log.record(now, stream, line, whole));
                    log.flush(now);
                }
                for sink in &mut self.sinks {
                    sink.pending.extend_from_slice(bytes);
                }
                self.push_sinks();
                true
            }
        }
    }

    /// Ends the stream: the last line is logged, and those attached see the end.
    pub(super) fn close(&mut self, log: &mut Option<Log>) {
        self.source = None;
        if let Some(log) = log {
            let now = SystemClock.now();
            let stream = self.stream;
            self.lines.finish(|line, whole| log.record(now, stream, line, whole));
            log.flush(now);
        }
        // A last try; whoever does not take it now loses it.
        self.push_sinks();
        self.sinks.clear();
    }
}
