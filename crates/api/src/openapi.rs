//! The OpenAPI documents, compressed as they are sent, and the objects that a fresh cluster has.

mod descriptions;
mod documents;

use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::Value;

pub use descriptions::{describe, describe_answers, describe_header};
pub use documents::{DOCUMENTS, VERSION_2};

/// One document of `/openapi/v3`, or that of `/openapi/v2`.
#[derive(Debug)]
pub struct Document {
    /// Its path below `/openapi/v3/`, such as `apis/apps/v1`.
    pub path: &'static str,
    /// A hash of its content as it is here, without descriptions.
    hash: &'static str,
    /// Its JSON, gzip-compressed.
    pub gzip: &'static [u8],
}

impl Document {
    /// A hash of its content with what is said of its types and fields, for caches.
    pub fn described_hash(&self) -> String {
        format!("{}{:08X}", self.hash, descriptions::checksum())
    }

    /// Its JSON.
    pub fn json(&self) -> std::io::Result<Vec<u8>> {
        let mut out = Vec::new();
        GzDecoder::new(self.gzip).read_to_end(&mut out)?;
        Ok(out)
    }
}

/// The objects that upstream's server makes in a fresh cluster: namespaces, roles and bindings, priority classes, flow
/// control, API services.
pub fn bootstrap_objects() -> Vec<Value> {
    let mut out = Vec::new();
    let read = GzDecoder::new(include_bytes!("../data/bootstrap-objects.json.gz").as_slice()).read_to_end(&mut out);
    read.ok().and_then(|_| serde_json::from_slice(&out).ok()).expect("the generated archive is checked by a test")
}

#[cfg(test)]
mod tests;
