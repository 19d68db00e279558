//! The tutorial's two images: from their registries, or else made from this very executable.

use std::time::Duration;

use anyhow::{Context, Result};
use container_runtime::ImageStore;
use cri::{ImageService, PullProgress, PullRequest};
use tokio::sync::watch;

use crate::commands::image::open_store;
use crate::printer;

/// The names that the tutorial uses, and what skiff's own application answers under them.
const IMAGES: [(&str, &str); 2] =
    [("gcr.io/google-samples/kubernetes-bootcamp:v1", "v1"), ("docker.io/jocatalin/kubernetes-bootcamp:v2", "v2")];
/// A pull that gets nothing for so long has no way to its registry.
const PULL_IDLE: Duration = Duration::from_secs(5);

/// Loads skiff's own application under the tutorial's names.
pub(super) fn load() -> Result<()> {
    with_store(async |store| {
        for (name, version) in IMAGES {
            load_one(store, name, version).await?;
        }
        Ok(())
    })
}

/// Pulls the images as far as they are not there, and loads skiff's own where that can't be.
pub(super) fn ensure() -> Result<()> {
    with_store(async |store| {
        for (name, version) in IMAGES {
            if store.status(name).await?.is_some() {
                continue;
            }
            printer::progress(format!("pulling {name} …"));
            match pull(store, name).await {
                Ok(()) => printer::line(format!("pulled {name}")),
                Err(why) => {
                    printer::line(format!("{name} can't be pulled: {why}"));
                    load_one(store, name, version).await?;
                }
            }
        }
        Ok(())
    })
}

fn with_store(work: impl AsyncFnOnce(&ImageStore) -> Result<()>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async { work(&open_store()?).await })
}

/// Pulls an image for as long as something comes.
async fn pull(store: &ImageStore, name: &str) -> Result<(), String> {
    let (sender, mut progress) = watch::channel(PullProgress::default());
    let pulled = store.pull(PullRequest { image: name.to_owned(), auth: None, progress: Some(sender) });
    let stalled = async { while let Ok(Ok(())) = tokio::time::timeout(PULL_IDLE, progress.changed()).await {} };
    tokio::select! {
        result = pulled => result.map(drop).map_err(|error| error.to_string()),
        () = stalled => Err(format!("its registry sent nothing for {} s", PULL_IDLE.as_secs())),
    }
}

async fn load_one(store: &ImageStore, name: &str, version: &str) -> Result<()> {
    let executable = std::env::current_exe().context("failed to find skiff's own executable")?;
    let (config, files) = sample_app::image_files(&executable, version)
        .with_context(|| format!("failed to read {}", executable.display()))?;
    store.import_files(name, config, files).await?;
    printer::line(format!("loaded {name}: skiff's own sample application, not the registry's image"));
    Ok(())
}
