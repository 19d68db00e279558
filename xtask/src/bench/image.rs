//! The image whose Pods are measured: one static program, in the form that `docker save` writes.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};

/// Its name. It is loaded and never pulled.
pub(crate) const IMAGE: &str = "skiff.test/sample:v1";

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn add(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    archive.append_data(&mut header, path, bytes).with_context(|| format!("failed to write {path} to the archive"))
}

/// An archive whose containers run `program serve 1`.
pub(crate) fn archive(program: &Path) -> Result<Vec<u8>> {
    let program = std::fs::read(program).with_context(|| format!("failed to read {}", program.display()))?;
    let mut layer = tar::Builder::new(Vec::new());
    add(&mut layer, "app", 0o755, &program)?;
    let layer = layer.into_inner().context("failed to end the layer")?;
    let config = json!({
        "architecture": match std::env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
        "os": "linux",
        "config": {"Entrypoint": ["/app"], "Cmd": ["serve", "1"], "Env": ["PATH=/"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", digest(&layer))]},
        "history": [],
    })
    .to_string();
    let config_name = format!("{}.json", digest(config.as_bytes()));
    let manifest = json!([{"Config": config_name, "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]).to_string();
    let mut archive = tar::Builder::new(Vec::new());
    add(&mut archive, &config_name, 0o644, config.as_bytes())?;
    add(&mut archive, "layer.tar", 0o644, &layer)?;
    add(&mut archive, "manifest.json", 0o644, manifest.as_bytes())?;
    archive.into_inner().context("failed to end the archive")
}
