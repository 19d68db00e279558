//! A snapshot: all keys at one revision, in one file of checksummed blocks. A backup is the same file.
//!
//! ```text
//! snapshot = header block* end
//! header   = "SKIFFSNP" format:u32 0:u32 revision:u64 first_segment:u64 count:u64 crc:u32
//! block    = length:u32 crc:u32 entry*                     length > 0
//! entry    = create:u64 mod:u64 version:u64 key_length:u16 value_length:u32 key value       ascending by key
//! end      = 0:u32 crc:u32                                 over the checksums of the header and all blocks
//! ```

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use bytes::Bytes;

use crate::{KeyValue, Revision, names};

/// A block is closed when it has reached this size.
const BLOCK_BYTES: usize = 128 << 10;
/// No block is larger: the size above and one entry of the largest size. A longer one is damage, and memory is not taken for it.
const BLOCK_BYTES_MAX: usize = BLOCK_BYTES + crate::VALUE_BYTES_MAX + crate::KEY_BYTES_MAX + ENTRY_HEADER_BYTES;
const ENTRY_HEADER_BYTES: usize = 30;
const HEADER_BYTES: usize = 44;
const MAGIC: &[u8; 8] = b"SKIFFSNP";

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotHeader {
    /// The state is that of this revision.
    pub(crate) revision: u64,
    /// The log goes on in this segment: earlier ones are not needed.
    pub(crate) first_segment: u64,
    /// How many keys there are.
    pub(crate) count: u64,
}

/// Why a snapshot can't be read.
#[derive(Debug)]
pub(crate) enum ReadSnapshotError {
    Io(io::Error),
    Damage { offset: u64, what: String },
    Newer { format: u32 },
}

impl From<io::Error> for ReadSnapshotError {
    fn from(error: io::Error) -> Self {
        ReadSnapshotError::Io(error)
    }
}

/// Writes a snapshot; `items` are as many as the header says, ascending. Returns the bytes written.
pub(crate) fn write_snapshot<'a>(
    out: &mut dyn Write,
    header: &SnapshotHeader,
    items: impl Iterator<Item = &'a Arc<KeyValue>>,
) -> io::Result<u64> {
    let mut all = crc32fast::Hasher::new();
    let mut block = Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 4);
    block.extend(MAGIC);
    block.extend(names::FORMAT_NUMBER.to_le_bytes());
    block.extend(0u32.to_le_bytes());
    for number in [header.revision, header.first_segment, header.count] {
        block.extend(number.to_le_bytes());
    }
    let crc = crc32fast::hash(&block).to_le_bytes();
    all.update(&crc);
    block.extend(crc);
    out.write_all(&block)?;
    let mut written = block.len() as u64;
    block.clear();
    let mut flush = |block: &mut Vec<u8>, all: &mut crc32fast::Hasher| -> io::Result<u64> {
        let crc = crc32fast::hash(block).to_le_bytes();
        all.update(&crc);
        out.write_all(&u32::try_from(block.len()).expect("a block is far below 4 GiB").to_le_bytes())?;
        out.write_all(&crc)?;
        out.write_all(block)?;
        let bytes = block.len() as u64 + 8;
        block.clear();
        Ok(bytes)
    };
    for kv in items {
        for number in [kv.create_revision.0, kv.mod_revision.0, kv.version] {
            block.extend(number.to_le_bytes());
        }
        block.extend(u16::try_from(kv.key.len()).expect("keys are limited").to_le_bytes());
        block.extend(u32::try_from(kv.value.len()).expect("values are limited").to_le_bytes());
        block.extend(kv.key.as_bytes());
        block.extend(&kv.value);
        if block.len() >= BLOCK_BYTES {
            written += flush(&mut block, &mut all)?;
        }
    }
    if !block.is_empty() {
        written += flush(&mut block, &mut all)?;
    }
    out.write_all(&0u32.to_le_bytes())?;
    out.write_all(&all.finalize().to_le_bytes())?;
    out.flush()?;
    Ok(written + 8)
}

/// Reads and checks a whole snapshot.
pub(crate) fn read_snapshot(
    input: &mut dyn Read,
    mut item: impl FnMut(KeyValue),
) -> Result<SnapshotHeader, ReadSnapshotError> {
    let mut all = crc32fast::Hasher::new();
    let mut offset = 0;
    let damage = |offset: u64, what: &str| ReadSnapshotError::Damage { offset, what: what.to_owned() };
    let mut bytes = vec![0; HEADER_BYTES];
    fill(input, &mut bytes, offset)?;
    let u32_in = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let u64_in = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    if &bytes[..8] != MAGIC || crc32fast::hash(&bytes[..40]) != u32_in(&bytes, 40) {
        return Err(damage(0, "the snapshot's header is broken"));
    }
    if u32_in(&bytes, 8) > names::FORMAT_NUMBER {
        return Err(ReadSnapshotError::Newer { format: u32_in(&bytes, 8) });
    }
    let header =
        SnapshotHeader { revision: u64_in(&bytes, 16), first_segment: u64_in(&bytes, 24), count: u64_in(&bytes, 32) };
    all.update(&bytes[40..44]);
    offset += HEADER_BYTES as u64;
    let mut count = 0;
    let mut last: Option<Arc<str>> = None;
    loop {
        let mut head = [0; 8];
        fill(input, &mut head, offset)?;
        let length = u32_in(&head, 0) as usize;
        if length == 0 {
            if all.finalize() != u32_in(&head, 4) || count != header.count {
                return Err(damage(offset, "the snapshot's end does not fit its blocks"));
            }
            if input.read(&mut [0])? != 0 {
                return Err(damage(offset + 8, "bytes follow the snapshot's end"));
            }
            return Ok(header);
        }
        if length > BLOCK_BYTES_MAX {
            return Err(damage(offset, "a block's length is broken"));
        }
        bytes.resize(length, 0);
        fill(input, &mut bytes, offset + 8)?;
        if crc32fast::hash(&bytes) != u32_in(&head, 4) {
            return Err(damage(offset, "a block is damaged"));
        }
        all.update(&head[4..8]);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let kv = take_entry(&mut rest).ok_or_else(|| damage(offset, "a block's entries do not parse"))?;
            if last.as_ref().is_some_and(|last| *last >= kv.key) || kv.mod_revision.0 > header.revision {
                return Err(damage(offset, "the snapshot's entries are out of order"));
            }
            last = Some(kv.key.clone());
            count += 1;
            item(kv);
        }
        offset += 8 + length as u64;
    }
}

fn fill(input: &mut dyn Read, buffer: &mut [u8], offset: u64) -> Result<(), ReadSnapshotError> {
    input.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            ReadSnapshotError::Damage { offset, what: "the snapshot is cut off".to_owned() }
        }
        _ => ReadSnapshotError::Io(error),
    })
}

fn take_entry(bytes: &mut &[u8]) -> Option<KeyValue> {
    let (head, rest) = bytes.split_at_checked(ENTRY_HEADER_BYTES)?;
    let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    let key_length = u16::from_le_bytes(head[24..26].try_into().expect("two bytes")) as usize;
    let value_length = u32::from_le_bytes(head[26..30].try_into().expect("four bytes")) as usize;
    let (key, rest) = rest.split_at_checked(key_length)?;
    let (value, rest) = rest.split_at_checked(value_length)?;
    *bytes = rest;
    Some(KeyValue {
        key: std::str::from_utf8(key).ok()?.into(),
        value: Bytes::copy_from_slice(value),
        create_revision: Revision(number(0)),
        mod_revision: Revision(number(8)),
        version: number(16),
    })
}

#[cfg(test)]
mod tests;
