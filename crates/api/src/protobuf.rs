//! The table of protobuf messages of all built-in kinds, generated. Read when the first client sends protobuf.

use std::io::Read as _;
use std::sync::LazyLock;

use apimachinery::protobuf::Messages;
use flate2::read::GzDecoder;

/// The messages of all built-in kinds.
pub fn messages() -> &'static Messages {
    static MESSAGES: LazyLock<Messages> = LazyLock::new(|| {
        let mut json = Vec::new();
        let read = GzDecoder::new(include_bytes!("../data/protobuf.json.gz").as_slice()).read_to_end(&mut json);
        let parsed = read.ok().and_then(|_| Messages::parse(&json).ok());
        parsed.expect("the generated table is checked by a test")
    });
    &MESSAGES
}

#[cfg(test)]
mod tests;
