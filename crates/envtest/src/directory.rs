//! A directory for the kubelets' files, which goes with the run.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Files in memory, where the machine has them: making and removing a few hundred directories a run is otherwise half of
/// a run's time.
const MEMORY: &str = "/dev/shm";
/// Runs of this process so far: several may go on at once.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// A directory that is removed when this is dropped. Its name never gets into an object or a message.
#[derive(Debug)]
pub(crate) struct RunDirectory {
    path: PathBuf,
}

/// Where this machine has files in memory, or else what may be lost.
fn parent() -> PathBuf {
    let memory = Path::new(MEMORY);
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// A directory for the volumes of all runs of this process.
pub(crate) fn volumes_root() -> PathBuf {
    parent().join(format!("skiff-envtest-{}-volumes", std::process::id()))
}

impl RunDirectory {
    pub(crate) fn new() -> std::io::Result<Self> {
        let run = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent().join(format!("skiff-envtest-{}-{run}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        // What can't be removed is in the system's directory for what may be lost.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
