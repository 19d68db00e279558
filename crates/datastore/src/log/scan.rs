//! Reading the log's segments in order: which frames count, where the log ends, and whether what follows is a crash or damage.

use super::{
    Damage, SEGMENT_HEADER_BYTES, SegmentHeader,
    frame::{ALIGNMENT, Frame, FrameKind, Record},
};
use crate::names;

/// Walks over segments. Pure: bytes in, records out.
#[derive(Debug)]
pub(crate) struct LogScan {
    /// The snapshot's revision, 1 without a snapshot: later records count.
    base: u64,
    /// The revision of the next frame; not known before the first frame of a log whose start was removed.
    expected: Option<u64>,
    /// The open end, once found.
    ending: Option<Ending>,
}

/// Where the log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The segment that takes the next frame.
    pub(crate) ordinal: u64,
    /// Where in it.
    pub(crate) offset: u64,
    /// Remains of a group that was never acknowledged.
    pub(crate) torn: Option<Torn>,
}

/// Remains of an unacknowledged group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Torn {
    /// From the end of the good frames to the last byte that is not zero.
    pub(crate) bytes: u64,
}

/// What a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentSummary {
    /// The revision of its first frame, if it has one.
    pub(crate) first_revision: Option<u64>,
    /// Where its frames end.
    pub(crate) end: u64,
}

impl LogScan {
    pub(crate) fn new(base: u64) -> LogScan {
        LogScan { base, expected: None, ending: None }
    }

    /// Reads the next segment and hands over every record behind the base, with its revision. `last`: no further segment exists.
    pub(crate) fn segment(
        &mut self,
        header: &SegmentHeader,
        bytes: &[u8],
        last: bool,
        mut record: impl FnMut(u64, Record<'_>) -> Result<(), String>,
    ) -> Result<SegmentSummary, Damage> {
        let damage =
            |offset: usize, what: String| Damage { file: names::segment(header.ordinal), offset: offset as u64, what };
        let mut offset = SEGMENT_HEADER_BYTES as usize;
        let mut first_revision = None;
        if let Some(ending) = &self.ending {
            // The segment made ready for later: nothing may be in it.
            return match bytes[offset..].iter().position(|byte| *byte != 0) {
                None => Ok(SegmentSummary { first_revision, end: offset as u64 }),
                Some(at) => Err(damage(
                    offset + at,
                    format!("the log ends in {} but this later segment holds data", names::segment(ending.ordinal)),
                )),
            };
        }
        while let Some(frame) = self.next_group(bytes, offset, header.salt) {
            if self.expected.is_none() && frame.revision > self.base + 1 {
                let what = format!(
                    "the log begins with revision {} but everything after {} is needed: a segment is missing",
                    frame.revision, self.base
                );
                return Err(damage(offset, what));
            }
            let mut records = frame.records;
            for i in 0..u64::from(frame.count) {
                let Some(next) = Record::take(&mut records) else {
                    return Err(damage(offset, "a frame's records do not parse".to_owned()));
                };
                if frame.revision + i > self.base {
                    record(frame.revision + i, next).map_err(|what| damage(offset, what))?;
                }
            }
            if !records.is_empty() {
                return Err(damage(offset, "a frame has more bytes than records".to_owned()));
            }
            first_revision.get_or_insert(frame.revision);
            self.expected = Some(frame.revision + u64::from(frame.count));
            offset += frame.len();
        }
        let summary = SegmentSummary { first_revision, end: offset as u64 };
        let expected = self.expected.unwrap_or(self.base + 1);
        if let Some(Frame { kind: FrameKind::Seal, revision, .. }) = Frame::read(bytes, offset, header.salt)
            && revision + 1 == expected
        {
            return match last {
                false => Ok(summary),
                true => Err(damage(
                    offset,
                    format!("the log goes on in {}, which is missing", names::segment(header.ordinal + 1)),
                )),
            };
        }
        if let Some((at, what)) = self.written_later(bytes, offset, header.salt) {
            return Err(damage(
                offset,
                format!("this frame is damaged: {what} at byte {at} was written after it was synced"),
            ));
        }
        if expected <= self.base {
            let what = format!("the log ends with revision {} but the snapshot is of {}", expected - 1, self.base);
            return Err(damage(offset, what));
        }
        self.ending =
            Some(Ending { ordinal: header.ordinal, offset: offset as u64, torn: torn(bytes, offset, header.salt) });
        self.expected = Some(expected);
        Ok(summary)
    }

    /// After the last segment: the log's end and the revision that the next write makes.
    pub(crate) fn finish(self) -> Option<(Ending, u64)> {
        Some((self.ending?, self.expected?))
    }

    fn next_group<'a>(&self, bytes: &'a [u8], offset: usize, salt: u64) -> Option<Frame<'a>> {
        let frame = Frame::read(bytes, offset, salt)?;
        let expected = self.expected.unwrap_or(frame.revision);
        (frame.kind == FrameKind::Group && frame.count > 0 && frame.revision == expected).then_some(frame)
    }

    /// A whole frame behind `offset` that proves that what should be at `offset` was synced.
    fn written_later(&self, bytes: &[u8], offset: usize, salt: u64) -> Option<(usize, &'static str)> {
        let expected = self.expected.unwrap_or(0);
        (offset..bytes.len()).step_by(ALIGNMENT).find_map(|at| {
            let frame = Frame::read(bytes, at, salt).filter(|frame| frame.revision >= expected)?;
            let what = match frame.kind {
                FrameKind::Group if at == offset => "a group out of order",
                FrameKind::Group => "a whole group",
                FrameKind::Quiet | FrameKind::Seal => "a mark",
            };
            Some((at, what))
        })
    }
}

/// What is behind the end, save the quiet mark that belongs there.
fn torn(bytes: &[u8], end: usize, salt: u64) -> Option<Torn> {
    let from = match Frame::read(bytes, end, salt) {
        Some(mark) => end + mark.len(),
        None => end,
    };
    let last = bytes[from..].iter().rposition(|byte| *byte != 0)?;
    Some(Torn { bytes: (from + last + 1 - end) as u64 })
}
