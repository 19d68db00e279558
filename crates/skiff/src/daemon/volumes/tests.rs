use std::path::{Path, PathBuf};

use super::mounted_within;

#[test]
fn what_is_mounted_in_a_volume_is_found() {
    let mounts = "\
        22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
        23 22 8:1 /x /volumes/pvc-10 rw - ext4 /dev/sda1 rw\n\
        24 22 8:1 /x /volumes/pvc-2/a\\040b rw shared:3 - ext4 /dev/sda1 rw\n";
    let within = |directory: &str| mounted_within(mounts, Path::new(directory));
    assert_eq!(within("/volumes/pvc-1"), None);
    assert_eq!(within("/volumes/pvc-10"), Some(PathBuf::from("/volumes/pvc-10")));
    assert_eq!(within("/volumes/pvc-2"), Some(PathBuf::from("/volumes/pvc-2/a b")));
}
