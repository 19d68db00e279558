//! The log's bytes: segments of frames, and the reading of a log after a restart.
//!
//! ```text
//! segment  = header (4,096 B) frame* mark? zeros            its length is in its header and never changes
//! header   = "SKIFFLOG" format:u32 0:u32 ordinal:u64 bytes:u64 salt:u64 crc:u32 zeros
//! frame    = magic:u32 length:u32 revision:u64 count:u32 crc:u32 record* padding to 8 B
//! record   = 1 key_length:u16 value_length:u32 key value  |  2 key_length:u16 key
//! mark     = a frame without records
//! ```
//!
//! Numbers are little-endian; the CRC-32 covers the segment's salt, the frame's header, its records and the padding.
//! A frame is one group of writes: it is on disk whole, or was never acknowledged. Each record makes one revision, a frame's
//! `revision` is that of its first record, and frames follow each other without a gap, also across segments.
//!
//! What tells a crash from damage:
//! - A **segment** is made aside, filled with zeros, synced and renamed before it is used. So a file shorter than its header says was cut.
//! - A frame is written only after the one before was synced. So a bad frame with a good one behind it was good once: damage.
//! - When the writer has nothing to do it writes a **quiet mark** behind the last frame ("everything up to this revision was synced"); the next
//!   frame overwrites it. So the last frame is covered like all others, except for the microseconds between its sync and its mark.
//! - A full segment ends with a synced **seal**. So a missing next segment is noticed.
//! - All else behind the last good frame is the remains of one unacknowledged group: it is cut off, and said so.
//!
//! What can't be told: damage that hits both the last frame and its mark looks like a crash, and drops that one frame.

mod frame;
mod scan;
mod segment;

pub(crate) use frame::{
    FRAME_HEADER_BYTES, FrameKind, MARK_BYTES, Record, finish_frame, mark, put_record, start_frame,
};
pub(crate) use scan::{Ending, LogScan};
pub(crate) use segment::{SEGMENT_HEADER_BYTES, SegmentHeader};

/// Bytes that can't be what was written: where, and how one sees it.
#[derive(Debug)]
pub(crate) struct Damage {
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) what: String,
}

#[cfg(test)]
mod tests;
