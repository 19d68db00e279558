//! Images from archives and from memory.

use std::fs;
use std::io::Cursor;

use cri::{ImageConfig, ImageError, ImageService};
use serde_json::json;

use super::registry::{Compression, OCI, TestImage, compress};
use super::{TestDirectory, is_empty, open};
use crate::RootfsProvider;
use crate::images::spec::Digest;
use crate::images::unpack::tests::Layer;
use crate::images::{FileContent, FileEntry, LoadedImage};

fn image() -> TestImage {
    TestImage::new(
        OCI,
        vec![
            (Layer::new().file("base", "base"), Compression::Gzip),
            (Layer::new().file("top", "top"), Compression::None),
        ],
    )
}

fn archive(members: &[(&str, &[u8])], links: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, *content).expect("memory");
    }
    for (name, target) in links {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, name, target).expect("memory");
    }
    archive.into_inner().expect("memory")
}

/// As `docker save` wrote it for years: layers before the list, a layer that is a link.
fn saved(image: &TestImage) -> Vec<u8> {
    let list =
        json!([{"Config": "c.json", "RepoTags": ["app:1", "quay.io/a/b:2"], "Layers": ["1/layer.tar", "2/layer.tar"]}]);
    let list = list.to_string();
    let members = [
        ("./1/layer.tar", &image.layers[0][..]),
        ("3/layer.tar", &image.layers[1]),
        ("c.json", &image.config),
        ("manifest.json", list.as_bytes()),
    ];
    archive(&members, &[("2/layer.tar", "../3/layer.tar")])
}

fn layout(image: &TestImage, annotations: &serde_json::Value) -> Vec<u8> {
    let path = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": OCI, "digest": image.digest(), "size": image.manifest.len(), "annotations": annotations,
    }]});
    let mut members = vec![
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion": "1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), index.to_string().into_bytes()),
    ];
    for blob in image.layers.iter().chain([&image.config, &image.manifest]) {
        members.push((path(blob), blob.clone()));
    }
    let members: Vec<_> = members.iter().map(|(name, content)| (&name[..], &content[..])).collect();
    archive(&members, &[])
}

#[tokio::test]
async fn what_docker_saved_is_loaded() {
    let image = image();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let directory = TestDirectory::new();
        let store = open(&directory);
        let loaded = store.load(Cursor::new(compress(&saved(&image), compression))).await.expect("it loads");
        let names = vec!["docker.io/library/app:1".to_owned(), "quay.io/a/b:2".to_owned()];
        assert_eq!(loaded, [LoadedImage { id: image.id(), names: names.clone() }]);
        let status = store.status("app:1").await.expect("it reads").expect("it is there");
        assert_eq!((status.pinned, status.repo_tags, status.repo_digests), (true, names, vec![]));
        let rootfs = store.hold("quay.io/a/b:2", "c").await.expect("it reads").expect("it is there");
        assert_eq!(fs::read_to_string(rootfs.lowers[0].join("top")).expect("unpacked"), "top");
        assert_eq!(fs::read_to_string(rootfs.lowers[1].join("base")).expect("unpacked"), "base");
        store.release("c").await.expect("it is held");
        store.remove("app:1").await.expect("nobody needs it");
        assert!(store.status("quay.io/a/b:2").await.expect("it reads").is_some(), "the other name stays");
        store.remove("quay.io/a/b:2").await.expect("nobody needs it");
        assert!(is_empty(&directory));
    }
}

#[tokio::test]
async fn an_oci_layout_is_loaded() {
    let image = image();
    let directory = TestDirectory::new();
    let store = open(&directory);
    let named =
        layout(&image, &json!({"io.containerd.image.name": "quay.io/a/b:2", "org.opencontainers.image.ref.name": "2"}));
    let loaded = store.load(Cursor::new(named)).await.expect("it loads");
    assert_eq!(loaded, [LoadedImage { id: image.id(), names: vec!["quay.io/a/b:2".into()] }]);
    let status = store.status("quay.io/a/b:2").await.expect("it reads").expect("it is there");
    assert_eq!(status.repo_digests, [format!("quay.io/a/b@{}", image.digest())]);
    store.remove(&image.id()).await.expect("nobody needs it");
    // Without a name, by its id.
    let loaded = store
        .load(Cursor::new(layout(&image, &json!({"org.opencontainers.image.ref.name": "2"}))))
        .await
        .expect("it loads");
    assert_eq!(loaded, [LoadedImage { id: image.id(), names: vec![] }]);
    let status = store.status(&image.id()).await.expect("it reads").expect("it is there");
    assert_eq!((status.pinned, status.repo_tags.len()), (true, 0));
    store.remove(&image.id()).await.expect("nobody needs it");
    assert!(is_empty(&directory));
}

#[tokio::test]
async fn broken_archives_are_refused_and_leave_nothing() {
    let directory = TestDirectory::new();
    let store = open(&directory);
    let image = image();
    let mut damaged = layout(&image, &json!({}));
    let at = damaged.windows(4).position(|bytes| bytes == b"topp" || bytes == b"top\0").expect("the layer is plain");
    damaged[at] ^= 1;
    let list = |layers: &str| format!(r#"[{{"Config": "c.json", "RepoTags": ["app:1"], "Layers": [{layers}]}}]"#);
    let with_list = |list: &str| archive(&[("c.json", &image.config), ("manifest.json", list.as_bytes())], &[]);
    for (archive, expected) in [
        (b"no archive at all".repeat(100), "it is no tar archive: "),
        (archive(&[("x", b"y")], &[]), "it has neither manifest.json nor index.json, so it is no archive of images"),
        (archive(&[("manifest.json", b"{")], &[]), "manifest.json is malformed: "),
        (archive(&[("manifest.json", b"[]")], &[]), "it holds no image"),
        (with_list(&list("\"a\"")), "has 1 layers, its configuration says 2"),
        (with_list(&list("\"../../etc/passwd\", \"b\"")), "it names \"../../etc/passwd\" but does not hold it"),
        (damaged, "unexpected commit digest"),
    ] {
        let error = store.load(Cursor::new(archive)).await.expect_err("it is broken");
        assert!(
            matches!(error, ImageError::Store { .. }) && error.to_string().contains(expected),
            "{error}, not {expected}"
        );
        assert!(error.to_string().starts_with("failed to load the archive: "), "{error}");
        assert!(is_empty(&directory), "{expected}");
    }
}

#[tokio::test]
async fn an_image_is_made_from_files() {
    let directory = TestDirectory::new();
    let store = open(&directory);
    let file = |path: &str, mode, content| FileEntry { path: path.into(), mode, uid: 1, gid: 2, content };
    let files = vec![
        file("/bin/app", 0o755, FileContent::File("#!/bin/sh".into())),
        file("srv", 0o750, FileContent::Directory),
        file("srv/link", 0o777, FileContent::Symlink("/bin/app".into())),
    ];
    let config = ImageConfig {
        entrypoint: vec!["/bin/app".into()],
        exposed_ports: vec!["80/tcp".into()],
        ..ImageConfig::default()
    };
    let id = store.import_files("skiff.local/hello:1", config.clone(), files.clone()).await.expect("it is made");
    assert_eq!(store.import_files("skiff.local/hello:1", config.clone(), files).await.expect("again"), id);
    let status = store.status("skiff.local/hello:1").await.expect("it reads").expect("it is there");
    assert_eq!((status.id, status.pinned, status.config, status.repo_digests.len()), (id, true, config, 1));
    let rootfs = store.hold("skiff.local/hello:1", "c").await.expect("it reads").expect("it is there");
    let app = rootfs.lowers[0].join("bin/app");
    use std::os::unix::fs::MetadataExt;
    let metadata = app.metadata().expect("it exists");
    assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid(), metadata.mtime()), (0o755, 1, 2, 0));
    assert_eq!(fs::read_link(rootfs.lowers[0].join("srv/link")).expect("a link"), std::path::Path::new("/bin/app"));
    let error = store.import_files("Bad", ImageConfig::default(), vec![]).await.expect_err("upper case");
    assert!(matches!(error, ImageError::InvalidName { .. }));
}
