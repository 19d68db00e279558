//! The two folders that are compared, and the program that does it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use component_base::Random;
use serde_json::Value;

use crate::error::KubectlError;

/// Names another program than `diff`, with its flags.
const PROGRAM: &str = "KUBECTL_EXTERNAL_DIFF";

/// The objects as they are and as they would be. They go with this.
#[derive(Debug)]
pub(super) struct Folders {
    live: PathBuf,
    merged: PathBuf,
}

impl Drop for Folders {
    fn drop(&mut self) {
        for folder in [&self.live, &self.merged] {
            // Nobody can be told, and upstream tells nobody.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

impl Folders {
    /// Makes both, empty.
    pub(super) fn create() -> Result<Self, KubectlError> {
        let random = Random::from_system();
        let folder = |name: &str| std::env::temp_dir().join(format!("{name}-{}", random.name_suffix(10)));
        let folders = Self { live: folder("LIVE"), merged: folder("MERGED") };
        for folder in [&folders.live, &folders.merged] {
            // Objects may hold secrets: nobody else may read them.
            let made = DirBuilder::new().mode(0o700).create(folder);
            made.map_err(|error| KubectlError::new(format!("mkdir {}: {error}", folder.display())))?;
        }
        Ok(folders)
    }

    /// Writes both versions of an object; an empty file where it is not there.
    pub(super) fn write(&self, name: &str, live: Option<&Value>, merged: &Value) -> Result<(), KubectlError> {
        write(&self.live.join(name), &live.map(apimachinery::yaml::to_yaml).unwrap_or_default())?;
        write(&self.merged.join(name), &apimachinery::yaml::to_yaml(merged))
    }

    /// Runs the program, and tells whether there are differences. It writes to the user's terminal by itself.
    pub(super) fn compare(&self) -> Result<bool, KubectlError> {
        let folders = [&self.live, &self.merged].map(|folder| folder.display().to_string());
        let (program, arguments) = program(&std::env::var(PROGRAM).unwrap_or_default(), folders);
        let failed = |why: &dyn std::fmt::Display| KubectlError::new(format!("failed to run {program:?}: {why}"));
        let ended = Command::new(&program).args(&arguments).stdin(Stdio::null()).status();
        let status = ended.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed(&"executable file not found in $PATH"),
            _ => failed(&error),
        })?;
        match status.code() {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(code) => Err(failed(&format_args!("exit status {code}"))),
            None => Err(failed(&status)),
        }
    }
}

/// The program and its arguments. Of the flags that the user names only those of letters, digits, dashes and equal signs
/// are taken; they stand behind the folders, as upstream has them.
fn program(external: &str, folders: [String; 2]) -> (String, Vec<String>) {
    if external.is_empty() {
        let flags = ["-u", "-N"].map(str::to_owned);
        return ("diff".to_owned(), flags.into_iter().chain(folders).collect());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '=');
    let mut words = external.split(' ').map(str::to_owned);
    let program = words.next().unwrap_or_default();
    let flags = words.filter(|word| !word.is_empty() && word.chars().all(plain));
    (program, folders.into_iter().chain(flags).collect())
}

fn write(path: &Path, text: &str) -> Result<(), KubectlError> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| KubectlError::new(format!("open {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_and_its_flags() {
        let shown = |external: &str| {
            let (program, flags) = program(external, ["a", "b"].map(str::to_owned));
            format!("{program} {}", flags.join(" "))
        };
        assert_eq!(shown(""), "diff -u -N a b");
        assert_eq!(shown("meld"), "meld a b");
        assert_eq!(shown("colordiff -N -u --color=always ;rm $(x)"), "colordiff a b -N -u --color=always");
    }
}
