//! From a stream of bytes, compressed or not, to an unpacked layer whose digests were checked.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::spec::Digest;
use super::store::{Ingest, NewLayer, Store, StoreError};
use super::unpack::{Draft, UnpackError, decompress, unpack};

/// A layer is not what it should be, or can't be stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayerError {
    /// The stream's digest; containerd's words.
    #[error(
        "failed commit on ref \"layer-{expected}\": unexpected commit digest {found}, expected {expected}: failed precondition"
    )]
    Digest { expected: Digest, found: Digest },
    /// The digest of the unpacked content; containerd's words.
    #[error("failed to extract layer {expected}: wrong diff id {found}, expected {expected}")]
    DiffId { expected: Digest, found: Digest },
    #[error("failed to extract layer {diff_id}: {source}")]
    Unpack { diff_id: Digest, source: UnpackError },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a layer must be.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    /// The digest of the stream; archives don't always say it.
    pub(super) blob: Option<Digest>,
    pub(super) diff_id: Digest,
}

/// A layer in an ingest.
#[derive(Debug)]
pub(super) struct Unpacked {
    directory: PathBuf,
    draft: Draft,
}

struct Hashing<R> {
    input: R,
    hash: Sha256,
}

impl<R: Read> Hashing<R> {
    fn new(input: R) -> Self {
        Self { input, hash: Sha256::new() }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

/// Unpacks into the directory's `fs`. Blocks.
pub(super) fn unpack_layer(input: impl Read, directory: &Path, expected: &Expected) -> Result<Unpacked, LayerError> {
    let failed = |source| LayerError::Unpack { diff_id: expected.diff_id.clone(), source };
    let stream = |error| failed(UnpackError::Stream(error));
    let mut blob = Hashing::new(input);
    let (draft, diff_id) = {
        let mut content = Hashing::new(decompress(&mut blob).map_err(stream)?);
        let draft = unpack(&mut content, &directory.join("fs"));
        (draft, content.hash.finalize())
    };
    // A damaged stream mostly fails to parse; that it is damaged says more than where that showed.
    if draft.is_ok() || expected.blob.is_some() {
        io::copy(&mut blob, &mut io::sink()).map_err(stream)?;
    }
    if let Some(wanted) = &expected.blob {
        let found = Digest::from_hash(&blob.hash.finalize());
        if found != *wanted {
            return Err(LayerError::Digest { expected: wanted.clone(), found });
        }
    }
    let draft = draft.map_err(failed)?;
    let found = Digest::from_hash(&diff_id);
    if found != expected.diff_id {
        return Err(LayerError::DiffId { expected: expected.diff_id.clone(), found });
    }
    Ok(Unpacked { directory: directory.to_owned(), draft })
}

/// Completes the layers of an image from the bottom; those that are none are in the store already. Blocks.
pub(super) fn stack(
    store: &Store,
    _ingest: &Ingest,
    chain: &[Digest],
    diff_ids: &[Digest],
    layers: Vec<Option<Unpacked>>,
) -> Result<Vec<NewLayer>, LayerError> {
    let mut below: Vec<PathBuf> = Vec::new();
    let mut finished = Vec::new();
    for ((chain, diff_id), layer) in chain.iter().zip(diff_ids).zip(layers) {
        let fs = match layer {
            None => store.layer_fs(chain),
            Some(Unpacked { directory, draft }) => {
                let fs = directory.join("fs");
                let usage =
                    draft.finish(&below).map_err(|source| LayerError::Unpack { diff_id: diff_id.clone(), source })?;
                finished.push(NewLayer { chain: chain.clone(), directory, diff_id: diff_id.clone(), usage });
                fs
            }
        };
        below.insert(0, fs);
    }
    Ok(finished)
}
