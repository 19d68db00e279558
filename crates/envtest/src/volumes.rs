//! Directories of the simulated nodes' volumes. Objects hold their paths, which therefore depend on nothing but the seed and
//! this process; the log as text does not show them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use controllers::VolumeDirectories;
use parking_lot::Mutex;

use crate::directory::volumes_root;

/// The directories of all nodes.
#[derive(Debug)]
pub(crate) struct SimulatedVolumes {
    root: PathBuf,
    /// Those that are there.
    made: Mutex<BTreeSet<PathBuf>>,
}

impl SimulatedVolumes {
    pub(crate) fn new(seed: u64) -> Self {
        Self { root: volumes_root().join(seed.to_string()), made: Mutex::default() }
    }

    /// The names of the directories of `node`.
    pub(crate) fn of(&self, node: &str) -> Vec<String> {
        let of_node = self.root.join(node);
        let made = self.made.lock();
        let names = made.iter().filter_map(|path| path.strip_prefix(&of_node).ok());
        names.map(|name| name.display().to_string()).collect()
    }
}

#[async_trait]
impl VolumeDirectories for SimulatedVolumes {
    fn has(&self, _node: &str) -> bool {
        true
    }

    async fn create(&self, node: &str, name: &str) -> Result<String, String> {
        let path = self.root.join(node).join(name);
        fs::create_dir_all(&path).map_err(|error| error.to_string())?;
        let text = path.display().to_string();
        self.made.lock().insert(path);
        Ok(text)
    }

    async fn remove(&self, node: &str, name: &str) -> Result<(), String> {
        let path = self.root.join(node).join(name);
        self.made.lock().remove(&path);
        // Another run of this seed may have removed it.
        let _ = fs::remove_dir_all(&path);
        Ok(())
    }
}

/// Removes what is left of the directories when it is dropped.
#[derive(Debug)]
pub(crate) struct Cleaner(pub(crate) Arc<SimulatedVolumes>);

impl Drop for Cleaner {
    fn drop(&mut self) {
        let volumes = &self.0;
        for path in volumes.made.lock().iter() {
            let _ = fs::remove_dir_all(path);
        }
        // Those of the nodes, the seed and the process, as far as no other run has something in them.
        let nodes = fs::read_dir(&volumes.root).into_iter().flatten().flatten().map(|entry| entry.path());
        let parents = [volumes.root.as_path(), volumes.root.parent().unwrap_or(Path::new("."))];
        nodes.chain(parents.map(Path::to_owned)).for_each(|path| {
            let _ = fs::remove_dir(path);
        });
    }
}
