//! The store against a registry in this process. These tests need root, as unpacking does.

mod archives;
mod pulls;
mod registry;
mod sharing;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use component_base::{Supervisor, SystemClock};
use cri::{Auth, ImageError, ImageService, PullRequest, Secret};

use super::{ImageStore, ImageStoreConfig, LocalSockets, Registries, TcpDial};

/// A directory that goes with the test.
#[derive(Debug)]
pub(crate) struct TestDirectory(PathBuf);

impl TestDirectory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("skiff-images-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open_with(directory: &TestDirectory, registries: &str) -> ImageStore {
    open_as(directory, registries, "c1-node")
}

fn open_as(directory: &TestDirectory, registries: &str, owner: &str) -> ImageStore {
    let registries = Registries::parse(registries, &|path| fs::read(path)).expect("valid");
    ImageStore::open(ImageStoreConfig {
        root: directory.path().join("images"),
        registries,
        dial: Arc::new(TcpDial::new(Arc::new(LocalSockets))),
        clock: Arc::new(SystemClock),
        supervisor: Supervisor::new(),
        owner: owner.into(),
    })
    .expect("it opens")
}

fn open(directory: &TestDirectory) -> ImageStore {
    open_with(directory, "")
}

fn request(image: &str) -> PullRequest {
    PullRequest { image: image.into(), auth: None, progress: None }
}

fn login(username: &str, password: &str) -> Option<Auth> {
    Some(Auth::Basic { username: username.into(), password: Secret(password.into()) })
}

async fn pull_error(store: &ImageStore, request: PullRequest) -> ImageError {
    store.pull(request).await.expect_err("the pull fails")
}

/// What a folder of the store holds.
fn entries(directory: &TestDirectory, folder: &str) -> Vec<String> {
    let list = fs::read_dir(directory.path().join("images").join(folder)).expect("the store was opened");
    let mut names: Vec<_> = list.map(|entry| entry.expect("it exists").file_name().display().to_string()).collect();
    names.sort();
    names
}

fn is_empty(directory: &TestDirectory) -> bool {
    ["layers", "images", "names", "ingest", "blobs", "trash"]
        .into_iter()
        .all(|folder| entries(directory, folder).is_empty())
}
