//! Backup and restore: a snapshot of the present as one file.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use super::{OpenError, Options, housekeeping, open};
use crate::{
    Disk, Revision,
    history::Shared,
    names,
    snapshot::{ReadSnapshotError, SnapshotHeader, read_snapshot, write_snapshot},
};

/// Why a backup can't be restored. The directory can be used for another attempt.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a store, or something else.
    #[error("{location} is not empty: it holds {found:?}; restore into a new directory")]
    NotEmpty {
        /// The directory.
        location: String,
        /// A file in it.
        found: String,
    },
    /// The backup is not what was written.
    #[error("the backup is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where in the backup.
        offset: u64,
        /// How one sees it.
        what: String,
    },
    /// A later version wrote it.
    #[error("the backup has format {found}, this version reads up to {supported}")]
    Newer {
        /// Its format.
        found: u32,
        /// The newest readable.
        supported: u32,
    },
    /// The backup can't be read, or the disk failed or is full.
    #[error("failed to restore a backup into {location}")]
    Io {
        /// The directory.
        location: String,
        /// What failed.
        source: io::Error,
    },
    /// The directory can't be taken.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// A log segment's ordinal: a restored store has no log yet.
const FIRST_SEGMENT: u64 = 1;

pub(super) fn write_backup(shared: &Arc<Shared>, out: &mut dyn Write) -> io::Result<Revision> {
    let (revision, keys) = shared.view(None).expect("the present can always be read");
    let header = SnapshotHeader { revision, first_segment: FIRST_SEGMENT, count: keys.len() as u64 };
    write_snapshot(out, &header, keys.values())?;
    Ok(Revision(revision))
}

/// Makes a store from a backup in an empty directory and returns its revision. The store is there whole, or not at all.
pub fn restore_backup(disk: &dyn Disk, options: &Options, input: &mut dyn Read) -> Result<Revision, RestoreError> {
    let failed = |source| RestoreError::Io { location: disk.location(), source };
    let usable = |name: &String| matches!(names::parse(name), names::Name::Lock | names::Name::Harmless);
    if let Some(found) = disk.list().map_err(failed)?.into_iter().find(|name| !usable(name)) {
        return Err(RestoreError::NotEmpty { location: disk.location(), found });
    }
    let _lock = disk.lock().map_err(|error| match error {
        crate::LockError::Held { holder } => OpenError::Locked { location: disk.location(), holder }.into(),
        crate::LockError::Io(source) => failed(source),
    })?;
    // Its revision, and so its name, is known only when it was read.
    let aside = names::aside(&names::snapshot(0));
    let copied = copy_checked(disk, &aside, input).and_then(|revision| {
        disk.rename(&aside, &names::snapshot(revision)).map_err(failed)?;
        Ok(revision)
    });
    let revision = match copied {
        Ok(revision) => revision,
        Err(error) => {
            disk.remove(&aside).map_err(failed)?;
            return Err(error);
        }
    };
    housekeeping::make_segment(disk, FIRST_SEGMENT, options.segment_bytes_first).map_err(failed)?;
    open::write_format(disk).map_err(failed)?;
    Ok(Revision(revision))
}

fn copy_checked(disk: &dyn Disk, name: &str, input: &mut dyn Read) -> Result<u64, RestoreError> {
    let failed = |source| RestoreError::Io { location: disk.location(), source };
    let file = disk.create(name).map_err(failed)?;
    let mut copy = Copying { input, file: &*file, offset: 0 };
    let mut buffered = io::BufReader::with_capacity(1 << 20, &mut copy);
    let header = read_snapshot(&mut buffered, |_| {}).map_err(|error| match error {
        ReadSnapshotError::Io(source) => failed(source),
        ReadSnapshotError::Damage { offset, what } => RestoreError::Damaged { offset, what },
        ReadSnapshotError::Newer { format } => RestoreError::Newer { found: format, supported: names::FORMAT_NUMBER },
    })?;
    file.sync_data().map_err(failed)?;
    Ok(header.revision)
}

/// What is read is written, too.
struct Copying<'a> {
    input: &'a mut dyn Read,
    file: &'a dyn crate::DiskFile,
    offset: u64,
}

impl Read for Copying<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.file.write_at(self.offset, &buffer[..count])?;
        self.offset += count as u64;
        Ok(count)
    }
}
