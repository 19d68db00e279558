//! The header of a segment.

use super::Damage;
use crate::names;

/// A page of its own, written once: the frames never share a page with it.
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 4096;

const MAGIC: &[u8; 8] = b"SKIFFLOG";
const USED_BYTES: usize = 44;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Its place in the log, from 1.
    pub(crate) ordinal: u64,
    /// The file's length.
    pub(crate) bytes: u64,
    /// Part of the checksum of each frame, so that neither an old segment's frame nor a value can be taken for one.
    pub(crate) salt: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES as usize);
        out.extend(MAGIC);
        out.extend(names::FORMAT_NUMBER.to_le_bytes());
        out.extend(0u32.to_le_bytes());
        out.extend(self.ordinal.to_le_bytes());
        out.extend(self.bytes.to_le_bytes());
        out.extend(self.salt.to_le_bytes());
        out.extend(crc32fast::hash(&out).to_le_bytes());
        out.resize(SEGMENT_HEADER_BYTES as usize, 0);
        out
    }

    /// Reads and checks the header of the segment that has this ordinal by its name.
    pub(crate) fn decode(ordinal: u64, bytes: &[u8]) -> Result<SegmentHeader, Damage> {
        let damage = |what: String| Damage { file: names::segment(ordinal), offset: 0, what };
        let Some(header) = bytes.get(..USED_BYTES) else {
            return Err(damage(format!("the file has {} bytes, not even a header", bytes.len())));
        };
        let u64_at = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        let crc = u32::from_le_bytes(header[40..44].try_into().expect("four bytes"));
        let unused = &bytes[USED_BYTES..bytes.len().min(SEGMENT_HEADER_BYTES as usize)];
        if &header[..8] != MAGIC || crc != crc32fast::hash(&header[..40]) || unused.iter().any(|byte| *byte != 0) {
            return Err(damage("the segment's header is broken".to_owned()));
        }
        let found = SegmentHeader { ordinal: u64_at(16), bytes: u64_at(24), salt: u64_at(32) };
        if found.ordinal != ordinal {
            return Err(damage(format!("this is segment {}, not {ordinal}: the file was renamed", found.ordinal)));
        }
        if found.bytes != bytes.len() as u64 {
            return Err(damage(format!(
                "the file has {} bytes but was made with {}: it was cut or grew",
                bytes.len(),
                found.bytes
            )));
        }
        Ok(found)
    }
}
