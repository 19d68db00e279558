//! Blocks of headers: compressed by zlib with a dictionary that both sides know, one state for a connection's whole life.

use std::collections::BTreeMap;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::frame::SpdyError;

/// Names in lower case, values.
pub type Headers = BTreeMap<String, String>;

/// The text that both sides know (SPDY/3.1 §2.6.10.1).
const DICTIONARY: &[u8] = include_bytes!("dictionary.bin");
/// The most bytes of a block when it is unpacked. Kubernetes' have some dozens.
const BLOCK_MAX: usize = 16 << 10;
/// How much room for output is made at once.
const STEP: usize = 1 << 10;

/// Unpacks blocks.
#[derive(Debug)]
pub(super) struct Unpacker(Decompress);

impl Unpacker {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    pub(super) fn unpack(&mut self, mut packed: &[u8]) -> Result<Headers, SpdyError> {
        let mut block = Vec::with_capacity(STEP);
        loop {
            let before = self.0.total_in();
            let status = self.0.decompress_vec(packed, &mut block, FlushDecompress::Sync);
            let read = usize::try_from(self.0.total_in() - before).map_err(|_| SpdyError::Headers)?;
            packed = packed.get(read..).ok_or(SpdyError::Headers)?;
            if block.len() > BLOCK_MAX {
                return Err(SpdyError::Headers);
            }
            match status {
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(DICTIONARY).map_err(|_| SpdyError::Headers)?;
                }
                Err(_) | Ok(Status::StreamEnd) => return Err(SpdyError::Headers),
                // All was read, and there was room for more than came out.
                Ok(_) if packed.is_empty() && block.len() < block.capacity() => return parse(&block),
                Ok(_) if read == 0 && block.len() < block.capacity() => return Err(SpdyError::Headers),
                Ok(_) => {}
            }
            if block.len() == block.capacity() {
                block.reserve(STEP);
            }
        }
    }
}

/// A count, then names and values, each after its length; several values are parted by zeros.
fn parse(mut block: &[u8]) -> Result<Headers, SpdyError> {
    let count = number(&mut block)?;
    let mut headers = Headers::new();
    for _ in 0..count {
        let (name, value) = (string(&mut block)?, string(&mut block)?);
        headers.insert(name.to_ascii_lowercase(), value);
    }
    Ok(headers)
}

fn number(block: &mut &[u8]) -> Result<usize, SpdyError> {
    let (bytes, rest) = block.split_first_chunk::<4>().ok_or(SpdyError::Headers)?;
    *block = rest;
    usize::try_from(u32::from_be_bytes(*bytes)).map_err(|_| SpdyError::Headers)
}

fn string(block: &mut &[u8]) -> Result<String, SpdyError> {
    let length = number(block)?;
    let (bytes, rest) = block.split_at_checked(length).ok_or(SpdyError::Headers)?;
    *block = rest;
    String::from_utf8(bytes.to_vec()).map_err(|_| SpdyError::Headers)
}

/// Packs blocks.
#[derive(Debug)]
pub(super) struct Packer(Compress);

impl Packer {
    pub(super) fn new() -> Result<Self, SpdyError> {
        let mut compress = Compress::new(Compression::default(), true);
        compress.set_dictionary(DICTIONARY).map_err(|_| SpdyError::Headers)?;
        Ok(Self(compress))
    }

    pub(super) fn pack(&mut self, headers: &Headers) -> Result<Vec<u8>, SpdyError> {
        let length = |length: usize| u32::try_from(length).map(u32::to_be_bytes).map_err(|_| SpdyError::Headers);
        let mut block = length(headers.len())?.to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            block.extend(length(text.len())?);
            block.extend(text.as_bytes());
        }
        let mut rest = block.as_slice();
        let mut packed = Vec::with_capacity(STEP);
        loop {
            let before = self.0.total_in();
            self.0.compress_vec(rest, &mut packed, FlushCompress::Sync).map_err(|_| SpdyError::Headers)?;
            let read = usize::try_from(self.0.total_in() - before).map_err(|_| SpdyError::Headers)?;
            rest = rest.get(read..).ok_or(SpdyError::Headers)?;
            if rest.is_empty() && packed.len() < packed.capacity() {
                return Ok(packed);
            }
            packed.reserve(STEP);
        }
    }
}
