//! One store for many: pulls at the same time, several processes, holds, removal, crashes.

use std::fs;

use cri::{ImageError, ImageService};

use super::registry::{Compression, Login, OCI, TestImage, TestRegistry};
use super::{TestDirectory, entries, is_empty, open, open_as, request};
use crate::RootfsProvider;
use crate::images::unpack::tests::Layer;

fn image(base: &str, top: &str) -> TestImage {
    let layers = [base, top].map(|content| (Layer::new().file(content, content), Compression::Gzip));
    TestImage::new(OCI, layers.into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls_at_the_same_time_share_the_work() {
    let (registry, directory) = (TestRegistry::start(Login::None).await, TestDirectory::new());
    registry.push("a", "1", &image("base", "top"));
    let name = format!("{}/a:1", registry.address);
    // The second is another process as far as the store can tell: it shares nothing in memory.
    let stores = [open(&directory), open(&directory)];
    let pulls = (0..8).map(|i| stores[i % 2].pull(request(&name)));
    for pulled in futures_util::future::join_all(pulls).await {
        pulled.expect("it is there");
    }
    assert_eq!(registry.count("/manifests/"), 2, "once for each process");
    assert_eq!(registry.count("/blobs/"), 2 + 2, "two layers, and the configuration once for each process");
    assert_eq!(entries(&directory, "layers").len(), 2);
    assert_eq!(entries(&directory, "ingest"), Vec::<String>::new());
}

#[tokio::test]
async fn a_pull_that_nobody_waits_for_ends_and_leaves_nothing() {
    let (registry, directory) = (TestRegistry::start(Login::None).await, TestDirectory::new());
    let image = image("base", "top");
    registry.push("a", "1", &image);
    let layer = crate::images::spec::Digest::of(&image.layers[1]);
    registry.contents.lock().hang.insert(layer.to_string());
    let store = open(&directory);
    let name = format!("{}/a:1", registry.address);
    {
        let mut pull = std::pin::pin!(store.pull(request(&name)));
        // Until the layer that never comes was asked for.
        std::future::poll_fn(|context| {
            assert!(pull.as_mut().poll(context).is_pending());
            context.waker().wake_by_ref();
            match registry.count(&layer.to_string()) {
                0 => std::task::Poll::Pending,
                _ => std::task::Poll::Ready(()),
            }
        })
        .await;
    }
    // Its threads notice that nothing more comes; what they hold goes with the last of them.
    assert!(store.inner.supervisor.drain(std::time::Duration::from_secs(30)).await.is_ok());
    assert!(is_empty(&directory));
}

#[tokio::test]
async fn what_is_held_or_needed_by_others_stays() {
    let (registry, directory) = (TestRegistry::start(Login::None).await, TestDirectory::new());
    let (one, two) = (image("base", "one"), image("base", "two"));
    registry.push("a", "1", &one);
    registry.push("a", "2", &two);
    let (first, second) = (format!("{}/a:1", registry.address), format!("{}/a:2", registry.address));
    let store = open(&directory);
    store.pull(request(&first)).await.expect("it is there");
    store.pull(request(&second)).await.expect("it is there");
    assert_eq!(entries(&directory, "layers").len(), 3, "the base is shared");

    store.hold(&first, "web").await.expect("it reads").expect("it is there");
    let other = open_as(&directory, "", "c2-node");
    let error = other.remove(&first).await.expect_err("another cluster's container needs it");
    assert_eq!(error.to_string(), format!("image \"{first}\" is in use by container c1-node.web"));
    assert!(store.status(&first).await.expect("it reads").is_some());
    // Others let go of their own only.
    other.release("web").await.expect("it holds nothing");
    other.retain(&[]).await.expect("it holds nothing");
    other.forget_owners("c2-").await.expect("they hold nothing");
    store.retain(&["web".into()]).await.expect("it is still there");
    assert_eq!(entries(&directory, "holders"), ["c1-node.web"]);
    store.retain(&["other".into()]).await.expect("the container is gone");
    assert_eq!(entries(&directory, "holders"), Vec::<String>::new());
    store.hold(&first, "web").await.expect("it reads").expect("it is there");
    other.forget_owners("c1-").await.expect("the cluster is gone");
    store.release("web").await.expect("again is fine");
    store.remove(&first).await.expect("nobody needs it");
    store.remove(&first).await.expect("again is fine");
    assert_eq!(store.status(&first).await.expect("it reads"), None);
    assert_eq!((entries(&directory, "layers").len(), entries(&directory, "images").len()), (2, 1));
    let rootfs = store.hold(&second, "c").await.expect("it reads").expect("it is whole");
    assert_eq!(fs::read_to_string(rootfs.lowers[1].join("base")).expect("the base stays"), "base");
    store.release("c").await.expect("it is held");
    store.remove(&two.id()).await.expect("nobody needs it");
    assert!(is_empty(&directory));
    for holder in ["", "../x", ".hidden", "a/b", "a.b"] {
        assert!(matches!(store.hold(&second, holder).await, Err(ImageError::Store { .. })), "{holder:?}");
    }
    assert_eq!(store.hold(&second, "c").await.expect("it reads"), None);
}

#[tokio::test]
async fn a_tag_that_moves_leaves_the_old_image_to_the_collector() {
    let (registry, directory) = (TestRegistry::start(Login::None).await, TestDirectory::new());
    let (old, new) = (image("base", "old"), image("base", "new"));
    let name = format!("{}/a:1", registry.address);
    let store = open(&directory);
    registry.push("a", "1", &old);
    store.pull(request(&name)).await.expect("it is there");
    registry.push("a", "1", &new);
    store.pull(request(&name)).await.expect("it is there");
    assert_eq!(store.status(&name).await.expect("it reads").expect("there").id, new.id());
    let untagged = store.status(&old.id()).await.expect("it reads").expect("there");
    assert_eq!((untagged.repo_tags.len(), untagged.repo_digests.len()), (0, 1));
    // Two tags of one image: the first leaves, the image stays.
    registry.push("a", "2", &new);
    store.pull(request(&format!("{}/a:2", registry.address))).await.expect("it is there");
    store.remove(&name).await.expect("nobody needs it");
    let left = store.status(&new.id()).await.expect("it reads").expect("it has a name left");
    assert_eq!((left.repo_tags, left.repo_digests.len()), (vec![format!("{}/a:2", registry.address)], 1));
}

#[tokio::test]
async fn what_the_disk_had_not_taken_is_dropped_after_a_power_failure() {
    let (registry, directory) = (TestRegistry::start(Login::None).await, TestDirectory::new());
    registry.push("a", "1", &image("base", "lost"));
    registry.push("a", "2", &image("base", "kept"));
    let (lost, kept) = (format!("{}/a:1", registry.address), format!("{}/a:2", registry.address));
    let store = open(&directory);
    let rootfs = {
        store.pull(request(&kept)).await.expect("it is there");
        store.pull(request(&lost)).await.expect("it is there");
        store.hold(&lost, "x").await.expect("it reads").expect("it is there")
    };
    store.release("x").await.expect("it is held");
    assert!(store.inner.supervisor.drain(std::time::Duration::from_secs(30)).await.is_ok(), "the disk takes it");
    drop(store);
    let root = directory.path().join("images");
    let layer = rootfs.lowers[0].parent().expect("it is in a layer's directory");
    assert!(!layer.join("unsynced").exists(), "the disk has taken it");
    // As if the power had failed before: the mark is still there, and a process died in the middle of a pull.
    fs::write(layer.join("unsynced"), "").expect("a test directory");
    fs::create_dir(root.join("ingest/dead")).expect("a test directory");
    // In the same boot nothing is wrong with the layer.
    let store = open(&directory);
    assert!(store.status(&lost).await.expect("it reads").is_some());
    assert_eq!(entries(&directory, "ingest"), Vec::<String>::new());
    drop(store);
    fs::write(root.join("boot"), "another").expect("a test directory");
    let store = open(&directory);
    assert_eq!(store.status(&lost).await.expect("it reads"), None);
    assert!(store.status(&kept).await.expect("it reads").is_some());
    assert_eq!(
        (entries(&directory, "layers").len(), entries(&directory, "images").len(), entries(&directory, "trash").len()),
        (2, 1, 0)
    );
    store.pull(request(&lost)).await.expect("it is pulled again");
}

#[tokio::test]
async fn a_directory_of_somebody_else_is_refused() {
    let directory = TestDirectory::new();
    let root = directory.path().join("images");
    fs::create_dir(&root).expect("a test directory");
    fs::write(root.join("notes.txt"), "").expect("a test directory");
    let open = || super::super::store::Store::open(root.clone()).expect_err("it is not ours").to_string();
    assert_eq!(
        open(),
        format!(
            "failed to open the image store {}: it holds something else (notes.txt); use another directory",
            root.display()
        )
    );
    assert_eq!(fs::read_dir(&root).expect("it exists").count(), 1);
    fs::write(root.join("version"), "skiff image store 2\n").expect("a test directory");
    assert!(open().ends_with("it was made by another version; remove it, or use another directory"));
}
