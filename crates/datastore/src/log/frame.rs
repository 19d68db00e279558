//! Frames, marks and records.

/// magic, length, revision, count, crc.
pub(crate) const FRAME_HEADER_BYTES: usize = 24;
/// The room a mark takes.
pub(crate) const MARK_BYTES: usize = FRAME_HEADER_BYTES;
/// Frames begin at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;

const PUT: u8 = 1;
const DELETE: u8 = 2;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// A group of writes, from this revision on.
    Group,
    /// Everything up to this revision was synced.
    Quiet,
    /// The same, and the log goes on in the next segment.
    Seal,
}

impl FrameKind {
    fn magic(self) -> u32 {
        match self {
            FrameKind::Group => u32::from_le_bytes(*b"SKgr"),
            FrameKind::Quiet => u32::from_le_bytes(*b"SKqu"),
            FrameKind::Seal => u32::from_le_bytes(*b"SKse"),
        }
    }

    fn from_magic(magic: u32) -> Option<FrameKind> {
        [FrameKind::Group, FrameKind::Quiet, FrameKind::Seal].into_iter().find(|kind| kind.magic() == magic)
    }
}

/// A whole frame whose checksum holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: FrameKind,
    pub(crate) revision: u64,
    pub(crate) count: u32,
    pub(crate) records: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame that begins at `offset`, if one does.
    pub(crate) fn read(segment: &'a [u8], offset: usize, salt: u64) -> Option<Frame<'a>> {
        let header = segment.get(offset..offset + FRAME_HEADER_BYTES)?;
        let u32_at = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let kind = FrameKind::from_magic(u32_at(0))?;
        let start = offset + FRAME_HEADER_BYTES;
        let length = u32_at(4) as usize;
        let padded = segment.get(start..start.checked_add(length.next_multiple_of(ALIGNMENT))?)?;
        if checksum(salt, &header[..20], padded) != u32_at(20) {
            return None;
        }
        let records = &padded[..length];
        let revision = u64::from_le_bytes(header[8..16].try_into().expect("eight bytes"));
        Some(Frame { kind, revision, count: u32_at(16), records })
    }

    /// The bytes it takes in the segment.
    pub(crate) fn len(&self) -> usize {
        (FRAME_HEADER_BYTES + self.records.len()).next_multiple_of(ALIGNMENT)
    }
}

/// Clears the buffer and leaves room for the header: records follow, then [`finish_frame`].
pub(crate) fn start_frame(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(FRAME_HEADER_BYTES, 0);
}

/// Writes header and padding around the records.
pub(crate) fn finish_frame(buffer: &mut Vec<u8>, kind: FrameKind, salt: u64, revision: u64, count: u32) {
    let length = u32::try_from(buffer.len() - FRAME_HEADER_BYTES).expect("a frame is far below 4 GiB");
    buffer.resize(buffer.len().next_multiple_of(ALIGNMENT), 0);
    buffer[0..4].copy_from_slice(&kind.magic().to_le_bytes());
    buffer[4..8].copy_from_slice(&length.to_le_bytes());
    buffer[8..16].copy_from_slice(&revision.to_le_bytes());
    buffer[16..20].copy_from_slice(&count.to_le_bytes());
    let crc = checksum(salt, &buffer[..20], &buffer[FRAME_HEADER_BYTES..]);
    buffer[20..24].copy_from_slice(&crc.to_le_bytes());
}

/// A mark: a frame without records.
pub(crate) fn mark(kind: FrameKind, salt: u64, revision: u64) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(MARK_BYTES);
    start_frame(&mut buffer);
    finish_frame(&mut buffer, kind, salt, revision, 0);
    buffer
}

fn checksum(salt: u64, header: &[u8], records: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt.to_le_bytes());
    crc.update(header);
    crc.update(records);
    crc.finalize()
}

/// One write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Put { key: &'a str, value: &'a [u8] },
    Delete { key: &'a str },
}

impl<'a> Record<'a> {
    /// Takes the first record off; none if the bytes are not records.
    pub(crate) fn take(bytes: &mut &'a [u8]) -> Option<Record<'a>> {
        let (&tag, mut rest) = bytes.split_first()?;
        let key_length = u16::from_le_bytes(take(&mut rest, 2)?.try_into().ok()?);
        let value_length = match tag {
            PUT => u32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?),
            DELETE => 0,
            _ => return None,
        };
        let key = std::str::from_utf8(take(&mut rest, key_length as usize)?).ok()?;
        let value = take(&mut rest, value_length as usize)?;
        *bytes = rest;
        Some(if tag == PUT { Record::Put { key, value } } else { Record::Delete { key } })
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(head)
}

/// Appends a record. Key and value are within the store's limits.
pub(crate) fn put_record(buffer: &mut Vec<u8>, record: Record<'_>) {
    let (tag, key, value) = match record {
        Record::Put { key, value } => (PUT, key, Some(value)),
        Record::Delete { key } => (DELETE, key, None),
    };
    buffer.push(tag);
    buffer.extend(u16::try_from(key.len()).expect("keys are limited").to_le_bytes());
    if let Some(value) = value {
        buffer.extend(u32::try_from(value.len()).expect("values are limited").to_le_bytes());
    }
    buffer.extend(key.as_bytes());
    buffer.extend(value.unwrap_or_default());
}
