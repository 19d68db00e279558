use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{VolumeFile, check_host_path, write_atomically};

fn file(text: &str) -> VolumeFile {
    VolumeFile { content: text.as_bytes().to_vec(), mode: 0o640 }
}

#[test]
fn files_change_together_and_old_ones_go() {
    let directory = std::env::temp_dir().join(format!("skiff-volume-{}", std::process::id()));
    let first = BTreeMap::from([("a".to_owned(), file("1")), ("d/b".to_owned(), file("1"))]);
    write_atomically(&directory, &first, None, 1).unwrap();
    assert_eq!(std::fs::read_to_string(directory.join("d/b")).unwrap(), "1");
    let mode = std::fs::metadata(directory.join("a")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let second = BTreeMap::from([("a".to_owned(), file("2"))]);
    write_atomically(&directory, &second, None, 2).unwrap();
    assert_eq!(std::fs::read_to_string(directory.join("a")).unwrap(), "2");
    assert!(!directory.join("d").exists() && !directory.join("..1").exists());
    write_atomically(&directory, &second, None, 3).unwrap();
    assert!(!directory.join("..3").exists(), "the same content writes nothing");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_host_path_that_can_not_be_made_is_named() {
    let said = |path: &str, kind: &str| check_host_path(Path::new(path), kind).unwrap_err().to_string();
    let file = said("/no/such/file", "FileOrCreate");
    assert_eq!(file, "open /no/such/file: no such file or directory");
    assert_eq!(said("/no/such", "Directory"), "hostPath type check failed: /no/such is not a directory");
}
