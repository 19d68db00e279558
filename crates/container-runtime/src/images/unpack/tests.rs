//! Layers as archives make them; these tests need root, as unpacking does.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::{OPAQUE_XATTR, UnpackError, unpack};
use crate::images::tests::TestDirectory;

/// A tar archive, entry by entry.
pub(crate) struct Layer(Builder<Vec<u8>>);

impl Layer {
    pub(crate) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn header(kind: EntryType, mode: u32) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(3);
        header.set_gid(4);
        header.set_mtime(1_000_000_000);
        header.set_size(0);
        header
    }

    /// Paths are written as they are: the builder would refuse those that leave the archive.
    fn raw(mut self, kind: EntryType, path: &str, mode: u32, content: &[u8], link: &str) -> Self {
        let mut header = Self::header(kind, mode);
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.append(&header, content).expect("memory");
        self
    }

    pub(crate) fn file(self, path: &str, content: &str) -> Self {
        self.raw(EntryType::Regular, path, 0o644, content.as_bytes(), "")
    }

    pub(crate) fn mode(self, path: &str, mode: u32) -> Self {
        self.raw(EntryType::Regular, path, mode, b"x", "")
    }

    pub(crate) fn directory(self, path: &str, mode: u32) -> Self {
        self.raw(EntryType::Directory, path, mode, b"", "")
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.raw(EntryType::Symlink, path, 0o777, b"", target)
    }

    fn link(self, path: &str, target: &str) -> Self {
        self.raw(EntryType::Link, path, 0o644, b"", target)
    }

    fn pax(mut self, pairs: &[(&str, &[u8])]) -> Self {
        self.0.append_pax_extensions(pairs.iter().copied()).expect("memory");
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("memory")
    }

    /// Unpacks on top of these layers, the topmost first.
    fn unpack(self, name: &str, directory: &TestDirectory, parents: &[&Path]) -> Result<PathBuf, UnpackError> {
        let root = directory.path().join(name);
        fs::create_dir(&root).expect("a test directory");
        let parents: Vec<PathBuf> = parents.iter().map(|parent| parent.to_path_buf()).collect();
        unpack(&self.bytes()[..], &root)?.finish(&parents)?;
        Ok(root)
    }
}

fn is_whiteout(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_char_device() && metadata.rdev() == 0)
}

fn is_opaque(path: &Path) -> bool {
    super::view::is_opaque(path).expect("it exists")
}

fn text(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn files_keep_what_their_entries_say() {
    let directory = TestDirectory::new();
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let root = Layer::new()
        .directory("./", 0o711)
        .directory("./etc/", 0o750)
        .file("./etc/hosts", "localhost")
        .mode("/bin/su", 0o4755)
        .symlink("etc/link", "/etc/hosts")
        .raw(EntryType::Fifo, "pipe", 0o622, b"", "")
        .pax(&[
            ("uid", b"3000000"),
            ("gid", b"3000001"),
            ("mtime", b"-1.25"),
            ("SCHILY.xattr.security.capability", &capability),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ])
        .mode("bin/ping", 0o755)
        .link("bin/ping6", "bin/ping")
        .unpack("layer", &directory, &[])
        .expect("it unpacks");
    let metadata = |path: &str| root.join(path).symlink_metadata().expect("it exists");
    assert_eq!(metadata("").mode() & 0o7777, 0o711);
    assert_eq!((metadata("etc").mode() & 0o7777, metadata("etc").mtime()), (0o750, 1_000_000_000));
    assert_eq!(text(root.join("etc/hosts")), "localhost");
    let su = metadata("bin/su");
    assert_eq!((su.uid(), su.gid(), su.mode() & 0o7777, su.mtime()), (3, 4, 0o4755, 1_000_000_000));
    let link = metadata("etc/link");
    assert_eq!(
        (link.uid(), link.mtime(), fs::read_link(root.join("etc/link")).expect("a link")),
        (3, 1_000_000_000, "/etc/hosts".into())
    );
    assert!(metadata("pipe").file_type().is_fifo());
    assert_eq!(metadata("pipe").mode() & 0o7777, 0o622);
    let ping = metadata("bin/ping");
    assert_eq!((ping.uid(), ping.gid(), ping.mtime(), ping.mtime_nsec()), (3_000_000, 3_000_001, -2, 750_000_000));
    assert_eq!(metadata("bin/ping6").ino(), ping.ino());
    let mut value = [0; 64];
    let count = rustix::fs::getxattr(root.join("bin/ping"), "security.capability", &mut value[..]).expect("it is set");
    assert_eq!(&value[..count], capability);
    assert!(
        rustix::fs::getxattr(root.join("bin/ping"), OPAQUE_XATTR, &mut value[..]).is_err(),
        "overlayfs is not for images"
    );
}

#[test]
fn whiteouts_hide_only_what_is_below() {
    let directory = TestDirectory::new();
    let root = Layer::new()
        .file(".wh.gone", "")
        .directory("opaque", 0o755)
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/own", "x")
        .file("a/.wh.b", "")
        // Hidden and made anew, in both orders.
        .file(".wh.first", "")
        .directory("first", 0o755)
        .directory("second", 0o755)
        .file(".wh.second", "")
        .file(".wh.file", "")
        .file("file", "new")
        .file("other", "new")
        .file(".wh.other", "")
        .file(".wh..wh.plnk", "")
        // Something below a name that was hidden.
        .file(".wh.deep", "")
        .file("deep/er/file", "x")
        .unpack("layer", &directory, &[])
        .expect("it unpacks");
    assert!(is_whiteout(&root.join("gone")) && is_whiteout(&root.join("a/b")));
    for path in ["opaque", "first", "second", "deep"] {
        assert!(is_opaque(&root.join(path)), "{path}");
    }
    assert!(!is_opaque(&root.join("a")));
    assert_eq!(
        (text(root.join("opaque/own")), text(root.join("file")), text(root.join("other"))),
        ("x".into(), "new".into(), "new".into())
    );
    let names: Vec<_> =
        fs::read_dir(&root).expect("it exists").map(|entry| entry.expect("it exists").file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().starts_with(".wh.")), "{names:?}");
}

#[test]
fn nothing_leaves_the_layer() {
    let directory = TestDirectory::new();
    fs::write(directory.path().join("victim"), "untouched").expect("a test directory");
    let outside = directory.path().display().to_string();
    let root = Layer::new()
        .symlink("up", "../../..")
        .symlink("absolute", &outside)
        .symlink("proc", "/proc/self/root")
        .file("up/victim", "1")
        .file("absolute/victim", "2")
        .file(&format!("up{outside}/other"), "3")
        .link("absolute/stolen", "victim")
        .unpack("layer", &directory, &[])
        .expect("links are resolved in the layer");
    assert_eq!(text(directory.path().join("victim")), "untouched");
    assert!(!directory.path().join("other").exists() && !directory.path().join("stolen").exists());
    assert_eq!(text(root.join("victim")), "1");
    let inside = root.join(outside.trim_start_matches('/'));
    assert_eq!((text(inside.join("victim")), text(inside.join("other"))), ("2".into(), "3".into()));
    assert_eq!(text(inside.join("stolen")), "1");

    let error = |name: &str, layer: Layer| layer.unpack(name, &directory, &[]).expect_err("refused").to_string();
    assert_eq!(
        error("a", Layer::new().file("a/../../b", "")),
        r#"invalid entry "a/../../b": it leaves the layer by "..""#
    );
    assert_eq!(error("b", Layer::new().link("a", "../b")), r#"invalid entry "../b": it leaves the layer by "..""#);
    assert_eq!(error("c", Layer::new().link("a", "b")), r#"invalid entry "a": a hard link to b, which does not exist"#);
    assert_eq!(
        error("d", Layer::new().symlink("a", "b").symlink("b", "a").file("a/c", "")),
        r#"invalid entry "a": too many levels of symbolic links"#
    );
    assert_eq!(error("e", Layer::new().file("a", "").file("a/b", "")), r#"invalid entry "a": a is not a directory"#);
    assert!(error("f", Layer::new().raw(EntryType::new(b'Z'), "a", 0o644, b"", "")).contains("unknown entry type"));
    let cut = Layer::new().file("a", "some content").bytes();
    let root = directory.path().join("g");
    fs::create_dir(&root).expect("a test directory");
    assert!(matches!(unpack(&cut[..600], &root), Err(UnpackError::Stream(_))));
}

#[test]
fn later_entries_replace_earlier_ones() {
    let directory = TestDirectory::new();
    let root = Layer::new()
        .file("a", "1")
        .file("a", "2")
        .directory("b", 0o755)
        .file("b/c", "x")
        .symlink("b", "elsewhere")
        .symlink("d", "a")
        .directory("d", 0o700)
        .file("d/e", "x")
        .directory("d", 0o711)
        .file("f/g/h", "x")
        .file("f", "file")
        .unpack("layer", &directory, &[])
        .expect("it unpacks");
    assert_eq!((text(root.join("a")), text(root.join("f"))), ("2".into(), "file".into()));
    assert_eq!(fs::read_link(root.join("b")).expect("a link"), Path::new("elsewhere"));
    assert_eq!(root.join("d").symlink_metadata().expect("it exists").mode() & 0o7777, 0o711);
    assert_eq!(text(root.join("d/e")), "x");
}

#[test]
fn directories_that_nobody_describes_are_those_below() {
    let directory = TestDirectory::new();
    let bottom = Layer::new()
        .directory("tmp", 0o1777)
        .directory("var", 0o700)
        .directory("var/lib", 0o2750)
        .unpack("bottom", &directory, &[])
        .expect("it unpacks");
    rustix::fs::setxattr(bottom.join("tmp"), "trusted.test", b"v", rustix::fs::XattrFlags::empty()).expect("root");
    let middle = Layer::new().file("other", "x").unpack("middle", &directory, &[&bottom]).expect("it unpacks");
    let top = Layer::new()
        .file("tmp/file", "x")
        .file("var/lib/x/y", "x")
        .unpack("top", &directory, &[&middle, &bottom])
        .expect("it unpacks");
    let metadata = |path: &str| top.join(path).symlink_metadata().expect("it exists");
    let tmp = metadata("tmp");
    assert_eq!((tmp.mode() & 0o7777, tmp.uid(), tmp.gid(), tmp.mtime()), (0o1777, 3, 4, 1_000_000_000));
    assert_eq!((metadata("var").mode() & 0o7777, metadata("var/lib").mode() & 0o7777), (0o700, 0o2750));
    assert_eq!(metadata("var/lib/x").permissions().mode() & 0o7777, 0o755);
    let mut value = [0; 8];
    let count = rustix::fs::getxattr(top.join("tmp"), "trusted.test", &mut value[..]).expect("it is copied");
    assert_eq!(&value[..count], b"v");
}

#[test]
fn content_behind_a_lower_layers_link_goes_where_it_points() {
    let directory = TestDirectory::new();
    let bottom = Layer::new()
        .directory("usr", 0o755)
        .directory("usr/lib", 0o711)
        .file("usr/lib/old", "old")
        .symlink("lib", "usr/lib")
        .symlink("lib64", "/lib/x86")
        .symlink("chain", "lib64/more")
        .file("usr/lib/linked", "target")
        .unpack("bottom", &directory, &[])
        .expect("it unpacks");
    let top = Layer::new()
        .file("lib/new", "new")
        .file("lib/deep/er", "deep")
        .file("lib/.wh.old", "")
        .file("lib64/x", "64")
        .file("chain/y", "chained")
        .file("usr/lib/direct", "direct")
        .link("lib/copy", "lib/linked")
        .link("again", "lib/copy")
        .unpack("top", &directory, &[&bottom])
        .expect("it unpacks");
    assert!(!top.join("lib").exists() && !top.join("lib64").exists() && !top.join("chain").exists());
    for (path, content) in [
        ("usr/lib/new", "new"),
        ("usr/lib/deep/er", "deep"),
        ("usr/lib/x86/x", "64"),
        ("usr/lib/x86/more/y", "chained"),
        ("usr/lib/direct", "direct"),
        ("usr/lib/copy", "target"),
        ("again", "target"),
    ] {
        assert_eq!(text(top.join(path)), content, "{path}");
    }
    assert!(is_whiteout(&top.join("usr/lib/old")));
    assert_eq!(top.join("usr/lib").symlink_metadata().expect("it exists").mode() & 0o7777, 0o711);
    // A directory that is described replaces the link.
    let other = Layer::new()
        .directory("lib", 0o755)
        .file("lib/new", "new")
        .unpack("other", &directory, &[&bottom])
        .expect("it unpacks");
    assert_eq!(text(other.join("lib/new")), "new");
    assert!(!other.join("usr").exists());
    // What is hidden in between is not there.
    let hidden = Layer::new().file(".wh.lib", "").unpack("hidden", &directory, &[&bottom]).expect("it unpacks");
    let above =
        Layer::new().file("lib/new", "new").unpack("above", &directory, &[&hidden, &bottom]).expect("it unpacks");
    assert_eq!(text(above.join("lib/new")), "new");
    let error = Layer::new().link("a", "lib/linked").unpack("error", &directory, &[&hidden, &bottom]);
    assert!(error.expect_err("it is hidden").to_string().ends_with("which does not exist"));
}

#[test]
fn times_may_be_before_1970() {
    for (text, expected) in [
        ("0", Some((0, 0))),
        ("12.5", Some((12, 500_000_000))),
        ("1.0000000019", Some((1, 1))),
        ("-1", Some((-1, 0))),
        ("-1.25", Some((-2, 750_000_000))),
        ("-0.5", Some((-1, 500_000_000))),
        ("x", None),
        ("1.x", None),
    ] {
        assert_eq!(super::parse_time(text), expected, "{text}");
    }
}
