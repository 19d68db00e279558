//! The directories of volumes: in the cluster's own directory, which `skiff stop` keeps and `skiff delete` removes. The
//! node sees them under the same path.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use component_base::Supervisor;
use controllers::VolumeDirectories;

/// Anybody may write into a volume: who may is its Pods' matter.
const MODE: u32 = 0o777;

/// The directories of this cluster's one node.
#[derive(Debug)]
pub(crate) struct NodeVolumes {
    pub(crate) node: String,
    pub(crate) root: PathBuf,
    pub(crate) supervisor: Supervisor,
}

impl NodeVolumes {
    async fn blocking<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Path) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let directory = self.root.join(name);
        let done = self.supervisor.blocking(move || work(&directory)).await;
        done.unwrap_or_else(|| Err(format!("the work on volume {name} panicked")))
    }
}

#[async_trait]
impl VolumeDirectories for NodeVolumes {
    fn has(&self, node: &str) -> bool {
        node == self.node
    }

    async fn create(&self, _node: &str, name: &str) -> Result<String, String> {
        self.blocking(name, |directory| {
            let failed = |error| format!("failed to create {}: {error}", directory.display());
            fs::create_dir_all(directory).map_err(failed)?;
            fs::set_permissions(directory, Permissions::from_mode(MODE)).map_err(failed)?;
            Ok(directory.display().to_string())
        })
        .await
    }

    async fn remove(&self, _node: &str, name: &str) -> Result<(), String> {
        self.blocking(name, |directory| {
            let mounts = fs::read_to_string("/proc/self/mountinfo")
                .map_err(|error| format!("failed to read /proc/self/mountinfo: {error}"))?;
            // A Pod with mount propagation may have left one, behind which there is somebody else's data.
            if let Some(mount) = mounted_within(&mounts, directory) {
                return Err(format!(
                    "{} is mounted in the volume; unmount it, then the volume is deleted",
                    mount.display()
                ));
            }
            match fs::remove_dir_all(directory) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    Err(format!("failed to remove {}: {error}", directory.display()))
                }
                _ => Ok(()),
            }
        })
        .await
    }
}

/// What is mounted on or below a directory, by the lines of `/proc/self/mountinfo`.
fn mounted_within(mounts: &str, directory: &Path) -> Option<PathBuf> {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| PathBuf::from(unescaped(point)));
    points.into_iter().find(|point| point.starts_with(directory))
}

/// The kernel writes spaces, tabs, line ends and backslashes as three octal digits.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests;
