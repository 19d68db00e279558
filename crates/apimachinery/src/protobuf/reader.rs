//! Protobuf's wire format.

use super::ProtobufError;

/// What is left to read.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

const SHORT: ProtobufError = ProtobufError::Malformed("it ends early");

impl<'a> Reader<'a> {
    pub(super) fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut value = 0_u64;
        for (index, byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.0 = &self.0[index + 1..];
                return Ok(value);
            }
        }
        Err(ProtobufError::Malformed("a number is too long"))
    }

    /// Number and wire type of the next field; `None` at the end.
    pub(super) fn key(&mut self) -> Result<Option<(u32, u8)>, ProtobufError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| ProtobufError::Malformed("a field number is too large"))?;
        Ok(Some((number, (key & 7) as u8)))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], ProtobufError> {
        let (head, tail) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = tail;
        Ok(head)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], ProtobufError> {
        let length = usize::try_from(self.varint()?).map_err(|_| SHORT)?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<String, ProtobufError> {
        let bytes = self.bytes()?.to_vec();
        String::from_utf8(bytes).map_err(|_| ProtobufError::Malformed("a text is not UTF-8"))
    }

    pub(super) fn fixed64(&mut self) -> Result<[u8; 8], ProtobufError> {
        self.take(8)?.try_into().map_err(|_| SHORT)
    }

    pub(super) fn skip(&mut self, wire: u8) -> Result<(), ProtobufError> {
        match wire {
            0 => self.varint().map(|_| ()),
            1 => self.take(8).map(|_| ()),
            2 => self.bytes().map(|_| ()),
            5 => self.take(4).map(|_| ()),
            _ => Err(ProtobufError::Malformed("it has an unknown wire type")),
        }
    }
}
