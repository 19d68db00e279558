//! Which controller is mounted where.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct V1 {
    /// Its controllers, or `name=…` for one without.
    pub(crate) controllers: Vec<String>,
    /// Where it is mounted.
    pub(crate) mount: PathBuf,
}

/// All hierarchies that this process sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Hierarchies {
    /// v1, in the order of their mounting.
    pub(crate) v1: Vec<V1>,
    /// v2, with the controllers that are not in a v1 hierarchy.
    pub(crate) v2: Option<(PathBuf, Vec<String>)>,
}

impl Hierarchies {
    /// Those of this process' mount namespace.
    pub(crate) fn detect() -> io::Result<Self> {
        let mut found = Self::parse(&fs::read_to_string("/proc/self/mountinfo")?);
        if let Some((mount, controllers)) = &mut found.v2 {
            let text = fs::read_to_string(mount.join("cgroup.controllers"))?;
            *controllers = text.split_whitespace().map(str::to_owned).collect();
        }
        if found.v1.is_empty() && found.v2.is_none() {
            let message = "no cgroup hierarchy is mounted: mount cgroup2 at /sys/fs/cgroup";
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(found)
    }

    /// From the text of a `mountinfo` file. Of several mounts of one hierarchy the last one counts.
    pub(crate) fn parse(mountinfo: &str) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines() {
            let Some((before, after)) = line.split_once(" - ") else { continue };
            let Some(mount) = before.split(' ').nth(4) else { continue };
            let mut after = after.split(' ');
            let (kind, options) = (after.next(), after.nth(1).unwrap_or_default());
            match kind {
                Some("cgroup2") => found.v2 = Some((mount.into(), vec![])),
                Some("cgroup") => {
                    let is_controller = |word: &&str| {
                        let plain =
                            !["rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode"].contains(word);
                        plain && !word.starts_with("release_agent=")
                    };
                    let controllers: Vec<String> =
                        options.split(',').filter(is_controller).map(str::to_owned).collect();
                    found.v1.retain(|other| other.controllers != controllers);
                    found.v1.push(V1 { controllers, mount: mount.into() });
                }
                _ => {}
            }
        }
        found
    }

    /// Mount points that groups are made in, each with whether it is v2. Named v1 hierarchies have no limits and are left
    /// alone, unless there is nothing else.
    pub(crate) fn mounts_with_kind(&self) -> impl Iterator<Item = (&Path, bool)> {
        let v1 = self.v1.iter().filter(|v1| !v1.controllers.iter().any(|name| name.starts_with("name=")));
        v1.map(|v1| (v1.mount.as_path(), false)).chain(self.unified().map(|mount| (mount, true)))
    }

    pub(crate) fn mounts(&self) -> impl Iterator<Item = &Path> {
        self.mounts_with_kind().map(|(mount, _)| mount)
    }

    /// The v2 hierarchy.
    pub(crate) fn unified(&self) -> Option<&Path> {
        self.v2.as_ref().map(|(mount, _)| mount.as_path())
    }

    /// Where a controller is.
    pub(crate) fn mount_of(&self, controller: &str) -> Option<&Path> {
        let v1 = self.v1.iter().find(|v1| v1.controllers.iter().any(|name| name == controller));
        v1.map(|v1| v1.mount.as_path()).or_else(|| self.is_unified(controller).then(|| self.unified()).flatten())
    }

    /// Whether a controller is in the v2 hierarchy. Processor accounting and devices are there without a controller.
    pub(crate) fn is_unified(&self, controller: &str) -> bool {
        let in_v1 = self.v1.iter().any(|v1| v1.controllers.iter().any(|name| name == controller));
        let in_v2 = |(_, controllers): &(PathBuf, Vec<String>)| {
            ["cpuacct", "devices"].contains(&controller) || controllers.iter().any(|name| name == controller)
        };
        !in_v1 && self.v2.as_ref().is_some_and(in_v2)
    }
}
