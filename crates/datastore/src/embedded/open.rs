//! Opening: check everything first, change something only when all of it is understood.

use std::{
    io::{self, BufReader, Read},
    sync::Arc,
};

use super::{
    OpenError, Options, Recovery, TornTail,
    group::replay,
    housekeeping::{Files, Segment, SegmentUse, Spare, make_segment, write_aside},
};
use crate::{
    Disk, DiskFile, DiskLock, LockError, Revision,
    history::{Keys, Shared, State, Window},
    log::{Damage, Ending, FrameKind, LogScan, SegmentHeader, mark},
    names::{self, Name},
    snapshot::{ReadSnapshotError, read_snapshot},
};

/// Zeros over torn remains are written in pieces of this size.
const CUT_CHUNK_BYTES: usize = 1 << 20;
/// Snapshots are read through a buffer of this size.
const READ_BUFFER_BYTES: usize = 1 << 20;

/// A store whose directory was read and put in order.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) shared: Arc<Shared>,
    pub(super) files: Files,
    /// The segment being written, and where its next frame goes.
    pub(super) active: (Segment, u64),
    pub(super) replayed_bytes: u64,
    pub(super) recovery: Recovery,
    pub(super) lock: Box<dyn DiskLock>,
}

/// Adds to an error what was tried.
struct Context<'a> {
    disk: &'a dyn Disk,
}

impl Context<'_> {
    fn io(&self, action: impl Into<String>) -> impl FnOnce(io::Error) -> OpenError {
        let (location, action) = (self.disk.location(), action.into());
        move |source| OpenError::Io { location, action, source }
    }

    fn corrupt(&self, damage: Damage) -> OpenError {
        let Damage { file, offset, what } = damage;
        OpenError::Corrupt { location: self.disk.location(), file, offset, what }
    }

    fn missing(&self, file: String, what: &str) -> OpenError {
        self.corrupt(Damage { file, offset: 0, what: what.to_owned() })
    }
}

pub(super) fn open(disk: &Arc<dyn Disk>, options: &Options) -> Result<Opened, OpenError> {
    let context = Context { disk: &**disk };
    // Before the lock, which makes a file: a directory of somebody else stays as it is.
    check_format(&context)?;
    let lock = disk.lock().map_err(|error| match error {
        LockError::Held { holder } => OpenError::Locked { location: disk.location(), holder },
        LockError::Io(source) => context.io("take the lock")(source),
    })?;
    if !check_format(&context)? {
        create(&context, options)?;
    }
    let listing = Listing::read(&context)?;
    let (base, first_segment, keys) = match listing.snapshots.last() {
        Some(revision) => load_snapshot(&context, *revision)?,
        None => (Revision::FRESH.0, 1, Keys::new()),
    };
    let window = Window { events_max: options.window_events_max, bytes_max: options.window_bytes_max };
    let mut state = State::new(window, base, keys);
    let mut scan = LogScan::new(base);
    let mut segments = Vec::new();
    let mut headers = Vec::new();
    let mut replayed_bytes = 0;
    let needed: Vec<u64> = listing.segments.iter().copied().filter(|ordinal| *ordinal >= first_segment).collect();
    for (i, ordinal) in (first_segment..).zip(&needed).map(|(expected, ordinal)| (expected, *ordinal)) {
        if ordinal != i {
            return Err(context.missing(names::segment(i), "the segment is missing"));
        }
        let name = names::segment(ordinal);
        let bytes = read_file(&context, &name)?;
        let header = SegmentHeader::decode(ordinal, &bytes).map_err(|damage| context.corrupt(damage))?;
        let last = Some(&ordinal) == needed.last();
        let summary = scan.segment(&header, &bytes, last, |revision, record| {
            state.apply(Arc::new(replay(&state.keys, Revision(revision), record)?));
            Ok(())
        });
        let summary = summary.map_err(|damage| context.corrupt(damage))?;
        replayed_bytes += summary.end;
        segments.push(SegmentUse {
            ordinal,
            bytes: header.bytes,
            first_revision: summary.first_revision.unwrap_or(state.revision + 1),
        });
        headers.push(header);
    }
    let Some((ending, next)) = scan.finish() else {
        return Err(context.missing(names::segment(first_segment), "the segment is missing"));
    };
    assert_eq!(next, state.revision + 1, "the log's end is the state's revision");

    // From here on the directory is changed.
    for name in listing.aside.iter().cloned().chain(listing.superseded(first_segment)) {
        disk.remove(&name).map_err(context.io(format!("remove {name}")))?;
    }
    disk.sync_dir().map_err(context.io("sync the directory"))?;
    let active_index = (ending.ordinal - first_segment) as usize;
    let mut spare = Spare::Missing;
    if let Some(header) = headers.get(active_index + 1) {
        segments.pop();
        spare = Spare::Ready(open_segment(&context, *header)?);
    }
    let active = open_segment(&context, headers[active_index])?;
    let first = segments.last().is_some_and(|segment| segment.first_revision == next);
    cut(&active, &ending, next - 1, first).map_err(context.io(format!("repair {}", names::segment(ending.ordinal))))?;
    let torn = ending.torn.map(|torn| TornTail {
        file: names::segment(ending.ordinal),
        offset: ending.offset,
        bytes: torn.bytes,
    });
    if let Some(torn) = &torn {
        tracing::warn!(
            datastore = disk.location(),
            file = torn.file,
            offset = torn.offset,
            bytes = torn.bytes,
            "a crash had left an unacknowledged group of writes in part; it was cut off"
        );
    }
    let snapshot = listing.snapshots.last().copied();
    let recovery = Recovery { snapshot: snapshot.map(Revision), replayed: state.revision - base, torn };
    let files = Files { segments, spare, snapshot, snapshotting: false };
    Ok(Opened {
        shared: Arc::new(Shared::new(state)),
        files,
        active: (active, ending.offset),
        replayed_bytes,
        recovery,
        lock,
    })
}

/// Whether the directory is a store's; an error if it is somebody else's, false if it is still to be made.
fn check_format(context: &Context<'_>) -> Result<bool, OpenError> {
    let disk = context.disk;
    let found = disk.list().map_err(context.io("list the directory"))?;
    if found.iter().any(|name| names::parse(name) == Name::Format) {
        let bytes = read_file(context, names::FORMAT)?;
        let text = String::from_utf8_lossy(&bytes);
        let number = text.strip_prefix(names::FORMAT_TEXT).and_then(|number| number.trim_end().parse::<u32>().ok());
        return match number {
            Some(number) if number <= names::FORMAT_NUMBER => Ok(true),
            Some(found) => {
                Err(OpenError::NewerFormat { location: disk.location(), found, supported: names::FORMAT_NUMBER })
            }
            None => Err(OpenError::Foreign { location: disk.location(), found: names::FORMAT.to_owned() }),
        };
    }
    for name in found {
        match names::parse(&name) {
            // The format is written last, so the first segment may be there after a crash.
            Name::Lock | Name::Harmless | Name::Aside | Name::Segment(1) => {}
            Name::Segment(_) | Name::Snapshot(_) => {
                return Err(
                    context.missing(names::FORMAT.to_owned(), "the file is missing, but the store's others are there")
                );
            }
            Name::Format | Name::Foreign => {
                return Err(OpenError::Foreign { location: disk.location(), found: name });
            }
        }
    }
    Ok(false)
}

fn create(context: &Context<'_>, options: &Options) -> Result<(), OpenError> {
    let disk = context.disk;
    let name = names::segment(1);
    let found = disk.list().map_err(context.io("list the directory"))?;
    if found.contains(&name) {
        let bytes = read_file(context, &name)?;
        let header = SegmentHeader::decode(1, &bytes).map_err(|damage| context.corrupt(damage))?;
        if bytes[header.encode().len()..].iter().any(|byte| *byte != 0) {
            return Err(context.missing(names::FORMAT.to_owned(), "the file is missing, but the log has data"));
        }
    } else {
        make_segment(disk, 1, options.segment_bytes_first).map_err(context.io(format!("create {name}")))?;
    }
    write_format(disk).map_err(context.io(format!("create {}", names::FORMAT)))
}

/// The last step of making a store.
pub(super) fn write_format(disk: &dyn Disk) -> io::Result<()> {
    let text = format!("{}{}\n", names::FORMAT_TEXT, names::FORMAT_NUMBER);
    write_aside(disk, names::FORMAT, |file| file.write_at(0, text.as_bytes()))
}

/// The directory's files by kind, ascending.
#[derive(Debug, Default)]
struct Listing {
    snapshots: Vec<u64>,
    segments: Vec<u64>,
    aside: Vec<String>,
}

impl Listing {
    fn read(context: &Context<'_>) -> Result<Listing, OpenError> {
        let mut listing = Listing::default();
        for name in context.disk.list().map_err(context.io("list the directory"))? {
            match names::parse(&name) {
                Name::Snapshot(revision) => listing.snapshots.push(revision),
                Name::Segment(ordinal) => listing.segments.push(ordinal),
                Name::Aside => listing.aside.push(name),
                Name::Lock | Name::Format | Name::Harmless | Name::Foreign => {}
            }
        }
        listing.snapshots.sort_unstable();
        listing.segments.sort_unstable();
        listing.aside.sort_unstable();
        Ok(listing)
    }

    /// What the newest snapshot replaced, and a crash kept from being removed.
    fn superseded(&self, first_segment: u64) -> impl Iterator<Item = String> {
        let older = self.snapshots.split_last().map_or(&[][..], |(_, older)| older);
        let segments = self.segments.iter().filter(move |ordinal| **ordinal < first_segment);
        older.iter().map(|revision| names::snapshot(*revision)).chain(segments.map(|ordinal| names::segment(*ordinal)))
    }
}

/// The snapshot's revision, the first segment needed with it, and its keys.
fn load_snapshot(context: &Context<'_>, revision: u64) -> Result<(u64, u64, Keys), OpenError> {
    let name = names::snapshot(revision);
    let file = context.disk.open(&name).map_err(context.io(format!("open {name}")))?;
    let bytes = file.len().map_err(context.io(format!("read {name}")))?;
    let mut items = Vec::new();
    let mut input = BufReader::with_capacity(READ_BUFFER_BYTES, SnapshotIn { file: &*file, offset: 0, bytes });
    let header =
        read_snapshot(&mut input, |kv| items.push((kv.key.clone(), Arc::new(kv)))).map_err(|error| match error {
            ReadSnapshotError::Io(source) => context.io(format!("read {name}"))(source),
            ReadSnapshotError::Damage { offset, what } => context.corrupt(Damage { file: name.clone(), offset, what }),
            ReadSnapshotError::Newer { format } => OpenError::NewerFormat {
                location: context.disk.location(),
                found: format,
                supported: names::FORMAT_NUMBER,
            },
        })?;
    if header.revision != revision {
        let what = format!("this is the snapshot of revision {}: the file was renamed", header.revision);
        return Err(context.corrupt(Damage { file: name, offset: 0, what }));
    }
    Ok((revision, header.first_segment, items.into_iter().collect()))
}

fn read_file(context: &Context<'_>, name: &str) -> Result<Vec<u8>, OpenError> {
    let read = || {
        let file = context.disk.open(name)?;
        let mut bytes = vec![0; file.len()? as usize];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    };
    read().map_err(context.io(format!("read {name}")))
}

fn open_segment(context: &Context<'_>, header: SegmentHeader) -> Result<Segment, OpenError> {
    let name = names::segment(header.ordinal);
    let file = context.disk.open(&name).map_err(context.io(format!("open {name}")))?;
    Ok(Segment { file, header })
}

/// Zeros what a crash left, and makes durable what was read: after a kill it may still be only in the page cache.
fn cut(active: &Segment, ending: &Ending, revision: u64, empty: bool) -> io::Result<()> {
    if let Some(torn) = ending.torn {
        let zeros = vec![0; CUT_CHUNK_BYTES.min(torn.bytes as usize)];
        let mut done = 0;
        while done < torn.bytes {
            let piece = (torn.bytes - done).min(zeros.len() as u64);
            active.file.write_at(ending.offset + done, &zeros[..piece as usize])?;
            done += piece;
        }
    }
    active.file.sync_data()?;
    if !empty {
        active.file.write_at(ending.offset, &mark(FrameKind::Quiet, active.header.salt, revision))?;
    }
    Ok(())
}

struct SnapshotIn<'a> {
    file: &'a dyn DiskFile,
    offset: u64,
    bytes: u64,
}

impl Read for SnapshotIn<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = (self.bytes - self.offset).min(buffer.len() as u64) as usize;
        self.file.read_at(self.offset, &mut buffer[..piece])?;
        self.offset += piece as u64;
        Ok(piece)
    }
}
