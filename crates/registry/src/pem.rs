//! PEM as Go's `encoding/pem` reads and writes it: what is no block is passed over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// Characters in a line.
const LINE: usize = 64;

/// The label of a certificate's block.
pub const CERTIFICATE: &str = "CERTIFICATE";

/// One block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it holds, such as `CERTIFICATE`.
    pub label: String,
    /// Whether there are headers before the content.
    pub has_headers: bool,
    /// The content.
    pub bytes: Vec<u8>,
}

/// All blocks of a text.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = text.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        let label = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES));
        let Some(label) = label else { continue };
        // A block that is broken is passed over, but not what begins within it.
        let mut rest = lines.clone();
        if let Some(block) = block(label, &mut rest) {
            found.push(block);
            lines = rest;
        }
    }
    found
}

fn block<'a>(label: &str, lines: &mut impl Iterator<Item = &'a str>) -> Option<Block> {
    let (mut has_headers, mut content) = (false, String::new());
    for line in lines {
        if let Some(rest) = line.strip_prefix(END) {
            let bytes = STANDARD.decode(&content).ok().filter(|_| rest.strip_suffix(DASHES) == Some(label))?;
            return Some(Block { label: label.to_owned(), has_headers, bytes });
        }
        if content.is_empty() && line.contains(':') {
            has_headers = true;
            continue;
        }
        content.extend(line.chars().filter(|c| !matches!(c, ' ' | '\t')));
    }
    None
}

/// A block's text.
pub fn encode(label: &str, bytes: &[u8]) -> String {
    let content = STANDARD.encode(bytes);
    let mut text = format!("{BEGIN}{label}{DASHES}\n");
    for line in content.as_bytes().chunks(LINE) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + &format!("{END}{label}{DASHES}\n")
}

#[cfg(test)]
mod tests {
    use super::{Block, blocks, encode};

    #[test]
    fn blocks_are_found_among_other_things() {
        let long: Vec<u8> = (0..100).collect();
        let one = encode("CERTIFICATE", &long);
        assert_eq!(one.lines().map(str::len).max(), Some(64));
        let broken = "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";
        let headed = "-----BEGIN KEY-----\r\nProc-Type: 4\r\n\r\nAQI=\r\n-----END KEY-----";
        let crossed = "-----BEGIN A-----\nAQI=\n-----END B-----\n";
        let text = format!("subject: x\n{one}text\n{broken}{crossed}{headed}");
        let block = |label: &str, has_headers, bytes| Block { label: label.to_owned(), has_headers, bytes };
        assert_eq!(blocks(&text), [block("CERTIFICATE", false, long), block("KEY", true, vec![1, 2])]);
        assert_eq!(blocks("-----BEGIN CERTIFICATE-----\nAQI=\n"), []);
    }
}
