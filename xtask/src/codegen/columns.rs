//! The columns of every resource's Table, from what upstream's server publishes.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// Writes `crates/registry/src/columns.txt` from the documents in `reference`: a line a resource, words separated by
/// tabs: the resource, then `name|type|format|priority` for each column.
pub(crate) fn generate(reference: &Path, repository: &Path) -> Result<()> {
    let source = reference.join("table-columns.json");
    let bytes = std::fs::read(&source).with_context(|| format!("failed to read {}", source.display()))?;
    let tables: Value =
        serde_json::from_slice(&bytes).with_context(|| format!("failed to parse {}", source.display()))?;
    let mut out = String::new();
    for (resource, columns) in tables.as_object().context("the tables are an object")? {
        out.push_str(resource);
        for column in columns.as_array().into_iter().flatten() {
            let word = |key: &str| column[key].as_str().unwrap_or_default().to_owned();
            let _ = write!(out, "\t{}|{}|{}|{}", word("name"), word("type"), word("format"), column["priority"]);
        }
        out.push('\n');
    }
    let path = repository.join("crates/registry/src/columns.txt");
    std::fs::write(&path, out).with_context(|| format!("failed to write {}", path.display()))
}
