use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use component_base::{Random, SimulatedClock, Supervisor};
use jiff::Timestamp;

use super::*;
use crate::*;

struct World {
    runtime: FakeRuntime,
    images: Arc<FakeImages>,
}

fn world(seed: u64) -> World {
    let clock = Arc::new(SimulatedClock::starting_at(Timestamp::UNIX_EPOCH));
    let images = Arc::new(FakeImages::new(clock.clone()));
    let options = FakeRuntimeOptions::new(clock, Arc::new(Random::from_seed(seed)), Supervisor::new());
    World { runtime: FakeRuntime::new(options, images.clone()), images }
}

fn pod(name: &str) -> PodSandboxConfig {
    let metadata =
        PodSandboxMetadata { name: name.into(), uid: format!("uid-{name}"), namespace: "default".into(), attempt: 0 };
    PodSandboxConfig { metadata, ..PodSandboxConfig::default() }
}

async fn pull(images: &FakeImages, name: &str) -> Result<ImageRef, ImageError> {
    images.pull(PullRequest { image: name.into(), auth: None, progress: None }).await
}

async fn container(world: &World, sandbox: &PodSandboxId, name: &str) -> ContainerId {
    let image = pull(&world.images, "app:1").await.expect("pull").id;
    let metadata = ContainerMetadata { name: name.into(), attempt: 0 };
    let config = ContainerConfig { metadata, image, ..ContainerConfig::default() };
    world.runtime.create_container(sandbox, config).await.expect("create")
}

async fn state(world: &World, id: &ContainerId) -> ContainerState {
    world.runtime.container_status(id).await.expect("status").state
}

#[tokio::test(start_paused = true)]
async fn a_scripted_container_exits_at_its_time_and_tells_so() {
    let world = world(1);
    let mut events = world.runtime.subscribe();
    world.runtime.script(
        Selector { container: Some("job".into()), ..Selector::default() },
        Script::exits(Duration::from_secs(30), 3),
    );
    let sandbox = world.runtime.run_pod_sandbox(pod("a")).await.expect("sandbox");
    let id = container(&world, &sandbox.id, "job").await;
    world.runtime.start_container(&id).await.expect("start");
    let kinds: Vec<String> = {
        let mut kinds = vec![];
        for _ in 0..4 {
            let event = events.recv().await.expect("event");
            assert_eq!(event.pod_uid, "uid-a");
            kinds.push(format!("{:?}", event.kind).split('(').next().unwrap_or_default().to_owned());
        }
        kinds
    };
    assert_eq!(kinds, ["SandboxStarted", "Created", "Started", "Stopped"]);
    let ContainerState::Exited { started_at, finished_at, exit_code, reason, .. } = state(&world, &id).await else {
        panic!("not exited");
    };
    assert_eq!((exit_code, reason), (3, ExitReason::Error));
    assert_eq!(finished_at.duration_since(started_at.expect("ran")).as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn stop_obeys_the_grace_period_and_a_shorter_one_overtakes() {
    let world = world(2);
    world.runtime.script(Selector::default(), Script { on_stop: OnStop::Ignore, ..Script::default() });
    let sandbox = world.runtime.run_pod_sandbox(pod("a")).await.expect("sandbox");
    let id = container(&world, &sandbox.id, "stubborn").await;
    world.runtime.start_container(&id).await.expect("start");
    let began = tokio::time::Instant::now();
    let (long, short) = tokio::join!(
        world.runtime.stop_container(&id, Duration::from_secs(60)),
        world.runtime.stop_container(&id, Duration::from_secs(2)),
    );
    long.and(short).expect("stop");
    assert_eq!(began.elapsed().as_secs(), 2);
    assert!(matches!(state(&world, &id).await, ContainerState::Exited { exit_code: 137, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_start_error_leaves_an_exited_container_with_code_128() {
    let world = world(3);
    let script = Script { start_error: Some("exec: \"x\": not found".into()), ..Script::default() };
    world.runtime.script(Selector::default(), script);
    let sandbox = world.runtime.run_pod_sandbox(pod("a")).await.expect("sandbox");
    let id = container(&world, &sandbox.id, "c").await;
    let error = world.runtime.start_container(&id).await.expect_err("start");
    assert!(error.to_string().ends_with("exec: \"x\": not found"), "{error}");
    let ContainerState::Exited { exit_code, reason, started_at, .. } = state(&world, &id).await else {
        panic!("not exited");
    };
    assert_eq!((exit_code, reason, started_at), (128, ExitReason::StartError, None));
}

#[tokio::test(start_paused = true)]
async fn pulls_fail_as_scripted_then_succeed() {
    let world = world(4);
    let failures = VecDeque::from([PullFailure::Unavailable, PullFailure::Unauthorized]);
    world.images.publish("reg.example/a:2", FakeImage { failures, ..FakeImage::default() });
    let first = pull(&world.images, "reg.example/a:2").await;
    assert!(matches!(first, Err(ImageError::RegistryUnavailable { .. })), "{first:?}");
    let second = pull(&world.images, "reg.example/a:2").await;
    assert!(matches!(second, Err(ImageError::Unauthorized { .. })), "{second:?}");
    assert!(world.images.status("reg.example/a:2").await.expect("status").is_none());
    let image = pull(&world.images, "reg.example/a:2").await.expect("pull");
    assert_eq!(image.digest_ref, format!("reg.example/a@{}", image.id));
    assert!(matches!(pull(&world.images, "Not An Image").await, Err(ImageError::InvalidName { .. })));
}

#[tokio::test(start_paused = true)]
async fn addresses_are_given_back_and_removal_cascades() {
    let world = world(5);
    let config = RuntimeConfig { pod_cidrs: vec!["10.9.8.0/30".into()] };
    world.runtime.update_runtime_config(config).await.expect("cidr");
    let first = world.runtime.run_pod_sandbox(pod("a")).await.expect("a");
    let second = world.runtime.run_pod_sandbox(pod("b")).await.expect("b");
    assert_eq!((first.ips[0].to_string(), second.ips[0].to_string()), ("10.9.8.1".into(), "10.9.8.2".into()));
    let full = world.runtime.run_pod_sandbox(pod("c")).await.expect_err("full");
    assert_eq!(full.to_string(), "failed to create pod sandbox: no IP addresses available in range");
    let id = container(&world, &first.id, "c").await;
    world.runtime.start_container(&id).await.expect("start");
    world.runtime.remove_pod_sandbox(&first.id).await.expect("remove");
    assert!(world.runtime.container_status(&id).await.expect_err("gone").is_not_found());
    assert_eq!(world.runtime.run_pod_sandbox(pod("c")).await.expect("c").ips[0].to_string(), "10.9.8.1");
}

#[tokio::test(start_paused = true)]
async fn one_seed_one_run() {
    let ids = |seed| async move {
        let world = world(seed);
        let sandbox = world.runtime.run_pod_sandbox(pod("a")).await.expect("sandbox");
        (container(&world, &sandbox.id, "c").await, sandbox.id)
    };
    assert_eq!(ids(7).await, ids(7).await);
    assert_ne!(ids(7).await, ids(8).await);
    assert_eq!(ids(7).await.0.0.len(), 64);
}

#[tokio::test(start_paused = true)]
async fn exec_answers_by_script_and_needs_a_running_container() {
    let world = world(6);
    let handler: ExecHandler = Arc::new(|argv| ExecOutput {
        stdout: argv.join(" ").into_bytes(),
        exit_code: i32::from(argv[0] == "false"),
        ..ExecOutput::default()
    });
    world.runtime.script(Selector::default(), Script { exec: Some(handler), ..Script::default() });
    let sandbox = world.runtime.run_pod_sandbox(pod("a")).await.expect("sandbox");
    let id = container(&world, &sandbox.id, "c").await;
    let argv = ["false".to_owned(), "x".to_owned()];
    let early = world.runtime.exec_sync(&id, &argv, None).await.expect_err("not running");
    assert!(matches!(early, RuntimeError::ContainerNotRunning { state: "created", .. }));
    world.runtime.start_container(&id).await.expect("start");
    let output = world.runtime.exec_sync(&id, &argv, None).await.expect("exec");
    assert_eq!((output.stdout.as_slice(), output.exit_code), (b"false x".as_slice(), 1));
}
