//! What the writer should not wait for: making the next segment ready, taking snapshots, removing what they replace.
//!
//! The list of files is changed by the writer (a roll) and here, under one lock. With [`Mode::Threads`] the work is done by a
//! thread of its own, with [`Mode::Inline`] by the caller before its request returns.

use std::{
    io::{self, BufWriter, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use parking_lot::{Condvar, Mutex};

use super::{Mode, Options, Stats};
use crate::{
    CommitError, Disk, DiskFile, Revision,
    disk::is_full,
    history::Shared,
    log::{SEGMENT_HEADER_BYTES, SegmentHeader},
    names,
    snapshot::{SnapshotHeader, write_snapshot},
};

/// A spare and a snapshot may be wanted at once, each at most once.
const JOBS_MAX: usize = 2;
const SNAPSHOT_BUFFER_BYTES: usize = 1 << 20;

/// An open segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: Box<dyn DiskFile>,
    pub(super) header: SegmentHeader,
}

/// A segment in use, the last one being written.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentUse {
    pub(super) ordinal: u64,
    pub(super) bytes: u64,
    /// The first revision in it: if it is empty, the next one.
    pub(super) first_revision: u64,
}

/// The next segment.
#[derive(Debug)]
pub(super) enum Spare {
    Missing,
    Preparing,
    Ready(Segment),
    /// There was no room for it.
    Full,
}

/// The store's files.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) segments: Vec<SegmentUse>,
    pub(super) spare: Spare,
    pub(super) snapshot: Option<u64>,
    pub(super) snapshotting: bool,
}

/// Why there is no next segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSpare {
    Full,
    Poisoned,
}

#[derive(Clone, Copy, Debug)]
enum Job {
    Spare,
    Snapshot,
}

/// Whether the disk can still be trusted.
#[derive(Debug)]
pub(super) struct Health {
    location: Arc<str>,
    shared: Arc<Shared>,
    poison: Mutex<Option<(Arc<str>, Arc<str>)>>,
}

impl Health {
    /// Stops all writes, ends all watches, and returns the error of the request at hand.
    pub(super) fn poison(&self, action: &str, error: &io::Error) -> CommitError {
        let (action, reason): (Arc<str>, Arc<str>) = (action.into(), error.to_string().into());
        tracing::error!(datastore = %self.location, %action, %reason, "datastore accepts no more writes");
        self.poison.lock().get_or_insert((action.clone(), reason.clone()));
        self.shared.close();
        CommitError::Io { location: self.location.clone(), action, reason }
    }

    pub(super) fn poisoned(&self) -> Option<CommitError> {
        let (action, reason) = self.poison.lock().clone()?;
        Some(CommitError::Poisoned { location: self.location.clone(), action, reason })
    }

    pub(super) fn full(&self) -> CommitError {
        CommitError::StoreFull { location: self.location.clone() }
    }
}

/// Owns the files but for the segment being written.
#[derive(Debug)]
pub(super) struct Housekeeper {
    pub(super) shared: Arc<Shared>,
    pub(super) health: Health,
    pub(super) snapshot_bytes_min: u64,
    disk: Arc<dyn Disk>,
    mode: Mode,
    segment_bytes_first: u64,
    segment_bytes_max: u64,
    files: Mutex<Files>,
    spare_changed: Condvar,
    /// To the thread; none inline and after the stop.
    jobs: Mutex<Option<mpsc::SyncSender<Job>>>,
    stopping: AtomicBool,
    writes: AtomicU64,
    groups: AtomicU64,
}

/// Starts the thread; [`Housekeeper::stop`] ends it.
pub(super) fn start(housekeeper: &Arc<Housekeeper>) -> io::Result<thread::JoinHandle<()>> {
    let (sender, jobs) = mpsc::sync_channel(JOBS_MAX);
    *housekeeper.jobs.lock() = Some(sender);
    let housekeeper = housekeeper.clone();
    thread::Builder::new().name("datastore-housekeeping".to_owned()).spawn(move || {
        let _poison = PoisonOnPanic(housekeeper.clone());
        for job in jobs {
            housekeeper.work(job);
        }
    })
}

/// A thread that panics leaves nobody waiting, and says why.
pub(super) struct PoisonOnPanic(pub(super) Arc<Housekeeper>);

impl Drop for PoisonOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.health.poison("keep its invariants", &io::Error::other("a thread panicked"));
            self.0.put_spare(Spare::Full);
            self.0.stop();
        }
    }
}

impl Housekeeper {
    pub(super) fn new(disk: Arc<dyn Disk>, options: &Options, shared: Arc<Shared>, files: Files) -> Housekeeper {
        let health = Health { location: disk.location().into(), shared: shared.clone(), poison: Mutex::new(None) };
        Housekeeper {
            shared,
            health,
            snapshot_bytes_min: options.snapshot_bytes_min,
            disk,
            mode: options.mode,
            segment_bytes_first: options.segment_bytes_first,
            segment_bytes_max: options.segment_bytes_max,
            files: Mutex::new(files),
            spare_changed: Condvar::new(),
            jobs: Mutex::new(None),
            stopping: AtomicBool::new(false),
            writes: AtomicU64::new(0),
            groups: AtomicU64::new(0),
        }
    }

    /// Lets a snapshot in progress go and ends the thread.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        drop(self.jobs.lock().take());
    }

    pub(super) fn count(&self, writes: u64) {
        self.writes.fetch_add(writes, Ordering::Relaxed);
        self.groups.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> Stats {
        let (revision, compacted, keys, live_bytes) = self
            .shared
            .read(|state| (Revision(state.revision), state.compacted(), state.keys.len() as u64, state.live_bytes));
        let files = self.files.lock();
        let spare_bytes = match &files.spare {
            Spare::Ready(segment) => segment.header.bytes,
            _ => 0,
        };
        Stats {
            revision,
            compacted,
            keys,
            live_bytes,
            log_bytes: files.segments.iter().map(|segment| segment.bytes).sum::<u64>() + spare_bytes,
            segments: files.segments.len() as u64,
            snapshot: files.snapshot.map(Revision),
            writes: self.writes.load(Ordering::Relaxed),
            groups: self.groups.load(Ordering::Relaxed),
            poisoned: self.health.poisoned().map(|error| error.to_string()),
        }
    }

    /// Has the next segment made ready, unless it is, or there was no room for it.
    pub(super) fn request_spare(&self) {
        let mut files = self.files.lock();
        if matches!(files.spare, Spare::Missing) && self.health.poisoned().is_none() {
            files.spare = Spare::Preparing;
            drop(files);
            self.hand_over(Job::Spare);
        }
    }

    /// Has a snapshot taken, unless one is being taken. Returns whether it was asked for.
    pub(super) fn request_snapshot(&self) -> bool {
        if std::mem::replace(&mut self.files.lock().snapshotting, true) {
            return false;
        }
        self.hand_over(Job::Snapshot);
        true
    }

    /// The next segment with the place of its first frame. Waits while it is being made ready; makes another attempt if there was no room.
    pub(super) fn take_spare(&self) -> Result<(Segment, u64), NoSpare> {
        let mut tried = false;
        let mut files = self.files.lock();
        loop {
            if self.health.poisoned().is_some() {
                return Err(NoSpare::Poisoned);
            }
            match std::mem::replace(&mut files.spare, Spare::Missing) {
                Spare::Ready(segment) => return Ok((segment, SEGMENT_HEADER_BYTES)),
                Spare::Preparing => {
                    files.spare = Spare::Preparing;
                    self.spare_changed.wait(&mut files);
                }
                Spare::Full if tried => {
                    files.spare = Spare::Full;
                    return Err(NoSpare::Full);
                }
                Spare::Full | Spare::Missing => {
                    tried = true;
                    drop(files);
                    self.request_spare();
                    files = self.files.lock();
                }
            }
        }
    }

    /// The writer went on to this segment, in which this will be the first revision.
    pub(super) fn rolled(&self, header: &SegmentHeader, first_revision: Revision) {
        let segment = SegmentUse { ordinal: header.ordinal, bytes: header.bytes, first_revision: first_revision.0 };
        self.files.lock().segments.push(segment);
    }

    fn hand_over(&self, job: Job) {
        if self.mode == Mode::Inline {
            return self.work(job);
        }
        let sent = match &*self.jobs.lock() {
            // There is room for one job of each kind, and never more than one of a kind.
            Some(jobs) => jobs.try_send(job).is_ok(),
            None => false,
        };
        if !sent {
            // Being stopped: whoever waits is told so.
            self.put_spare(Spare::Full);
        }
    }

    fn work(&self, job: Job) {
        match job {
            Job::Spare => {
                let (last, bytes) = {
                    let files = self.files.lock();
                    let last = files.segments.last().expect("one segment is always in use");
                    (last.ordinal, (2 * last.bytes).min(self.segment_bytes_max).max(self.segment_bytes_first))
                };
                let mut made = make_segment(&*self.disk, last + 1, bytes);
                if bytes > self.segment_bytes_first && made.as_ref().is_err_and(is_full) {
                    made = make_segment(&*self.disk, last + 1, self.segment_bytes_first);
                }
                match made {
                    Ok(segment) => self.put_spare(Spare::Ready(segment)),
                    Err(error) => {
                        if is_full(&error) {
                            tracing::warn!(datastore = self.disk.location(), "no space for the next log segment");
                        } else {
                            self.health.poison("prepare a log segment", &error);
                        }
                        self.put_spare(Spare::Full);
                    }
                }
            }
            Job::Snapshot => {
                if let Err(error) = self.snapshot()
                    && !self.stopping.load(Ordering::Relaxed)
                {
                    if is_full(&error) {
                        tracing::warn!(datastore = self.disk.location(), "no space for a snapshot, the log is kept");
                    } else {
                        self.health.poison("take a snapshot", &error);
                    }
                }
                self.files.lock().snapshotting = false;
            }
        }
    }

    fn put_spare(&self, spare: Spare) {
        let mut files = self.files.lock();
        if matches!(files.spare, Spare::Preparing) {
            files.spare = spare;
        }
        self.spare_changed.notify_all();
    }

    /// Writes the state at the window's start, then removes what came before. Each step may be the last.
    fn snapshot(&self) -> io::Result<()> {
        let (revision, keys) = self.shared.floor_view();
        let (first_segment, freed, replaced) = {
            let files = self.files.lock();
            // The segment with the first revision behind the snapshot.
            let start = files.segments.partition_point(|segment| segment.first_revision <= revision + 1) - 1;
            let freed: Vec<_> = files.segments[..start].iter().map(|segment| segment.ordinal).collect();
            (files.segments[start].ordinal, freed, files.snapshot)
        };
        if freed.is_empty() {
            // It would replace nothing.
            return Ok(());
        }
        let name = names::snapshot(revision);
        let header = SnapshotHeader { revision, first_segment, count: keys.len() as u64 };
        write_aside(&*self.disk, &name, |file| {
            let out = SnapshotOut { file, offset: 0, stopping: &self.stopping };
            write_snapshot(&mut BufWriter::with_capacity(SNAPSHOT_BUFFER_BYTES, out), &header, keys.values())?;
            Ok(())
        })?;
        {
            let mut files = self.files.lock();
            files.snapshot = Some(revision);
            files.segments.retain(|segment| segment.ordinal >= first_segment);
        }
        for ordinal in freed {
            self.disk.remove(&names::segment(ordinal))?;
        }
        if let Some(replaced) = replaced.filter(|replaced| *replaced != revision) {
            self.disk.remove(&names::snapshot(replaced))?;
        }
        self.disk.sync_dir()
    }
}

/// Makes an empty segment under its final name, durably. If there is no room, nothing of it remains.
pub(super) fn make_segment(disk: &dyn Disk, ordinal: u64, bytes: u64) -> io::Result<Segment> {
    let header = SegmentHeader { ordinal, bytes, salt: disk.salt()? };
    let name = names::segment(ordinal);
    write_aside(disk, &name, |file| {
        file.preallocate(bytes)?;
        file.write_at(0, &header.encode())
    })?;
    Ok(Segment { file: disk.open(&name)?, header })
}

/// Makes a file that is whole and durable under its name, or not there.
pub(super) fn write_aside(
    disk: &dyn Disk,
    name: &str,
    write: impl FnOnce(&dyn DiskFile) -> io::Result<()>,
) -> io::Result<()> {
    let aside = names::aside(name);
    let file = disk.create(&aside)?;
    let written = write(&*file).and_then(|()| file.sync_data());
    drop(file);
    if let Err(error) = written {
        disk.remove(&aside)?;
        return Err(error);
    }
    disk.rename(&aside, name)?;
    disk.sync_dir()
}

/// Appends to a file until the store is being closed.
struct SnapshotOut<'a> {
    file: &'a dyn DiskFile,
    offset: u64,
    stopping: &'a AtomicBool,
}

impl Write for SnapshotOut<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(io::Error::other("the datastore is being closed"));
        }
        self.file.write_at(self.offset, data)?;
        self.offset += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
