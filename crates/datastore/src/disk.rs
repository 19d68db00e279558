//! The disk as an argument: one flat directory of files. [`RealDisk`] is a directory, [`SimulatedDisk`] a seeded model that loses power,
//! runs full and fails on demand.

mod real;
mod simulated;

use std::{fmt, io};

pub use real::RealDisk;
pub use simulated::{CrashImage, Fault, FaultOp, SimulatedDisk};

/// Zeros are written in pieces of this size when a file is preallocated.
const ZERO_CHUNK_BYTES: usize = 1 << 20;

/// One flat directory that belongs to a store alone. Durability is as POSIX has it: data by [`DiskFile::sync_data`], names by [`Disk::sync_dir`].
pub trait Disk: Send + Sync + fmt::Debug {
    /// The directory as the user knows it, for messages.
    fn location(&self) -> String;

    /// The names of all entries, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Makes an empty file, replacing one of that name.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Renames, replacing a file of the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all earlier creations, renames and removals durable.
    fn sync_dir(&self) -> io::Result<()>;

    /// Takes the directory for this process until the guard is dropped.
    fn lock(&self) -> Result<Box<dyn DiskLock>, LockError>;

    /// A number nobody can guess, so that no value can look like a part of the log.
    fn salt(&self) -> io::Result<u64>;
}

/// An open file of a [`Disk`].
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` from `offset`; an error if the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of `data` at `offset`.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Makes the data and length durable.
    fn sync_data(&self) -> io::Result<()>;

    /// Takes the space of an empty file by writing zeros, so that later writes need neither space nor new metadata.
    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        write_zeros(self, bytes)
    }
}

fn write_zeros<F: DiskFile + ?Sized>(file: &F, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; ZERO_CHUNK_BYTES.min(bytes as usize)];
    let mut offset = 0;
    while offset < bytes {
        let piece = (bytes - offset).min(zeros.len() as u64);
        file.write_at(offset, &zeros[..piece as usize])?;
        offset += piece;
    }
    Ok(())
}

/// The hold on a locked directory.
pub trait DiskLock: Send + Sync + fmt::Debug {}

/// Why a directory can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("held by {holder}")]
    Held {
        /// Who, as far as is known.
        holder: String,
    },
    /// The lock file can't be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Whether an error says that the disk or the quota is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
