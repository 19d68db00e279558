//! What a container is and may do.

use std::time::Duration;

use cri::{
    Capabilities, ContainerConfig, ContainerState, ExitReason, KeyValue, LinuxContainerResources, Mount, RuntimeError,
    RuntimeService, SeccompProfile,
};

use crate::world::World;

/// One field of `/proc/self/status` in a log.
fn field<'a>(log: &'a str, name: &str) -> &'a str {
    let line = log.lines().find(|line| line.starts_with(&format!("stdout F {name}:"))).unwrap_or_default();
    line.split_once(':').map_or("", |(_, value)| value.trim())
}

#[tokio::test]
async fn exit_codes_reasons_and_logs() {
    let world = World::new().await;
    let pod = world.pod("a").await;
    for (code, reason) in [(0, ExitReason::Completed), (3, ExitReason::Error)] {
        let id = world.start(&pod, world.container_config(&["exit", &code.to_string()])).await;
        let ContainerState::Exited { exit_code, reason: why, started_at, finished_at, .. } = world.ended(&id).await
        else {
            panic!("not exited")
        };
        assert_eq!((exit_code, why), (code, reason));
        assert!(started_at.expect("it ran") <= finished_at);
    }
    assert_eq!(world.run(&pod, world.container_config(&["echo", "a", "b"])).await, (0, "stdout F a b\n".into()));
    assert_eq!(world.run(&pod, world.container_config(&["warn", "oops"])).await.1, "stderr F oops\n");
    let mut config = world.container_config(&["env"]);
    config.envs = vec![KeyValue { key: "COLOR".into(), value: "blue".into() }];
    let (_, log) = world.run(&pod, config).await;
    for variable in ["PATH=/bin", "HOSTNAME=a", "COLOR=blue", "HOME=/root"] {
        assert!(log.contains(&format!("F {variable}\n")), "{variable}: {log}");
    }
    let config = ContainerConfig { working_dir: Some("/made/here".into()), ..world.container_config(&["cwd"]) };
    assert_eq!(world.run(&pod, config).await.1, "stdout F /made/here\n");
    world.close().await;
}

#[tokio::test]
async fn programs_that_can_not_start_say_why_in_known_words() {
    let world = World::new().await;
    let pod = world.pod("a").await;
    let table = [
        ("nope", "exec: \"nope\": executable file not found in $PATH"),
        ("/no/such", "exec: \"/no/such\": stat /no/such: no such file or directory"),
        ("/etc/note", "exec: \"/etc/note\": permission denied"),
        ("/etc", "exec: \"/etc\": is a directory"),
    ];
    for (program, words) in table {
        let config = ContainerConfig { command: vec![program.into()], ..world.container_config(&[]) };
        let id = world.create(&pod, config).await;
        let error = world.runtime.start_container(&id).await.expect_err("can't start");
        let expected = format!(
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create \
             failed: unable to start container process: {words}: unknown"
        );
        assert_eq!(error.to_string(), expected);
        let state = world.runtime.container_status(&id).await.expect("status").state;
        let ContainerState::Exited { exit_code: 128, reason: ExitReason::StartError, message, .. } = state else {
            panic!("{state:?}")
        };
        assert_eq!(message, expected);
    }
    let mut config = world.container_config(&["exit", "0"]);
    config.mounts = vec![Mount { host_path: "/no/such".into(), container_path: "/x".into(), ..Mount::default() }];
    let id = world.create(&pod, config).await;
    let error = world.runtime.start_container(&id).await.expect_err("no volume").to_string();
    assert!(error.contains("error mounting \"/no/such\" to rootfs at \"/x\": no such file or directory"), "{error}");
    let mut config = world.container_config(&["exit", "0"]);
    config.security_context.run_as_username = Some("ghost".into());
    let id = world.create(&pod, config).await;
    let error = world.runtime.start_container(&id).await.expect_err("no user").to_string();
    assert!(error.contains("unable to find user ghost: no matching entries in passwd file"), "{error}");
    let unknown = ContainerConfig { image: "gone".into(), ..world.container_config(&[]) };
    let error = world.runtime.create_container(&pod.id, unknown).await.expect_err("no image");
    assert!(matches!(error, RuntimeError::ImageNotFound(_)));
    world.close().await;
}

#[tokio::test]
async fn stopping_asks_waits_and_kills() {
    let world = World::new().await;
    let pod = world.pod("a").await;
    let polite = world.start(&pod, world.container_config(&["term", "7"])).await;
    world.wait_for_log(&polite, "ready").await;
    world.runtime.stop_container(&polite, Duration::from_secs(30)).await.expect("stop");
    assert!(matches!(world.ended(&polite).await, ContainerState::Exited { exit_code: 7, .. }));
    assert_eq!(world.log(&polite).await, "stdout F ready\nstdout F terminated\n");
    // The first process of a PID namespace ignores signals that it does not handle.
    let rude = world.start(&pod, world.container_config(&["sleep"])).await;
    let began = tokio::time::Instant::now();
    world.runtime.stop_container(&rude, Duration::from_millis(300)).await.expect("stop");
    assert!(began.elapsed() >= Duration::from_millis(300));
    let state = world.ended(&rude).await;
    assert!(matches!(state, ContainerState::Exited { exit_code: 137, reason: ExitReason::Error, .. }), "{state:?}");
    world.runtime.stop_container(&rude, Duration::ZERO).await.expect("stopping twice is fine");
    world.close().await;
}

#[tokio::test]
async fn users_groups_and_capabilities() {
    let world = World::new().await;
    let pod = world.pod("a").await;
    let status = || world.container_config(&["read", "/proc/self/status"]);
    let (_, log) = world.run(&pod, status()).await;
    assert_eq!((field(&log, "Uid"), field(&log, "CapEff")), ("0\t0\t0\t0", "00000000a80425fb"));
    assert_eq!((field(&log, "CapBnd"), field(&log, "CapInh")), ("00000000a80425fb", "0000000000000000"));
    assert_eq!((field(&log, "NoNewPrivs"), field(&log, "Seccomp")), ("0", "0"));
    let mut config = status();
    config.image = "sha256:web".into();
    config.security_context.supplemental_groups = vec![9];
    let (_, log) = world.run(&pod, config).await;
    assert_eq!((field(&log, "Uid"), field(&log, "Gid")), ("101\t101\t101\t101", "102\t102\t102\t102"));
    assert_eq!((field(&log, "Groups"), field(&log, "CapEff")), ("9 102 200", "0000000000000000"));
    let mut config = status();
    config.security_context.run_as_user = Some(1234);
    config.security_context.run_as_group = Some(77);
    config.security_context.no_new_privs = true;
    config.security_context.seccomp = SeccompProfile::RuntimeDefault;
    let id = world.start(&pod, config).await;
    world.ended(&id).await;
    let log = world.log(&id).await;
    assert_eq!((field(&log, "Uid"), field(&log, "Gid")), ("1234\t1234\t1234\t1234", "77\t77\t77\t77"));
    assert_eq!((field(&log, "NoNewPrivs"), field(&log, "Seccomp")), ("1", "2"));
    let user = world.runtime.container_status(&id).await.expect("status").user.expect("known");
    assert_eq!(user, (1234, 77, vec![77]));
    let mut config = status();
    config.security_context.capabilities = Capabilities { add: vec!["NET_ADMIN".into()], drop: vec!["ALL".into()] };
    let (_, log) = world.run(&pod, config).await;
    assert_eq!(field(&log, "CapEff"), "0000000000001000");
    world.close().await;
}

#[tokio::test]
async fn what_is_forbidden_fails_and_what_privilege_allows_works() {
    let world = World::new().await;
    let pod = world.pod("a").await;
    let mut config = world.container_config(&["write", "/tmp/x", "y"]);
    assert_eq!(world.run(&pod, config.clone()).await.0, 0, "the root is writable");
    config.security_context.readonly_rootfs = true;
    let (code, log) = world.run(&pod, config).await;
    assert_eq!((code, log.contains("Read-only file system")), (1, true), "{log}");
    // mount(2) needs SYS_ADMIN, and with RuntimeDefault it is not even tried.
    let mut config = world.container_config(&["mount", "/tmp"]);
    config.security_context.capabilities.add = vec!["SYS_ADMIN".into()];
    assert_eq!(world.run(&pod, config.clone()).await.0, 0);
    config.security_context.capabilities.add.clear();
    config.security_context.seccomp = SeccompProfile::RuntimeDefault;
    let (code, log) = world.run(&pod, config).await;
    assert_eq!((code, log.contains("Operation not permitted")), (1, true), "{log}");
    let (code, log) = world.run(&pod, world.container_config(&["mknod", "/tmp/mem"])).await;
    assert_eq!((code, log.contains("Operation not permitted")), (1, true), "/dev/mem by another name: {log}");
    let (code, log) = world.run(&pod, world.container_config(&["write", "/proc/sys/kernel/domainname", "x"])).await;
    assert_eq!((code, log.contains("Read-only file system")), (1, true), "{log}");
    assert_eq!(
        world.run(&pod, world.container_config(&["read", "/proc/interrupts"])).await,
        (0, String::new()),
        "masked"
    );
    let mut privileged = world.container_config(&["list", "/dev"]);
    let (_, plain) = world.run(&pod, privileged.clone()).await;
    privileged.security_context.privileged = true;
    let (code, log) = world.run(&pod, privileged).await;
    assert!(code == 0 && log.len() > plain.len(), "{log} against {plain}");
    let mut config = world.container_config(&["write", "/proc/sys/kernel/domainname", "x"]);
    config.security_context.privileged = true;
    assert_eq!(world.run(&pod, config).await.0, 0);
    world.close().await;
}

#[tokio::test]
async fn volumes_shared_memory_and_files_of_the_pod() {
    let world = World::new().await;
    let mut config = world.pod_config("web-0");
    config.dns_config = Some(cri::DnsConfig { servers: vec!["10.96.0.10".into()], ..cri::DnsConfig::default() });
    let pod = world.runtime.run_pod_sandbox(config).await.expect("sandbox");
    let volume = world.directory.join("volume");
    std::fs::create_dir_all(volume.join("sub")).expect("volume");
    std::fs::write(volume.join("f"), "data").expect("file");
    let mount = |path: &str, readonly| Mount {
        host_path: volume.clone(),
        container_path: path.into(),
        readonly,
        ..Mount::default()
    };
    let with = |arguments: &[&str], mounts: Vec<Mount>| ContainerConfig { mounts, ..world.container_config(arguments) };
    assert_eq!(world.run(&pod, with(&["read", "/v/f"], vec![mount("/v", true)])).await.1, "stdout P data\n");
    let (code, log) = world.run(&pod, with(&["write", "/v/f", "x"], vec![mount("/v", true)])).await;
    assert_eq!((code, log.contains("Read-only")), (1, true));
    assert_eq!(world.run(&pod, with(&["write", "/new/deep/g", "x"], vec![mount("/new/deep", false)])).await.0, 0);
    assert_eq!(std::fs::read_to_string(volume.join("g")).expect("written"), "x");
    let mut one_file = mount("/etc/note", false);
    one_file.host_path = volume.join("f");
    assert_eq!(world.run(&pod, with(&["read", "/etc/note"], vec![one_file])).await.1, "stdout P data\n");
    // What one writes the other reads: /dev/shm is the pod's, the root is each one's own.
    assert_eq!(world.run(&pod, world.container_config(&["write", "/dev/shm/s", "shared"])).await.0, 0);
    assert_eq!(world.run(&pod, world.container_config(&["read", "/dev/shm/s"])).await.1, "stdout P shared\n");
    assert_eq!(world.run(&pod, world.container_config(&["write", "/tmp/own", "1"])).await.0, 0);
    assert_eq!(world.run(&pod, world.container_config(&["read", "/tmp/own"])).await.0, 1);
    assert_eq!(world.run(&pod, world.container_config(&["read", "/etc/hostname"])).await.1, "stdout F web-0\n");
    assert_eq!(
        world.run(&pod, world.container_config(&["read", "/proc/sys/kernel/hostname"])).await.1,
        "stdout F web-0\n"
    );
    let resolv = world.run(&pod, world.container_config(&["read", "/etc/resolv.conf"])).await.1;
    assert_eq!(resolv, "stdout F nameserver 10.96.0.10\n");
    let hosts = world.run(&pod, world.container_config(&["read", "/etc/hosts"])).await.1;
    assert!(hosts.contains(&format!("{}\tweb-0", pod.ips[0])), "{hosts}");
    world.close().await;
}

#[tokio::test]
async fn images_are_mounted_like_volumes() {
    let world = World::new().await;
    let pod = world.pod("a").await;
    let run = async |arguments: &[&str], image: &str, sub_path: &str, path: &str| {
        let mount = Mount {
            image: Some(image.into()),
            image_sub_path: sub_path.into(),
            container_path: path.into(),
            ..Mount::default()
        };
        world.run(&pod, ContainerConfig { mounts: vec![mount], ..world.container_config(arguments) }).await
    };
    for image in ["sha256:one", "sha256:two"] {
        assert_eq!(run(&["read", "/v/etc/note"], image, "", "/v").await.1, "stdout P from the image\n");
        assert_eq!(run(&["read", "/v/note"], image, "etc", "/v").await.1, "stdout P from the image\n");
        assert_eq!(run(&["read", "/v/note"], image, "etc/note", "/v/note").await.1, "stdout P from the image\n");
        let (code, log) = run(&["write", "/v/etc/note", "x"], image, "", "/v").await;
        assert_eq!((code, log.contains("Read-only")), (1, true), "{log}");
    }
    assert_eq!(run(&["read", "/v/etc/more"], "sha256:two", "", "/v").await.1, "stdout P on top\n");
    let mount = |sub_path: &str| Mount {
        image: Some("sha256:two".into()),
        image_sub_path: sub_path.into(),
        container_path: "/v".into(),
        ..Mount::default()
    };
    let mut config = world.container_config(&[]);
    config.command = vec!["/v/testbed".into()];
    config.mounts = vec![mount("")];
    let id = world.create(&pod, config).await;
    let error = world.runtime.start_container(&id).await.expect_err("it must not be executed").to_string();
    assert!(error.contains("permission denied"), "{error}");
    let config = ContainerConfig { mounts: vec![mount("no/such")], ..world.container_config(&["exit", "0"]) };
    let error = world.runtime.create_container(&pod.id, config).await.expect_err("it is not there").to_string();
    let expected = "failed to create container: ImageVolumeMountFailed: failed to mount \"no/such\" of image \
                    \"sha256:two\": no such file or directory";
    assert_eq!(error, expected);
    let config = ContainerConfig {
        mounts: vec![Mount { image: Some("gone".into()), ..mount("") }],
        ..world.container_config(&["exit", "0"])
    };
    let error = world.runtime.create_container(&pod.id, config).await.expect_err("no image").to_string();
    assert_eq!(error, "image \"gone\" not found");
    world.close().await;
}

#[tokio::test]
async fn limits_hold_and_out_of_memory_is_told() {
    let world = World::new().await;
    let pod = world.pod("a").await;
    let mut config = world.container_config(&["alloc", "200"]);
    config.resources = LinuxContainerResources {
        memory_limit_bytes: Some(64 << 20),
        cpu_shares: Some(512),
        pids_limit: Some(50),
        ..LinuxContainerResources::default()
    };
    let id = world.start(&pod, config.clone()).await;
    let state = world.ended(&id).await;
    assert!(matches!(state, ContainerState::Exited { exit_code: 137, reason: ExitReason::OomKilled, .. }), "{state:?}");
    config.args = vec!["sleep".into()];
    let id = world.start(&pod, config).await;
    let stats = world.runtime.container_stats(&id).await.expect("stats");
    assert!(stats.memory.usage_bytes > 0 && stats.memory.available_bytes.is_some_and(|bytes| bytes <= 64 << 20));
    let raised = LinuxContainerResources { memory_limit_bytes: Some(128 << 20), ..LinuxContainerResources::default() };
    world.runtime.update_container_resources(&id, cri::ContainerUpdate { resources: raised }).await.expect("update");
    let stats = world.runtime.container_stats(&id).await.expect("stats");
    assert!(stats.memory.available_bytes.is_some_and(|bytes| bytes > 64 << 20));
    let pod_stats = world.runtime.pod_sandbox_stats(&pod.id).await.expect("stats");
    assert_eq!((pod_stats.containers.len(), pod_stats.network[0].name.as_str()), (1, "eth0"));
    assert!(pod_stats.process_count >= 1);
    let status = world.runtime.container_status(&id).await.expect("status");
    assert_eq!((status.resources.memory_limit_bytes, status.resources.cpu_shares), (Some(128 << 20), Some(512)));
    world.close().await;
}

#[tokio::test]
async fn a_container_may_join_the_processes_of_another() {
    let world = World::new().await;
    let pod = world.pod("a").await;
    let target = world.start(&pod, world.container_config(&["sleep"])).await;
    let looking = |target: &cri::ContainerId| ContainerConfig {
        target: Some(target.clone()),
        ..world.container_config(&["read", "/proc/1/cmdline"])
    };
    let (code, log) = world.run(&pod, looking(&target)).await;
    assert_eq!(code, 0);
    assert!(log.contains("sleep"), "{log}");
    // What joined is not the target's child, and its end is told like any other.
    let mut config = world.container_config(&["sleep"]);
    config.target = Some(target.clone());
    let joined = world.start(&pod, config).await;
    world.runtime.stop_container(&target, Duration::ZERO).await.expect("stop");
    let ContainerState::Exited { exit_code: 137, .. } = world.ended(&joined).await else {
        panic!("it goes with its target")
    };
    let id = world.create(&pod, looking(&target)).await;
    let error = world.runtime.start_container(&id).await.expect_err("no target").to_string();
    assert!(error.contains("the target container is not running"), "{error}");
    world.close().await;
}

#[tokio::test]
async fn a_score_that_the_kernel_refuses_keeps_nobody_from_running() {
    let world = World::new().await;
    let pod = world.pod("a").await;
    let mut config = world.container_config(&["exit", "0"]);
    config.resources.oom_score_adj = Some(-997);
    assert_eq!(world.run(&pod, config).await.0, 0);
    world.close().await;
}
