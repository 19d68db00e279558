use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::resolve;

#[test]
fn links_lead_out_of_no_volume() {
    let directory = std::env::temp_dir().join(format!("skiff-sub-path-{}", std::process::id()));
    let volume = directory.join("volume");
    fs::create_dir_all(volume.join("there")).unwrap();
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o777)).unwrap();
    symlink(&directory, volume.join("out")).unwrap();
    symlink("there", volume.join("within")).unwrap();
    symlink("nowhere", volume.join("broken")).unwrap();
    let volume = volume.canonicalize().unwrap();
    assert_eq!(resolve(&volume, "there", true).unwrap(), volume.join("there"));
    assert_eq!(resolve(&volume, "within/a/b", false).unwrap(), volume.join("there/a/b"));
    let mode = fs::metadata(volume.join("there/a/b")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o777, "as open as the volume");
    for sub_path in ["out", "out/new", "within/../out", "broken"] {
        assert!(resolve(&volume, sub_path, false).is_err(), "{sub_path}");
    }
    assert!(!directory.join("new").exists());
    assert!(resolve(&volume, "there/new", true).is_err() && !volume.join("there/new").exists());
    fs::remove_dir_all(&directory).unwrap();
}
