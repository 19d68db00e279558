use super::Place;
use super::archive::{Extraction, extract, pack};
use super::paths::{base, clean, directory, is_within, join, strip_shortcuts};
use parking_lot::Mutex;
use std::fs;
use std::path::PathBuf;

/// A directory of this test's own, which is gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kubectl-cp-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn places_are_read_as_upstream_reads_them() {
    let parse = |text: &str| Place::parse(text).map(|place| (place.namespace, place.pod, place.path));
    let of = |namespace: &str, pod: &str, path: &str| Ok((namespace.into(), pod.into(), path.into()));
    assert_eq!(parse("a/b/"), of("", "", "a/b"));
    assert_eq!(parse("pod:/x/"), of("", "pod", "/x"));
    assert_eq!(parse("ns/pod:x:y"), of("ns", "pod", "x:y"));
    for wrong in [":/x", "a/b/c:/x"] {
        let text = "filespec must match the canonical format: [[namespace/]pod:]file/path";
        assert_eq!(parse(wrong).unwrap_err().to_string(), text, "{wrong}");
    }
}

#[test]
fn paths_are_go_s() {
    assert_eq!(clean("/a/../../b//c/."), "/b/c");
    assert_eq!(clean("a/../../b"), "../b");
    assert_eq!(clean(""), ".");
    assert_eq!((base("/"), base("a/b/"), base("")), ("/".into(), "b".into(), ".".into()));
    assert_eq!((directory("/a/b"), directory("a"), directory("/a")), ("/a".into(), ".".into(), "/".into()));
    assert_eq!((join("a", "../b"), join("", "x"), join("/", "x")), ("b".into(), "x".into(), "/x".into()));
    assert_eq!((strip_shortcuts("../../a"), strip_shortcuts(".."), strip_shortcuts("/a")), ("a", "", "a"));
    assert!(is_within("/a", "/a/b") && is_within("/", "/x") && is_within(".", "x") && !is_within("/a", "/ab"));
    assert!(!is_within(".", "../x") && !is_within("a", "b"));
}

#[test]
fn what_is_packed_comes_out_again() {
    let scratch = Scratch::new("round");
    fs::create_dir_all(scratch.path("src/empty")).unwrap();
    fs::create_dir_all(scratch.path("src/deep")).unwrap();
    fs::write(scratch.path("src/deep/file"), "content").unwrap();
    std::os::unix::fs::symlink("file", scratch.path("src/deep/link")).unwrap();
    let mut archive = Vec::new();
    pack(&scratch.path("src"), "dst", &mut archive).unwrap();

    let warnings = Mutex::new(Vec::new());
    let plan =
        Extraction { prefix: "dst".into(), destination: scratch.path("out"), symlink_hint: "exec and tar".into() };
    extract(&plan, archive.as_slice(), |text| warnings.lock().push(text)).unwrap();
    assert_eq!(fs::read_to_string(scratch.path("out/deep/file")).unwrap(), "content");
    assert!(fs::metadata(scratch.path("out/empty")).unwrap().is_dir());
    assert!(fs::symlink_metadata(scratch.path("out/deep/link")).is_err(), "links are not made");
    let link = scratch.path("out/deep/link");
    let text = format!("warning: skipping symlink: {link:?} -> \"file\" (consider using \"exec and tar\")");
    assert_eq!(*warnings.lock(), [text]);
}

/// An archive with one file of this name, which the tar crate itself would not write.
fn archive_with(name: &str) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(1);
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, b"x".as_slice()).unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn an_archive_cannot_write_outside_its_destination() {
    let scratch = Scratch::new("outside");
    let plan = Extraction { prefix: "dir".into(), destination: scratch.path("out"), symlink_hint: String::new() };
    let warnings = Mutex::new(Vec::new());
    let run = |name: &str| extract(&plan, archive_with(name).as_slice(), |text| warnings.lock().push(text));
    run("dir/../../evil").unwrap();
    assert!(!fs::exists(scratch.path("evil")).unwrap());
    assert!(warnings.lock()[0].ends_with("is outside target destination, skipping"), "{:?}", warnings.lock());
    assert_eq!(run("other/file").unwrap_err().to_string(), "tar contents corrupted");
}
