//! `skiff image`: the images of this machine, which all its clusters share.

use std::fs::File;
use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use component_base::{Supervisor, SystemClock};
use container_runtime::{ImageStore, ImageStoreConfig, LocalSockets, TcpDial};
use cri::ImageService;

use super::need_root;
use crate::cli::ImageCommand;
use crate::cluster::{home, images_directory};
use crate::{printer, registries};

/// The machine's images. Call it inside tokio.
pub(crate) fn open_store() -> Result<ImageStore> {
    let config = ImageStoreConfig {
        root: images_directory(&home()),
        registries: registries::load()?,
        dial: Arc::new(TcpDial::new(Arc::new(LocalSockets))),
        clock: Arc::new(SystemClock),
        supervisor: Supervisor::new(),
        owner: "command-line".to_owned(),
    };
    Ok(ImageStore::open(config)?)
}

pub(crate) fn run(command: ImageCommand) -> Result<ExitCode> {
    need_root()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let store = open_store()?;
        match command {
            ImageCommand::Load { file } => {
                let source =
                    if file.as_os_str() == "-" { "standard input".to_owned() } else { file.display().to_string() };
                let archive: Box<dyn Read + Send> = if file.as_os_str() == "-" {
                    Box::new(std::io::stdin())
                } else {
                    Box::new(File::open(&file).with_context(|| format!("failed to open {}", file.display()))?)
                };
                let loaded = store.load(archive).await;
                for image in loaded.with_context(|| format!("failed to load {source}"))? {
                    printer::line(format!("loaded {}", image.names.join(", ")));
                }
            }
            ImageCommand::Ls => {
                let mut rows = vec![["IMAGE", "ID", "SIZE"].map(str::to_owned)];
                for image in store.list().await? {
                    let id = format!("{:.12}", image.id.trim_start_matches("sha256:"));
                    for name in image.repo_tags.iter().chain(image.repo_tags.is_empty().then_some(&image.id)) {
                        rows.push([name.clone(), id.clone(), image.size_bytes.to_string()]);
                    }
                }
                let width = rows.iter().map(|[name, ..]| name.len()).max().unwrap_or_default();
                for [name, id, size] in rows {
                    printer::line(format!("{name:<width$}  {id:<12}  {size}"));
                }
            }
            ImageCommand::Rm { image } => {
                if store.status(&image).await?.is_none() {
                    bail!("there is no image {image:?}; `skiff image ls` lists those that are");
                }
                store.remove(&image).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}
