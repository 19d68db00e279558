//! The image archive that the tests load: one layer with one static program, as `docker save` would write it.

use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

/// The tutorial's images: name and the version that the program tells.
pub(crate) const V1: &str = "gcr.io/google-samples/kubernetes-bootcamp:v1";
/// The one that the tutorial updates to.
pub(crate) const V2: &str = "docker.io/jocatalin/kubernetes-bootcamp:v2";

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn add(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    archive.append_data(&mut header, path, bytes).expect("a tar in memory takes everything");
}

/// An archive with `name`, whose containers run `/app serve VERSION`.
pub(crate) fn archive(program: &Path, name: &str, version: &str) -> Vec<u8> {
    let program = std::fs::read(program).expect("cargo built the sample");
    let mut layer = tar::Builder::new(Vec::new());
    add(&mut layer, "app", 0o755, &program);
    let layer = layer.into_inner().expect("a tar in memory takes everything");
    let config = json!({
        "architecture": match std::env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
        "os": "linux",
        "config": {
            "Entrypoint": ["/app"], "Cmd": ["serve", version],
            "Env": ["PATH=/"], "ExposedPorts": {"8080/tcp": {}},
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", digest(&layer))]},
        "history": [],
    });
    let config = serde_json::to_vec(&config).expect("a value is JSON");
    let config_name = format!("{}.json", digest(&config));
    let manifest = json!([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]);
    let mut archive = tar::Builder::new(Vec::new());
    add(&mut archive, &config_name, 0o644, &config);
    add(&mut archive, "layer.tar", 0o644, &layer);
    add(&mut archive, "manifest.json", 0o644, &serde_json::to_vec(&manifest).expect("a value is JSON"));
    archive.into_inner().expect("a tar in memory takes everything")
}
