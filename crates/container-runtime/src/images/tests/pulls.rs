//! Pulling, and what goes wrong with it.

use std::fs;
use std::sync::Arc;

use cri::{Auth, ImageError, ImageService, PullProgress, PullRequest, Secret};
use http::StatusCode;
use tokio::sync::watch;

use super::registry::{Compression, Login, OCI, SCHEMA_2, TestImage, TestRegistry};
use super::{TestDirectory, entries, is_empty, login, open, open_with, pull_error, request};
use crate::RootfsProvider;
use crate::images::spec::Digest;
use crate::images::unpack::tests::Layer;

fn three_layers(media_type: &'static str) -> TestImage {
    TestImage::new(
        media_type,
        vec![
            (
                Layer::new()
                    .directory("usr", 0o755)
                    .directory("usr/lib", 0o711)
                    .symlink("lib", "usr/lib")
                    .file("old", "old"),
                Compression::Gzip,
            ),
            (Layer::new().file("lib/new", &"new".repeat(5000)).file(".wh.old", ""), Compression::Zstd),
            (Layer::new().file("top", "top"), Compression::None),
        ],
    )
}

#[tokio::test]
async fn an_image_for_this_platform_is_pulled_and_unpacked() {
    let (registry, directory) = (TestRegistry::start(Login::None).await, TestDirectory::new());
    let (image, other) = (three_layers(OCI), TestImage::new(OCI, vec![]));
    let here = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let index = registry.push_index("team/app", "1", &[("riscv64", &other), (here, &image)]);
    let store = open(&directory);
    let name = format!("{}/team/app:1", registry.address);
    let (sender, progress) = watch::channel(PullProgress::default());
    let pulled =
        store.pull(PullRequest { image: name.clone(), auth: None, progress: Some(sender) }).await.expect("it is there");
    let by_digest = format!("{}/team/app@{index}", registry.address);
    assert_eq!((&pulled.id, &pulled.digest_ref), (&image.id(), &by_digest));
    let total_bytes = image.layers.iter().map(|layer| layer.len() as u64).sum();
    assert_eq!(
        *progress.borrow(),
        PullProgress { done_bytes: total_bytes, total_bytes, layers_done: 3, layers_total: 3 }
    );

    let rootfs = store.hold(&name, "c1").await.expect("it reads").expect("it is there");
    assert_eq!(rootfs.lowers.len(), 3);
    assert_eq!(fs::read_to_string(rootfs.lowers[0].join("top")).expect("the topmost first"), "top");
    assert_eq!(fs::read_to_string(rootfs.lowers[1].join("usr/lib/new")).expect("behind the link").len(), 15_000);
    assert_eq!(rootfs.config.cmd, ["/app"]);

    for name in [name.as_str(), &by_digest, &image.id(), image.id().trim_start_matches("sha256:")] {
        let status = store.status(name).await.expect("it reads").unwrap_or_else(|| panic!("{name} is there"));
        assert_eq!(status.id, image.id());
        assert_eq!(
            (status.repo_tags, status.repo_digests),
            (vec![format!("{}/team/app:1", registry.address)], vec![by_digest.clone()])
        );
        assert_eq!((status.size_bytes, status.pinned), (15_000 + 6, false));
        assert_eq!(status.config.user, "7");
    }
    assert_eq!(store.list().await.expect("it reads").len(), 1);
    assert_eq!(store.fs_info().await.expect("it reads").used_bytes, 15_006);
    assert_eq!(store.status("nginx").await.expect("it reads"), None);
    assert!(matches!(store.status("UPPER").await, Err(ImageError::InvalidName { .. })));

    // A tag that means the same needs the manifest and the configuration only.
    let blobs = registry.count("/blobs/");
    store.pull(request(&name)).await.expect("it is there");
    assert_eq!(registry.count("/blobs/"), blobs + 1);
    assert_eq!(entries(&directory, "ingest"), Vec::<String>::new());
}

#[tokio::test]
async fn registries_ask_for_logins() {
    let image = three_layers(SCHEMA_2);
    for (wanted, auth) in [
        (Login::Basic, login("user", "secret")),
        (Login::AnonymousToken, None),
        (Login::Token, login("user", "secret")),
        (Login::Token, Some(Auth::IdentityToken(Secret("identity".into())))),
        (Login::Token, Some(Auth::RegistryToken(Secret("t0ken".into())))),
    ] {
        let (registry, directory) = (TestRegistry::start(wanted).await, TestDirectory::new());
        registry.push("a/b", "1", &image);
        let image_name = format!("{}/a/b:1", registry.address);
        let pulled = open(&directory).pull(PullRequest { image: image_name, auth, progress: None }).await;
        assert_eq!(pulled.unwrap_or_else(|error| panic!("{wanted:?}: {error}")).id, image.id());
        assert!(registry.count("/token") <= 1, "a token is kept");
    }
    // The operator's configuration, where the pod has none.
    let (registry, directory) = (TestRegistry::start(Login::Token).await, TestDirectory::new());
    registry.push("a/b", "1", &image);
    let config = format!("configs: {{\"{}\": {{auth: {{username: user, password: secret}}}}}}", registry.address);
    let pulled = open_with(&directory, &config).pull(request(&format!("{}/a/b:1", registry.address))).await;
    assert_eq!(pulled.expect("the configuration has the login").id, image.id());
    assert!(
        registry
            .contents
            .lock()
            .requests
            .iter()
            .any(|request| { request == "GET /token?account=user&service=test&scope=repository%3Aa%2Fb%3Apull" })
    );
}

#[tokio::test]
async fn failures_read_as_users_know_them() {
    let directory = TestDirectory::new();
    let store = open(&directory);
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback").local_addr().expect("bound");
    let (plain, basic, token) = (
        TestRegistry::start(Login::None).await,
        TestRegistry::start(Login::Basic).await,
        TestRegistry::start(Login::Token).await,
    );
    let address = plain.address;
    plain.contents.lock().fail.insert("busy/manifests".into(), StatusCode::TOO_MANY_REQUESTS);
    plain.push_index("foreign", "1", &[("riscv64", &TestImage::new(OCI, vec![]))]);
    let mut schema_1 = TestImage::new(OCI, vec![]);
    schema_1.manifest = br#"{"schemaVersion": 1}"#.to_vec();
    plain.push("old", "1", &schema_1);
    let cases = [
        (format!("{address}/x:1"), None, "NotFound", format!("failed to resolve reference \"{address}/x:1\": {address}/x:1: not found")),
        (
            format!("{closed}/x"),
            None,
            "RegistryUnavailable",
            format!("failed to resolve reference \"{closed}/x:latest\": failed to do request: Get \"http://{closed}/v2/x/manifests/latest\": dial tcp {closed}: connect: connection refused"),
        ),
        (
            format!("{address}/busy"),
            None,
            "RegistryUnavailable",
            format!("failed to resolve reference \"{address}/busy:latest\": unexpected status from GET request to http://{address}/v2/busy/manifests/latest: 429 Too Many Requests: toomanyrequests: slow down"),
        ),
        (
            format!("{}/x", basic.address),
            None,
            "Unauthorized",
            format!("failed to resolve reference \"{}/x:latest\": pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials", basic.address),
        ),
        (
            format!("{}/x", basic.address),
            login("user", "wrong"),
            "Unauthorized",
            format!("failed to resolve reference \"{}/x:latest\": pull access denied, repository does not exist or may require authorization: server message: unauthorized: authorization failed", basic.address),
        ),
        (
            format!("{}/x", token.address),
            login("user", "wrong"),
            "Unauthorized",
            format!("failed to resolve reference \"{0}/x:latest\": failed to authorize: failed to fetch oauth token: unexpected status from GET request to http://{0}/token?account=user&service=test&scope=repository%3Ax%3Apull: 401 Unauthorized", token.address),
        ),
        (format!("{address}/foreign:1"), None, "NotFound", "no match for platform in manifest: not found".to_owned()),
        (
            format!("{address}/old:1"),
            None,
            "Corrupt",
            "the image has a manifest of Docker's schema 1, which is no longer supported; push it again with a current tool".to_owned(),
        ),
    ];
    for (image, auth, variant, expected) in cases {
        let error = pull_error(&store, PullRequest { image: image.clone(), auth, progress: None }).await;
        let full = cri::Reference::parse(&image).expect("valid");
        assert_eq!(error.to_string(), format!("failed to pull and unpack image \"{full}\": {expected}"));
        assert!(format!("{error:?}").starts_with(variant), "{error:?}");
    }
    let error = pull_error(&store, request("Not/valid:?")).await;
    assert_eq!(error.to_string(), "couldn't parse image name \"Not/valid:?\": invalid reference format");
    assert!(is_empty(&directory));
}

#[tokio::test]
async fn what_is_not_what_it_should_be_is_refused_and_leaves_nothing() {
    let (registry, directory) = (TestRegistry::start(Login::None).await, TestDirectory::new());
    let store = open(&directory);
    let image = three_layers(OCI);
    registry.push("a", "1", &image);
    let name = format!("{}/a:1", registry.address);
    let layer = Digest::of(&image.layers[1]);
    let replace = |bytes: Vec<u8>| registry.contents.lock().blobs.insert(layer.to_string(), bytes.into());

    let mut flipped = image.layers[1].clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let found = Digest::of(&flipped);
    replace(flipped);
    let error = pull_error(&store, request(&name)).await;
    assert_eq!(
        error.to_string(),
        format!(
            "failed to pull and unpack image \"{name}\": failed commit on ref \"layer-{layer}\": unexpected commit digest {found}, expected {layer}: failed precondition"
        )
    );
    assert!(matches!(error, ImageError::Corrupt { .. }) && is_empty(&directory));

    let mut longer = image.layers[1].clone();
    longer.push(0);
    replace(longer);
    let error = pull_error(&store, request(&name)).await.to_string();
    assert!(
        error.ends_with(&format!("layer {layer} is larger than the {} bytes its manifest says", image.layers[1].len())),
        "{error}"
    );
    assert!(is_empty(&directory));

    // The layer is as its manifest says, its content not as the configuration says.
    let mut swapped = image.clone();
    swapped.layers.swap(0, 2);
    swapped.manifest = TestImage::manifest_of(OCI, &swapped.config, &swapped.layers);
    registry.push("b", "1", &swapped);
    replace(image.layers[1].clone());
    let error = pull_error(&store, request(&format!("{}/b:1", registry.address))).await.to_string();
    assert!(error.contains("wrong diff id"), "{error}");
    assert!(is_empty(&directory));

    let escaping = TestImage::new(OCI, vec![(Layer::new().file("../x", ""), Compression::Gzip)]);
    registry.push("c", "1", &escaping);
    let error = pull_error(&store, request(&format!("{}/c:1", registry.address))).await.to_string();
    assert!(error.ends_with(r#"invalid entry "../x": it leaves the layer by "..""#), "{error}");
    assert!(is_empty(&directory));

    registry.contents.lock().blobs.insert(image.id(), "{}".into());
    let error = pull_error(&store, request(&name)).await.to_string();
    assert!(error.contains("failed to verify the image's configuration: unexpected digest"), "{error}");
    let wrong = format!("{}/a@{}", registry.address, Digest::of(b"other"));
    assert!(matches!(pull_error(&store, request(&wrong)).await, ImageError::NotFound { .. }));
    assert!(is_empty(&directory));
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_stopped() {
    let (registry, directory) = (TestRegistry::start(Login::None).await, TestDirectory::new());
    // Does not compress, so that the transfer takes several pieces.
    let mut noise = 1_u64;
    let content: String = (0..200_000)
        .map(|_| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b' ' + (noise >> 33) as u8 % 90)
        })
        .collect();
    let image = TestImage::new(OCI, vec![(Layer::new().file("big", &content), Compression::Gzip)]);
    registry.push("a", "1", &image);
    registry.contents.lock().broken = 3;
    let (sender, progress) = watch::channel(PullProgress::default());
    let name = format!("{}/a:1", registry.address);
    let store = open(&directory);
    store
        .pull(PullRequest { image: name.clone(), auth: None, progress: Some(sender) })
        .await
        .expect("it comes through");
    let rootfs = store.hold(&name, "c").await.expect("it reads").expect("it is there");
    assert_eq!(fs::read_to_string(rootfs.lowers[0].join("big")).expect("unpacked"), content);
    let layer = Digest::of(&image.layers[0]);
    assert!(registry.count(&format!("/blobs/{layer}")) >= 3);
    assert_eq!(progress.borrow().done_bytes, image.layers[0].len() as u64, "no byte counts twice");
}

#[tokio::test]
async fn mirrors_are_asked_first() {
    let (mirror, origin, directory) =
        (TestRegistry::start(Login::None).await, TestRegistry::start(Login::None).await, TestDirectory::new());
    let image = three_layers(OCI);
    mirror.push("hub/library/app", "1", &image);
    origin.push("other", "1", &image);
    let config = format!(
        "mirrors: {{docker.io: {{endpoint: [\"http://{0}\"], rewrite: {{\"^(.*)$\": \"hub/$1\"}}}}, \"{1}\": {{endpoint: [\"http://{0}\"]}}}}",
        mirror.address, origin.address
    );
    let store = open_with(&directory, &config);
    let pulled = store.pull(request("app:1")).await.expect("the mirror has it");
    assert_eq!(pulled.digest_ref, format!("docker.io/library/app@{}", image.digest()));
    assert!(mirror.contents.lock().requests[0].ends_with("/v2/hub/library/app/manifests/1?ns=docker.io"));
    // What the mirror does not have, the registry may.
    store.pull(request(&format!("{}/other:1", origin.address))).await.expect("the registry has it");
    assert_eq!((mirror.count("/v2/other/manifests"), origin.count("/v2/other/manifests")), (1, 1));
}

#[tokio::test]
async fn certificates_are_checked() {
    let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the usual versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![key.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).expect("a key"),
        )
        .expect("they fit");
    let registry = TestRegistry::start_with(Login::None, Some(Arc::new(config).into())).await;
    let image = three_layers(OCI);
    registry.push("library/a", "1", &image);
    let directory = TestDirectory::new();
    let port = registry.address.port();
    let mirrors =
        format!("mirrors: {{docker.io: {{endpoint: [\"https://127.0.0.1:{port}\", \"https://127.0.0.1:{port}\"]}}}}\n");
    let nowhere = "configs: {registry-1.docker.io: {tls: {insecure_skip_verify: true}}}";
    let config = format!("mirrors: {{x.invalid: {{endpoint: [\"https://127.0.0.1:{port}\"]}}}}\n");
    let error = pull_error(&open_with(&directory, &config), request("x.invalid/library/a:1")).await.to_string();
    assert!(
        error.ends_with("tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        "{error}"
    );

    let ca = directory.path().join("ca.pem");
    fs::write(&ca, key.cert.pem()).expect("a test directory");
    let trusted = format!("{mirrors}configs: {{\"127.0.0.1:{port}\": {{tls: {{ca_file: {}}}}}}}", ca.display());
    open_with(&directory, &trusted).pull(request("a:1")).await.expect("its authority is known");
    let skipped = format!("{mirrors}configs: {{\"127.0.0.1:{port}\": {{tls: {{insecure_skip_verify: true}}}}}}");
    open_with(&TestDirectory::new(), &skipped).pull(request("a:1")).await.expect("the operator does not care");

    // An insecure registry may also speak no TLS at all.
    let plain = TestRegistry::start(Login::None).await;
    plain.push("library/a", "1", &image);
    let config = format!(
        "mirrors: {{docker.io: {{endpoint: [\"https://{0}\"]}}}}\nconfigs: {{\"{0}\": {{tls: {{insecure_skip_verify: true}}}}}}",
        plain.address
    );
    let fresh = TestDirectory::new();
    open_with(&fresh, &config).pull(request("a:1")).await.expect("plain HTTP is tried");
    let _ = nowhere;
}
