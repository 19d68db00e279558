//! `skiff demo --load-only`: the tutorial's two images, made from this very executable, so that the tutorial works without
//! a registry.

use std::process::ExitCode;

use anyhow::{Context, Result};

use super::image::open_store;
use super::need_root;
use crate::printer;

/// The names that the tutorial uses, and what the application answers under them.
const IMAGES: [(&str, &str); 2] =
    [("gcr.io/google-samples/kubernetes-bootcamp:v1", "v1"), ("docker.io/jocatalin/kubernetes-bootcamp:v2", "v2")];

pub(crate) fn run() -> Result<ExitCode> {
    need_root()?;
    let executable = std::env::current_exe().context("failed to find skiff's own executable")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let store = open_store()?;
        for (name, version) in IMAGES {
            let (config, files) = sample_app::image_files(&executable, version)
                .with_context(|| format!("failed to read {}", executable.display()))?;
            store.import_files(name, config, files).await?;
            printer::line(format!("loaded {name}: skiff's own sample application, not the registry's image"));
        }
        Ok(ExitCode::SUCCESS)
    })
}
