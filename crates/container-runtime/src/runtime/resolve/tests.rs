use cri::{ImageConfig, KeyValue};

use super::*;

fn place() -> Place {
    Place {
        id: "c".into(),
        directory: "/d".into(),
        cgroup: "kubepods/podx/c".into(),
        shm: "/shm".into(),
        hostname: "web-0".into(),
        log_directory: "/logs".into(),
        pid: cri::NamespaceMode::Container,
        files: vec![("/d/resolv.conf".into(), "/etc/resolv.conf"), ("/d/hosts".into(), "/etc/hosts")],
    }
}

fn rootfs() -> Rootfs {
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let config = ImageConfig {
        entrypoint: strings(&["/entry"]),
        cmd: strings(&["a", "b"]),
        env: strings(&["PATH=/bin", "A=image"]),
        working_dir: "/srv".into(),
        user: "web".into(),
        ..ImageConfig::default()
    };
    Rootfs { config, ..Rootfs::default() }
}

fn of(config: &ContainerConfig) -> ContainerSpec {
    resolve(&place(), config, &rootfs(), &[]).expect("resolves").0
}

#[test]
fn command_and_args_replace_as_documented() {
    let argv = |command: &[&str], args: &[&str]| {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        of(&ContainerConfig { command: list(command), args: list(args), ..ContainerConfig::default() })
            .process
            .argv
            .join(" ")
    };
    assert_eq!(argv(&[], &[]), "/entry a b");
    assert_eq!(argv(&["/x"], &[]), "/x");
    assert_eq!(argv(&[], &["c"]), "/entry c");
    assert_eq!(argv(&["/x"], &["c"]), "/x c");
}

#[test]
fn the_pod_overrides_the_image() {
    let envs = vec![KeyValue { key: "A".into(), value: "pod=1".into() }];
    let mut config = ContainerConfig { envs, ..ContainerConfig::default() };
    let spec = of(&config);
    assert_eq!(spec.process.env, ["PATH=/bin", "HOSTNAME=web-0", "A=pod=1"]);
    assert_eq!((spec.process.cwd.as_str(), spec.process.user.user.as_str()), ("/srv", "web"));
    assert_eq!(spec.mounts.len(), 2);
    assert!(spec.process.seccomp.is_none() && spec.masked_paths.len() == MASKED_PATHS.len());
    config.security_context.run_as_user = Some(7);
    config.security_context.masked_paths = Some(vec![]);
    config.security_context.seccomp = SeccompProfile::RuntimeDefault;
    config.working_dir = Some("/w".into());
    config.mounts = vec![Mount { host_path: "/h".into(), container_path: "/etc/hosts".into(), ..Mount::default() }];
    let spec = of(&config);
    assert_eq!((spec.process.cwd.as_str(), spec.process.user.user.as_str()), ("/w", "7"));
    assert_eq!(spec.mounts.iter().filter(|mount| mount.container_path == Path::new("/etc/hosts")).count(), 1);
    assert!(spec.process.seccomp.is_some() && spec.masked_paths.is_empty());
    config.security_context.privileged = true;
    let (spec, rules) = resolve(&place(), &config, &rootfs(), &[]).expect("resolves");
    assert!(rules.is_none() && spec.process.seccomp.is_none() && spec.readonly_paths.is_empty());
    assert!(spec.devices.iter().any(|node| node.path == Path::new("/dev/null")));
}

#[test]
fn what_can_not_work_is_said() {
    let error = |config: ContainerConfig| resolve(&place(), &config, &rootfs(), &[]).expect_err("invalid").to_string();
    let mut config = ContainerConfig::default();
    config.security_context.capabilities.add = vec!["FLY".into()];
    assert_eq!(error(config), "unknown capability \"FLY\"");
    let mut config = ContainerConfig::default();
    config.security_context.seccomp = SeccompProfile::Localhost("/no/such".into());
    assert_eq!(
        error(config),
        "failed to create containerd container: cannot load seccomp profile \"/no/such\": open /no/such: no such file or directory"
    );
    let mount = Mount { recursive_read_only: true, container_path: "/x".into(), ..Mount::default() };
    let config = ContainerConfig { mounts: vec![mount], ..ContainerConfig::default() };
    assert!(error(config).contains("has to be read-only and private"));
    let empty = Rootfs::default();
    let error = resolve(&place(), &ContainerConfig::default(), &empty, &[]).expect_err("no command");
    assert_eq!(error.to_string(), "no command specified");
}
