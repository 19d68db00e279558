//! Pulling: manifest, configuration, then all missing layers side by side, unpacked while they arrive.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use component_base::{Supervisor, Task};
use cri::{Auth, ImageError, ImageRef, PullProgress, Reference};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::http::HttpError;
use super::layer::{Expected, LayerError, Unpacked, stack, unpack_layer};
use super::registry::{RegistryError, Repository};
use super::spec::{Configuration, Descriptor, Digest, Manifest, Platform, chain_ids};
use super::store::{Ingest, NameRecord, Publication, Store, StoreError};
use super::{Inner, image_record};

/// Layers of one image in transfer at the same time; containerd's `max_concurrent_downloads` is 3, and one more hides the last layer's unpacking.
pub(super) const LAYERS_AT_ONCE_MAX: usize = 4;
/// An index may name another index, not more.
const INDEX_DEPTH_MAX: usize = 2;
/// Layers in an image: overlayfs takes 500, Docker makes at most 127.
const LAYERS_MAX: usize = 128;
/// Pieces of a layer between the network and its unpacking, of about 16 KiB each.
const PIECES_MAX: usize = 64;
/// A transfer that stands still is broken.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// A broken transfer goes on where it stopped, so often.
const RESUMES_MAX: u32 = 5;
/// Before the n-th resumption: n times this.
const RESUME_DELAY: Duration = Duration::from_millis(300);

/// What went wrong in which step.
#[derive(Debug, thiserror::Error)]
enum PullError {
    #[error("failed to resolve reference {reference:?}: {source}")]
    Resolve { reference: String, source: RegistryError },
    #[error("failed to copy: {0}")]
    Copy(RegistryError),
    #[error("no match for platform in manifest: not found")]
    NoPlatform,
    /// Another layer failed, and says why.
    #[error("stopped")]
    Stopped,
    #[error("{0}")]
    Malformed(String),
    #[error(transparent)]
    Layer(#[from] LayerError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PullError {
    fn into_image_error(self, image: &str) -> ImageError {
        let (image, message) = (image.to_owned(), self.to_string());
        match self {
            Self::Resolve { source, .. } | Self::Copy(source) => match source {
                RegistryError::NotFound { .. } => ImageError::NotFound { image, message },
                RegistryError::Denied { .. } | RegistryError::Token { .. } => {
                    ImageError::Unauthorized { image, message }
                }
                RegistryError::Status { status, .. } if matches!(status.as_u16(), 401 | 403) => {
                    ImageError::Unauthorized { image, message }
                }
                RegistryError::Http(_) | RegistryError::Status { .. } => {
                    ImageError::RegistryUnavailable { image, message }
                }
                RegistryError::Content(_) => ImageError::Corrupt { image, message },
            },
            Self::NoPlatform => ImageError::NotFound { image, message },
            Self::Layer(LayerError::Store(error)) | Self::Store(error) => {
                ImageError::Store { operation: error.operation, message: error.source.to_string() }
            }
            Self::Malformed(_) | Self::Layer(_) | Self::Stopped => ImageError::Corrupt { image, message },
        }
    }
}

/// Pulls under way, by image and credentials: who asks for the same waits for the same.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<FlightKey, Weak<Flight>>>);

type FlightKey = (String, Option<Auth>);

/// Ends when nobody waits for it any more.
#[derive(Debug)]
struct Flight {
    result: watch::Receiver<Option<Result<ImageRef, ImageError>>>,
    progress: watch::Receiver<PullProgress>,
    task: Task<()>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Pulls, or joins a pull of the same image.
pub(super) async fn pull(
    inner: &Arc<Inner>,
    reference: Reference,
    auth: Option<Auth>,
    progress: Option<watch::Sender<PullProgress>>,
) -> Result<ImageRef, ImageError> {
    let key = (reference.to_string(), auth.clone());
    let flight = {
        let mut flights = inner.flights.0.lock();
        flights.retain(|_, flight| flight.strong_count() > 0);
        match flights.get(&key).and_then(Weak::upgrade) {
            Some(flight) => flight,
            None => {
                let flight = Arc::new(start(inner, reference, auth));
                flights.insert(key, Arc::downgrade(&flight));
                flight
            }
        }
    };
    let mut result = flight.result.clone();
    let mut latest = flight.progress.clone();
    loop {
        if let Some(progress) = &progress {
            progress.send_replace(*latest.borrow_and_update());
        }
        if let Some(result) = &*result.borrow_and_update() {
            return result.clone();
        }
        tokio::select! {
            changed = result.changed() => if changed.is_err() {
                let message = "the pull ended without a result".into();
                return Err(ImageError::Store { operation: "pull the image".into(), message });
            },
            Ok(()) = latest.changed(), if progress.is_some() => {}
        }
    }
}

fn start(inner: &Arc<Inner>, reference: Reference, auth: Option<Auth>) -> Flight {
    let (result_sender, result) = watch::channel(None);
    let (progress_sender, progress) = watch::channel(PullProgress::default());
    let inner_of_task = inner.clone();
    let task = inner.supervisor.spawn("pull-image", async move {
        let image = reference.to_string();
        let pull = Pull { inner: inner_of_task, reference, auth, progress: Arc::new(progress_sender) };
        let result = pull.run().await.map_err(|error| error.into_image_error(&image));
        result_sender.send_replace(Some(result));
    });
    Flight { result, progress, task }
}

struct Pull {
    inner: Arc<Inner>,
    reference: Reference,
    auth: Option<Auth>,
    progress: Arc<watch::Sender<PullProgress>>,
}

/// An image that was found, down to the layers.
struct Plan {
    repository: Arc<Repository>,
    /// What the name means: an index or a manifest.
    top: Digest,
    manifest: (Digest, Bytes),
    layers: Vec<Descriptor>,
    config: (Digest, Bytes),
    configuration: Configuration,
}

impl Pull {
    async fn run(self) -> Result<ImageRef, PullError> {
        let plan = self.plan().await?;
        let (store, supervisor) = (self.inner.store.clone(), &self.inner.supervisor);
        let chain = chain_ids(&plan.configuration.rootfs.diff_ids);
        // Another process may be pulling the same: then there is nothing left to do after it.
        let top = plan.top.clone();
        let waiting = store.clone();
        let _lock = blocking(supervisor, move || waiting.pull_lock(&top)).await??;
        let uses = chain.clone();
        let (ingest, present) = {
            let store = store.clone();
            blocking(supervisor, move || {
                let ingest = store.ingest(&uses)?;
                let present: Vec<bool> = uses.iter().map(|chain| store.has_layer(chain)).collect();
                Ok::<_, StoreError>((Arc::new(ingest), present))
            })
            .await??
        };
        let layers = self.transfer(&plan, &ingest, &present).await?;
        let names = names(&self.reference, &plan.top);
        let now = self.inner.clock.now();
        let id = plan.config.0.clone();
        let digest_ref = format!("{}@{}", self.reference.repository(), plan.top);
        let finishing = store.clone();
        blocking(supervisor, move || {
            let diff_ids = &plan.configuration.rootfs.diff_ids;
            let layers = stack(&finishing, &ingest, &chain, diff_ids, layers)?;
            let image = image_record(
                &finishing,
                plan.config.0.clone(),
                &chain,
                &layers,
                Some(plan.manifest.0.clone()),
                plan.configuration.config.clone().into(),
            );
            let named = |name| NameRecord { name, image: plan.config.0.clone(), pinned: false, at: now };
            let blobs = [&plan.manifest, &plan.config].map(|(digest, bytes)| (digest.clone(), bytes.to_vec())).into();
            finishing.publish(&Publication { image, names: names.into_iter().map(named).collect(), layers, blobs })?;
            Ok::<_, PullError>(())
        })
        .await??;
        self.inner.sync_later();
        Ok(ImageRef { id: id.to_string(), digest_ref })
    }

    async fn plan(&self) -> Result<Plan, PullError> {
        let reference = self.reference.to_string();
        let resolved = self.inner.client.resolve(&self.reference, self.auth.as_ref()).await;
        let (repository, mut fetched) = resolved.map_err(|source| PullError::Resolve { reference, source })?;
        let top = fetched.digest.clone();
        let mut depth = 0;
        let (config, layers) = loop {
            match Manifest::parse(&fetched.bytes, &fetched.content_type).map_err(PullError::Malformed)? {
                Manifest::Image { config, layers } => break (config, layers),
                Manifest::Index { manifests } => {
                    depth += 1;
                    if depth > INDEX_DEPTH_MAX {
                        return Err(PullError::Malformed("an index in an index in an index".into()));
                    }
                    let chosen = Platform::current().choose(&manifests).ok_or(PullError::NoPlatform)?.digest.clone();
                    fetched = repository.manifest_by_digest(&chosen).await.map_err(PullError::Copy)?;
                }
            }
        };
        let config_bytes = repository.config(&config.digest).await.map_err(PullError::Copy)?;
        let configuration: Configuration = serde_json::from_slice(&config_bytes)
            .map_err(|error| PullError::Malformed(format!("invalid image configuration {}: {error}", config.digest)))?;
        check(&layers, &configuration)?;
        Ok(Plan {
            repository: Arc::new(repository),
            top,
            manifest: (fetched.digest, fetched.bytes),
            layers,
            config: (config.digest, config_bytes),
            configuration,
        })
    }

    /// All layers that are not there, side by side. The first failure ends the others, and all have ended when this returns.
    async fn transfer(
        &self,
        plan: &Plan,
        ingest: &Arc<Ingest>,
        present: &[bool],
    ) -> Result<Vec<Option<Unpacked>>, PullError> {
        let missing = || plan.layers.iter().zip(present).filter(|(_, present)| !**present).map(|(layer, _)| layer);
        self.progress.send_replace(PullProgress {
            done_bytes: 0,
            total_bytes: missing().map(|layer| layer.size).sum(),
            layers_done: (plan.layers.len() - missing().count()) as u32,
            layers_total: plan.layers.len() as u32,
        });
        let at_once = Semaphore::new(LAYERS_AT_ONCE_MAX);
        let stop = CancellationToken::new();
        let transfers = plan.layers.iter().zip(&plan.configuration.rootfs.diff_ids).zip(present).enumerate();
        let transfers = transfers.map(|(index, ((layer, diff_id), present))| {
            let (at_once, stop) = (&at_once, &stop);
            let transfer = async move {
                if *present {
                    return Ok(None);
                }
                let _permit = at_once.acquire().await.expect("it is never closed");
                if stop.is_cancelled() {
                    return Err(PullError::Stopped);
                }
                let directory = ingest.new_layer(index)?;
                let expected = Expected { blob: Some(layer.digest.clone()), diff_id: diff_id.clone() };
                let (sender, pieces) = mpsc::channel(PIECES_MAX);
                let held = ingest.clone();
                let unpacking = blocking(&self.inner.supervisor, move || {
                    let _held = held;
                    unpack_layer(Pieces { receiver: pieces, rest: Bytes::new(), ended: false }, &directory, &expected)
                });
                // When it stops, the sender goes, and with it the unpacking.
                let feeding = stop.run_until_cancelled(self.feed(&plan.repository, layer, sender));
                let (fed, unpacked) = tokio::join!(feeding, unpacking);
                let fed = fed.unwrap_or(Err(PullError::Stopped));
                // If the transfer failed, the unpacking failed by that.
                fed?;
                let unpacked = unpacked??;
                self.progress.send_modify(|progress| progress.layers_done += 1);
                Ok::<_, PullError>(Some(unpacked))
            };
            async move {
                let result = transfer.await;
                if result.is_err() {
                    stop.cancel();
                }
                result
            }
        });
        let mut unpacked = Vec::with_capacity(plan.layers.len());
        let mut failure = None;
        for result in futures_util::future::join_all(transfers).await {
            match result {
                Ok(layer) => unpacked.push(layer),
                Err(error) if failure.is_none() || matches!(failure, Some(PullError::Stopped)) => failure = Some(error),
                Err(_) => {}
            }
        }
        match failure {
            None => Ok(unpacked),
            Some(error) => Err(error),
        }
    }

    /// Hands a layer's bytes over. A transfer that breaks off goes on where it stopped.
    async fn feed(
        &self,
        repository: &Repository,
        layer: &Descriptor,
        sender: mpsc::Sender<Option<Bytes>>,
    ) -> Result<(), PullError> {
        let mut received = 0;
        let mut resumes = 0;
        loop {
            let before = received;
            match self.feed_from(repository, layer, &sender, &mut received).await {
                Ok(()) => return Ok(()),
                Err(RegistryError::Http(_) | RegistryError::Status { .. }) if resumes < RESUMES_MAX => {
                    // Whoever makes progress may go on for ever.
                    resumes = if received > before { 1 } else { resumes + 1 };
                    sleep(RESUME_DELAY * resumes).await;
                }
                Err(error) => return Err(PullError::Copy(error)),
            }
        }
    }

    async fn feed_from(
        &self,
        repository: &Repository,
        layer: &Descriptor,
        sender: &mpsc::Sender<Option<Bytes>>,
        received: &mut u64,
    ) -> Result<(), RegistryError> {
        let broken = |reason: String| {
            RegistryError::Http(HttpError::Unreachable { method: "Get", url: layer.digest.to_string(), reason })
        };
        let (response, partial) = repository.blob(&layer.digest, *received).await?;
        let mut skip = if partial { 0 } else { *received };
        let mut body = response.into_body();
        loop {
            let frame = match timeout(STALL_TIMEOUT, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(broken(super::http::hyper_text(&error))),
                Ok(None) => break,
                Err(_) => return Err(broken("timeout while reading the layer".into())),
            };
            let Ok(mut piece) = frame.into_data() else { continue };
            let skipped = skip.min(piece.len() as u64);
            let piece = piece.split_off(skipped as usize);
            skip -= skipped;
            *received += piece.len() as u64;
            if *received > layer.size {
                let what = format!("layer {} is larger than the {} bytes its manifest says", layer.digest, layer.size);
                return Err(RegistryError::Content(what));
            }
            self.progress.send_modify(|progress| progress.done_bytes += piece.len() as u64);
            if sender.send(Some(piece)).await.is_err() {
                // The unpacking failed, and says why.
                return Ok(());
            }
        }
        if *received < layer.size {
            return Err(broken("unexpected EOF".into()));
        }
        let _ = sender.send(None).await;
        Ok(())
    }
}

fn check(layers: &[Descriptor], configuration: &Configuration) -> Result<(), PullError> {
    if layers.len() > LAYERS_MAX {
        return Err(PullError::Malformed(format!("the image has {} layers, more than {LAYERS_MAX}", layers.len())));
    }
    let diff_ids = configuration.rootfs.diff_ids.len();
    if layers.len() != diff_ids {
        let what = format!("mismatched image rootfs and manifest layers: {diff_ids} and {}", layers.len());
        return Err(PullError::Malformed(what));
    }
    match layers.iter().find(|layer| layer.is_foreign()) {
        Some(layer) => Err(PullError::Malformed(format!(
            "layer {} is not held by registries ({})",
            layer.digest, layer.media_type
        ))),
        None => Ok(()),
    }
}

/// The names that a pull gives an image: with a digest, the tag says nothing.
fn names(reference: &Reference, top: &Digest) -> Vec<String> {
    let by_digest = format!("{}@{top}", reference.repository());
    match (&reference.tag, &reference.digest) {
        (Some(tag), None) => vec![format!("{}:{tag}", reference.repository()), by_digest],
        _ => vec![by_digest],
    }
}

async fn blocking<T: Send + 'static>(
    supervisor: &Supervisor,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    let panicked = || StoreError { operation: "pull the image".into(), source: io::Error::other("a thread panicked") };
    supervisor.blocking(work).await.ok_or_else(panicked)
}

/// The blocking end of a transfer.
struct Pieces {
    receiver: mpsc::Receiver<Option<Bytes>>,
    rest: Bytes,
    ended: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Some(piece)) => self.rest = piece,
                Some(None) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the transfer was broken off")),
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

/// Used by loading and building, too.
pub(super) fn store_error(error: StoreError) -> ImageError {
    ImageError::Store { operation: error.operation, message: error.source.to_string() }
}

/// What an image's layers take that were there already, and those that are new.
pub(super) fn size_of(store: &Store, chain: &[Digest], new: &[super::store::NewLayer]) -> u64 {
    let layer = |chain: &Digest| {
        let new = new.iter().find(|layer| layer.chain == *chain).map(|layer| layer.usage);
        new.or_else(|| store.layer_usage(chain)).unwrap_or_default().bytes
    };
    chain.iter().map(layer).sum()
}
