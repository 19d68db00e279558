use cri::ImageConfig;

use super::{Configuration, Descriptor, Digest, Manifest, Platform, chain_ids};

fn digest(byte: u8) -> Digest {
    Digest::of(&[byte])
}

fn platform(text: &str) -> Platform {
    let mut parts = text.split('/').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    Platform { os: next(), architecture: next(), variant: next() }
}

#[test]
fn the_best_platform_is_chosen() {
    let cases = [
        ("linux/amd64", "linux/arm64 linux/amd64", Some(1)),
        ("linux/amd64", "windows/amd64 linux/386", None),
        ("linux/amd64", "unknown/unknown linux/amd64", Some(1)),
        ("linux/arm64/v8", "linux/arm64 linux/arm64/v8", Some(1)),
        ("linux/arm64/v8", "linux/arm/v7 linux/arm64", Some(1)),
        ("linux/arm/v7", "linux/arm/v5 linux/arm/v6 linux/arm/v8", Some(1)),
        ("linux/arm/v7", "linux/arm/v8", None),
    ];
    for (here, offered, expected) in cases {
        let offer = |(i, text): (usize, &str)| Descriptor {
            media_type: String::new(),
            digest: digest(i as u8),
            size: 0,
            platform: Some(platform(text)),
            annotations: Default::default(),
        };
        let offered: Vec<_> = offered.split(' ').enumerate().map(offer).collect();
        let chosen = platform(here).choose(&offered).map(|chosen| chosen.digest.clone());
        assert_eq!(chosen, expected.map(digest), "{here}: {offered:?}");
    }
}

#[test]
fn configurations_are_read_as_go_and_old_tools_write_them() {
    let json = r#"{
        "architecture": "amd64", "os": "linux", "history": [],
        "config": {
            "User": "1000:1000", "ExposedPorts": {"80/tcp": {}}, "Env": ["A=b"], "Entrypoint": "/bin/app", "Cmd": null,
            "Volumes": {"/data": {}}, "WorkingDir": "/", "Labels": null, "StopSignal": "SIGQUIT", "OnBuild": null
        },
        "rootfs": {"type": "layers", "diff_ids": null}
    }"#;
    let configuration: Configuration = serde_json::from_str(json).expect("valid");
    let expected = ImageConfig {
        user: "1000:1000".into(),
        entrypoint: vec!["/bin/app".into()],
        env: vec!["A=b".into()],
        working_dir: "/".into(),
        stop_signal: "SIGQUIT".into(),
        volumes: vec!["/data".into()],
        exposed_ports: vec!["80/tcp".into()],
        ..ImageConfig::default()
    };
    assert_eq!(ImageConfig::from(configuration.config), expected);
    let empty: Configuration = serde_json::from_str(r#"{"config": null}"#).expect("valid");
    assert_eq!(empty, Configuration::default());
    let again = serde_json::to_string(&super::ContainerDefaults::from(expected.clone())).expect("it can be written");
    assert_eq!(ImageConfig::from(serde_json::from_str::<super::ContainerDefaults>(&again).expect("valid")), expected);
}

#[test]
fn what_is_no_manifest_is_named() {
    let cases = [
        ("x", "", "invalid manifest: expected value at line 1 column 1"),
        (
            r#"{"schemaVersion": 1}"#,
            "",
            "the image has a manifest of Docker's schema 1, which is no longer supported; push it again with a current tool",
        ),
        ("{}", "text/plain", "unsupported manifest media type \"text/plain\""),
        (
            r#"{"manifests": [], "config": {"digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}"#,
            "",
            "invalid manifest: it is both an image and an index",
        ),
        (
            r#"{"config": {"digest": "sha256:../x"}}"#,
            "",
            "invalid manifest: unsupported digest \"sha256:../x\" at line 1 column 36",
        ),
    ];
    for (json, content_type, expected) in cases {
        assert_eq!(Manifest::parse(json.as_bytes(), content_type).expect_err("wrong"), expected);
    }
}

#[test]
fn a_layer_on_other_layers_is_another() {
    let (a, b) = (digest(1), digest(2));
    let chain = chain_ids(&[a.clone(), b.clone()]);
    assert_eq!(chain, [a.clone(), Digest::of(format!("{a} {b}").as_bytes())]);
    assert_ne!(chain_ids(&[b.clone(), a]).last(), chain.last());
    assert_eq!(chain_ids(&[]), []);
}
