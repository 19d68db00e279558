//! The fake image store: every image exists unless a test says otherwise.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use component_base::Clock;
use parking_lot::Mutex;

use crate::{FilesystemUsage, Image, ImageConfig, ImageError, ImageRef, ImageService, PullProgress, PullRequest};

/// How a pull fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullFailure {
    /// The registry does not have it.
    NotFound,
    /// The login is refused.
    Unauthorized,
    /// The registry can't be reached.
    Unavailable,
}

/// What the registry has under a name.
#[derive(Debug, Clone)]
pub struct FakeImage {
    /// How long a pull takes.
    pub latency: Duration,
    /// Bytes on disk.
    pub size_bytes: u64,
    /// What the image says.
    pub config: ImageConfig,
    /// How the next pulls fail, in order; then they succeed.
    pub failures: VecDeque<PullFailure>,
    /// Every pull fails so, for ever.
    pub always: Option<PullFailure>,
}

impl Default for FakeImage {
    fn default() -> Self {
        let config = ImageConfig { entrypoint: vec!["/app".into()], ..ImageConfig::default() };
        Self { latency: Duration::ZERO, size_bytes: 10 << 20, config, failures: VecDeque::new(), always: None }
    }
}

#[derive(Debug, Default)]
struct State {
    registry: BTreeMap<String, FakeImage>,
    /// By the name that was pulled.
    local: BTreeMap<String, Image>,
    pulls: u64,
}

/// The image store in memory.
#[derive(Debug)]
pub struct FakeImages {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl FakeImages {
    /// An empty store in front of a registry that has everything.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Sets what the registry has under `name`.
    pub fn publish(&self, name: &str, image: FakeImage) {
        self.state.lock().registry.insert(name.into(), image);
    }

    /// How many transfers were begun.
    pub fn pulls(&self) -> u64 {
        self.state.lock().pulls
    }

    pub(super) fn find(&self, image: &str) -> Option<Image> {
        let state = self.state.lock();
        state.local.get(image).or_else(|| state.local.values().find(|local| names(local, image))).cloned()
    }
}

fn names(image: &Image, name: &str) -> bool {
    image.id == name || image.repo_digests.iter().chain(&image.repo_tags).any(|known| known == name)
}

/// A digest that depends on the name only: FNV-1a, four times over, as hexadecimal.
fn digest(name: &str) -> String {
    let word = |salt: u64| {
        name.bytes()
            .fold(0xcbf2_9ce4_8422_2325 ^ salt, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    };
    format!("sha256:{:016x}{:016x}{:016x}{:016x}", word(1), word(2), word(3), word(4))
}

#[async_trait]
impl ImageService for FakeImages {
    async fn pull(&self, request: PullRequest) -> Result<ImageRef, ImageError> {
        let name = request.image;
        if name.is_empty() || name.contains(char::is_whitespace) || name.chars().any(char::is_uppercase) {
            return Err(ImageError::InvalidName { image: name, message: "invalid reference format".into() });
        }
        let (image, failure) = {
            let mut state = self.state.lock();
            state.pulls += 1;
            let image = state.registry.entry(name.clone()).or_default();
            let failure = image.failures.pop_front().or(image.always);
            (image.clone(), failure)
        };
        tokio::time::sleep(image.latency).await;
        match failure {
            None => {}
            Some(PullFailure::NotFound) => {
                return Err(ImageError::NotFound { image: name, message: "not found".into() });
            }
            Some(PullFailure::Unauthorized) => {
                return Err(ImageError::Unauthorized {
                    image: name,
                    message: "failed to authorize: 401 Unauthorized".into(),
                });
            }
            Some(PullFailure::Unavailable) => {
                return Err(ImageError::RegistryUnavailable {
                    image: name,
                    message: "failed to do request: connection refused".into(),
                });
            }
        }
        if let Some(progress) = request.progress {
            let done = image.size_bytes;
            progress.send_replace(PullProgress {
                done_bytes: done,
                total_bytes: done,
                layers_done: 1,
                layers_total: 1,
            });
        }
        let id = digest(&name);
        let repository = name.split('@').next().unwrap_or(&name);
        let repository = match repository.rsplit_once(':') {
            Some((before, tag)) if !tag.contains('/') => before,
            _ => repository,
        };
        let digest_ref = format!("{repository}@{id}");
        let local = Image {
            id: id.clone(),
            repo_tags: if name.contains('@') { vec![] } else { vec![name.clone()] },
            repo_digests: vec![digest_ref.clone()],
            size_bytes: image.size_bytes,
            pinned: false,
            config: image.config,
            pulled_at: Some(self.clock.now()),
        };
        self.state.lock().local.insert(name, local);
        Ok(ImageRef { id, digest_ref })
    }

    async fn status(&self, image: &str) -> Result<Option<Image>, ImageError> {
        Ok(self.find(image))
    }

    async fn list(&self) -> Result<Vec<Image>, ImageError> {
        Ok(self.state.lock().local.values().cloned().collect())
    }

    async fn remove(&self, image: &str) -> Result<(), ImageError> {
        self.state.lock().local.retain(|_, local| !names(local, image));
        Ok(())
    }

    async fn fs_info(&self) -> Result<FilesystemUsage, ImageError> {
        let state = self.state.lock();
        let used_bytes = state.local.values().map(|image| image.size_bytes).sum();
        Ok(FilesystemUsage { used_bytes, inodes_used: state.local.len() as u64 })
    }
}
