//! Takes the descriptions of types and fields out of the doc comments of `k8s-openapi`, which the workspace depends on
//! anyway, so that OpenAPI and `kubectl explain` have them and no copy of them is kept here.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

/// The version of the API whose descriptions are taken.
const VERSION: &str = "src/v1_37";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    let root = sources()?.join(VERSION);
    let mut files = Vec::new();
    find(&root, &mut files)?;
    files.sort();
    let mut text = String::new();
    for file in files {
        let module = file.strip_prefix(&root)?.parent().unwrap_or(Path::new(""));
        let module =
            module.to_string_lossy().replace('/', ".").replace("apiextensions_apiserver", "apiextensions-apiserver");
        let module =
            module.replace("kube_aggregator", "kube-aggregator").replace("storagemigration_", "storagemigration.");
        describe(&module, &fs::read_to_string(&file)?, &mut text);
    }
    let out = Path::new(&std::env::var("OUT_DIR")?).join("descriptions.gz");
    let mut encoder = GzEncoder::new(fs::File::create(out)?, Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()?;
    Ok(())
}

/// Where cargo keeps the sources of `k8s-openapi`.
#[allow(clippy::disallowed_methods, reason = "a build script asks cargo by a process")]
fn sources() -> Result<PathBuf, Box<dyn Error>> {
    let cargo = std::env::var("CARGO")?;
    let manifest = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let output = std::process::Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &std::env::var("TARGET")?])
        .arg("--manifest-path")
        .arg(manifest)
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    let package = packages.iter().find(|package| package["name"] == "k8s-openapi");
    let manifest = package.and_then(|package| package["manifest_path"].as_str()).ok_or("k8s-openapi is not there")?;
    Ok(Path::new(manifest).parent().ok_or("a manifest lies in a folder")?.to_owned())
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Writes a line for the struct of a file, and one with a leading tab for each of its fields.
fn describe(module: &str, source: &str, out: &mut String) {
    let mut names = BTreeMap::new();
    for line in source.lines() {
        if let Some((json, rest)) = line.trim().strip_prefix('"').and_then(|rest| rest.split_once("\" => Field::Key_"))
        {
            names.insert(rest.trim_end_matches(','), json);
        }
    }
    let (mut comment, mut inside) = (Vec::new(), false);
    for line in source.lines() {
        let trimmed = line.trim();
        if let Some(text) = trimmed.strip_prefix("///") {
            comment.push(text.strip_prefix(' ').unwrap_or(text));
            continue;
        }
        if let Some(name) = trimmed.strip_prefix("pub struct ").map(|rest| rest.trim_end_matches([' ', '{', ';'])) {
            let name = name.split('(').next().unwrap_or(name);
            let _ = writeln!(out, "io.k8s.{module}.{name}\t{}", escaped(&comment));
            inside = line.ends_with('{');
        } else if line == "}" && inside {
            break;
        } else if let Some((field, _)) = trimmed.strip_prefix("pub ").and_then(|rest| rest.split_once(':'))
            && inside
            && let Some(json) = names.get(field.trim_start_matches("r#"))
        {
            let _ = writeln!(out, "\t{json}\t{}", escaped(&comment));
        }
        if !trimmed.starts_with("#[") {
            comment.clear();
        }
    }
}

fn escaped(comment: &[&str]) -> String {
    comment.join("\n").trim().replace('\\', "\\\\").replace('\n', "\\n").replace('\t', " ")
}
