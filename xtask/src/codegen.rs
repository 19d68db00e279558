//! `cargo xtask codegen …`: tables of facts, generated from the reference documents and checked in.

pub(crate) mod columns;
pub(crate) mod openapi;
pub(crate) mod resources;
pub(crate) mod schemas;

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// A reference document.
fn read(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("failed to parse {}", path.display()))
}
