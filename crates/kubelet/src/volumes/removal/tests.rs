use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::mount::mount_bind;

use super::{remove, unescape};

fn fresh(name: &str) -> (PathBuf, PathBuf) {
    let directory = std::env::temp_dir().join(format!("skiff-removal-{name}-{}", std::process::id()));
    let (pod, data) = (directory.join("pod with blank"), directory.join("data"));
    fs::create_dir_all(pod.join("volumes/inner/mounted")).unwrap();
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("precious"), b"x").unwrap();
    (pod, data)
}

#[test]
fn what_links_lead_to_stays() {
    let (pod, data) = fresh("link");
    symlink(&data, pod.join("volumes/link")).unwrap();
    remove(&pod).unwrap();
    assert!(!pod.exists() && data.join("precious").exists());
    remove(&pod).unwrap();
    fs::remove_dir_all(data.parent().unwrap()).unwrap();
}

#[test]
fn what_is_mounted_stays() {
    let (pod, data) = fresh("mount");
    let target = pod.join("volumes/inner/mounted");
    if !rustix::process::geteuid().is_root() {
        // Nobody else can mount.
        return;
    }
    mount_bind(&data, &target).unwrap();
    fs::create_dir_all(data.join("deeper")).unwrap();
    mount_bind(&data, target.join("deeper")).unwrap();
    assert!(target.join("deeper/precious").exists());
    remove(&pod).unwrap();
    assert!(!pod.exists() && data.join("precious").exists());
    fs::remove_dir_all(data.parent().unwrap()).unwrap();
}

#[test]
fn a_mount_point_is_read_as_the_kernel_writes_it() {
    assert_eq!(unescape(br"/a\040b\134c"), Path::new(r"/a b\c"));
    assert_eq!(unescape(br"/a\9"), Path::new(r"/a\9"));
}
