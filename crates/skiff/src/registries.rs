//! Mirrors and logins of registries, from `registries.yaml` in skiff's directory (the format is k3s').

use std::io;

use anyhow::{Context, Result};
use container_runtime::Registries;

use crate::cluster::home;

/// What the file says; nothing, if there is none.
pub(crate) fn load() -> Result<Registries> {
    let path = home().join("registries.yaml");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Registries::default()),
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
    };
    Registries::parse(&text, &|file| std::fs::read(file)).with_context(|| format!("{} can't be used", path.display()))
}
