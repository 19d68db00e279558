//! Frames as bytes. Pure but for the state of the headers' compression.

use bytes::{BufMut, Bytes, BytesMut};

use super::headers::{Headers, Packer, Unpacker};

/// The bytes before each frame's payload.
pub(super) const HEAD_BYTES: usize = 8;
/// The most bytes of a payload. Clients send at most 32 KiB at once; the protocol would allow 16 MiB.
const PAYLOAD_MAX: usize = 1 << 20;
/// The protocol's version in control frames.
const VERSION: u16 = 3;
const FLAG_FIN: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;

/// Why the bytes of a peer can't be gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SpdyError {
    /// Too long, too short, or of another version.
    #[error("malformed SPDY frame")]
    Frame,
    /// A block of headers is not what zlib and the protocol make of it.
    #[error("malformed SPDY headers")]
    Headers,
}

/// What is said in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The client opens a stream; with `fin` it will say nothing more on it.
    SynStream { id: u32, fin: bool, headers: Headers },
    /// The server takes it.
    SynReply { id: u32, headers: Headers },
    /// A stream ends at once, both ways.
    RstStream { id: u32, status: u32 },
    /// To be sent back.
    Ping { id: u32 },
    /// No more streams are opened.
    GoAway { last: u32 },
    /// Bytes of a stream; with `fin` the last ones of this side.
    Data { id: u32, fin: bool, bytes: Bytes },
    /// What plays no part here: settings, windows, further headers.
    Other,
}

/// The first bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    control: Option<u16>,
    id: u32,
    flags: u8,
    pub(super) length: usize,
}

impl Head {
    pub(super) fn parse(bytes: [u8; HEAD_BYTES]) -> Result<Self, SpdyError> {
        let [a, b, c, d, flags, rest @ ..] = bytes;
        let first = u32::from_be_bytes([a, b, c, d]);
        let length = rest.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
        if length > PAYLOAD_MAX {
            return Err(SpdyError::Frame);
        }
        if first >> 31 == 0 {
            return Ok(Self { control: None, id: first, flags, length });
        }
        let [version, kind] = [u16::from_be_bytes([a & 0x7f, b]), u16::from_be_bytes([c, d])];
        if version != VERSION {
            return Err(SpdyError::Frame);
        }
        Ok(Self { control: Some(kind), id: 0, flags, length })
    }
}

/// Reads frames.
#[derive(Debug)]
pub(super) struct Decoder {
    headers: Unpacker,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { headers: Unpacker::new() }
    }

    pub(super) fn decode(&mut self, head: Head, payload: Bytes) -> Result<Frame, SpdyError> {
        let fin = head.flags & FLAG_FIN != 0;
        let Some(kind) = head.control else { return Ok(Frame::Data { id: head.id, fin, bytes: payload }) };
        let number = |at: usize| -> Result<u32, SpdyError> {
            let bytes = payload.get(at..).and_then(<[u8]>::first_chunk::<4>).ok_or(SpdyError::Frame)?;
            Ok(u32::from_be_bytes(*bytes) & 0x7fff_ffff)
        };
        let block = |at: usize| payload.get(at..).ok_or(SpdyError::Frame);
        match kind {
            // The stream, the one that it belongs to, its priority.
            SYN_STREAM => Ok(Frame::SynStream { id: number(0)?, fin, headers: self.headers.unpack(block(10)?)? }),
            SYN_REPLY => Ok(Frame::SynReply { id: number(0)?, headers: self.headers.unpack(block(4)?)? }),
            RST_STREAM => Ok(Frame::RstStream { id: number(0)?, status: number(4)? }),
            PING => Ok(Frame::Ping { id: number(0)? }),
            GOAWAY => Ok(Frame::GoAway { last: number(0)? }),
            HEADERS => {
                // Unpacked all the same, or the blocks after it would make no sense.
                self.headers.unpack(block(4)?)?;
                Ok(Frame::Other)
            }
            _ => Ok(Frame::Other),
        }
    }
}

/// Writes frames.
#[derive(Debug)]
pub(super) struct Encoder {
    headers: Packer,
}

impl Encoder {
    pub(super) fn new() -> Result<Self, SpdyError> {
        Ok(Self { headers: Packer::new()? })
    }

    /// Appends the bytes of `frame`; none for [`Frame::Other`].
    pub(super) fn encode(&mut self, frame: &Frame, out: &mut BytesMut) -> Result<(), SpdyError> {
        match frame {
            Frame::SynStream { id, fin, headers } => {
                let block = self.headers.pack(headers)?;
                control(out, SYN_STREAM, *fin, 10 + block.len())?;
                out.put_u32(*id);
                // It belongs to no other, and has the default priority.
                out.put_bytes(0, 6);
                out.put_slice(&block);
            }
            Frame::SynReply { id, headers } => {
                let block = self.headers.pack(headers)?;
                control(out, SYN_REPLY, false, 4 + block.len())?;
                out.put_u32(*id);
                out.put_slice(&block);
            }
            Frame::RstStream { id, status } => {
                control(out, RST_STREAM, false, 8)?;
                out.put_u32(*id);
                out.put_u32(*status);
            }
            Frame::Ping { id } => {
                control(out, PING, false, 4)?;
                out.put_u32(*id);
            }
            Frame::GoAway { last } => {
                control(out, GOAWAY, false, 8)?;
                out.put_u32(*last);
                // All is well.
                out.put_u32(0);
            }
            Frame::Data { id, fin, bytes } => {
                out.put_u32(*id);
                length(out, *fin, bytes.len())?;
                out.put_slice(bytes);
            }
            Frame::Other => {}
        }
        Ok(())
    }
}

fn control(out: &mut BytesMut, kind: u16, fin: bool, bytes: usize) -> Result<(), SpdyError> {
    out.put_u16(VERSION | 0x8000);
    out.put_u16(kind);
    length(out, fin, bytes)
}

/// Flags and the payload's length in three bytes.
fn length(out: &mut BytesMut, fin: bool, bytes: usize) -> Result<(), SpdyError> {
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= PAYLOAD_MAX).ok_or(SpdyError::Frame)?;
    out.put_u32((u32::from(fin) << 24) | length);
    Ok(())
}

#[cfg(test)]
mod tests;
