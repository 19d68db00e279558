//! Pods, what is run in them, and what outlives the daemon.

use std::time::Duration;

use cri::{
    AttachOptions, ContainerState, EventKind, ExecOptions, ExecSession, ExitReason, NamespaceMode, PodSandboxState,
    RuntimeError, RuntimeService, TerminalSize,
};
use futures_util::future::join_all;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{PATIENCE, World};

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

async fn all(stream: Option<cri::ByteReader>) -> String {
    let mut text = vec![];
    let reading = stream.expect("a stream");
    let mut reading = reading;
    tokio::time::timeout(PATIENCE, reading.read_to_end(&mut text)).await.expect("it ends").expect("read");
    String::from_utf8_lossy(&text).replace('\r', "")
}

#[tokio::test]
async fn exec_gives_output_codes_and_known_words() {
    let world = World::new().await;
    let pod = world.pod("a").await;
    let id = world.start(&pod, world.container_config(&["sleep"])).await;
    let run = |words: &[&str]| {
        let (runtime, id, words) = (world.runtime.clone(), id.clone(), argv(words));
        async move { runtime.exec_sync(&id, &words, Some(PATIENCE)).await }
    };
    let output = run(&["tb", "echo", "hi"]).await.expect("exec");
    assert_eq!((output.stdout.as_slice(), output.exit_code), (b"hi\n".as_slice(), 0));
    assert_eq!(run(&["/testbed", "exit", "5"]).await.expect("exec").exit_code, 5);
    assert_eq!(run(&["tb", "warn", "e"]).await.expect("exec").stderr, b"e\n");
    let inside = run(&["tb", "read", "/proc/self/status"]).await.expect("exec").stdout;
    assert!(String::from_utf8_lossy(&inside).contains("CapEff:\t00000000a80425fb"));
    let error = run(&["nope"]).await.expect_err("no such program");
    assert!(matches!(error, RuntimeError::Exec { exit_code: 127, .. }));
    assert_eq!(
        error.to_string(),
        "OCI runtime exec failed: exec failed: unable to start container process: exec: \"nope\": executable file not \
         found in $PATH: unknown"
    );
    let slow = world.runtime.exec_sync(&id, &argv(&["tb", "sleep"]), Some(Duration::from_millis(200))).await;
    assert!(matches!(slow, Err(RuntimeError::ExecTimeout { .. })), "{slow:?}");
    let options = ExecOptions { argv: argv(&["tb", "cat"]), stdin: true, stdout: true, ..ExecOptions::default() };
    let ExecSession { stdin, stdout, exit, .. } = world.runtime.exec(&id, options).await.expect("exec");
    let mut stdin = stdin.expect("stdin");
    stdin.write_all(b"through the pipe").await.expect("write");
    drop(stdin);
    assert_eq!((all(stdout).await.as_str(), exit.await.expect("exit")), ("through the pipe", 0));
    world.runtime.stop_container(&id, Duration::ZERO).await.expect("stop");
    let error = run(&["tb", "exit", "0"]).await.expect_err("stopped");
    assert!(matches!(error, RuntimeError::ContainerNotRunning { state: "exited", .. }), "{error}");
    world.close().await;
}

#[tokio::test]
async fn exec_with_a_terminal() {
    let world = World::new().await;
    let pod = world.pod("a").await;
    let id = world.start(&pod, world.container_config(&["sleep"])).await;
    let options = ExecOptions { argv: argv(&["tb", "tty"]), tty: true, stdin: true, stdout: true, stderr: false };
    let session = world.runtime.exec(&id, options).await.expect("exec");
    let terminal = session.terminal.expect("a terminal");
    terminal.resize(TerminalSize { width: 132, height: 43 }).expect("resize");
    session.stdin.expect("stdin").write_all(b"typed\n").await.expect("write");
    let text = all(session.stdout).await;
    assert!(text.contains("tty true ") && text.contains("got typed 132x43\n"), "{text}");
    assert_eq!(session.exit.await.expect("exit"), 0);
    world.close().await;
}

#[tokio::test]
async fn attach_joins_the_streams_of_the_first_process() {
    let world = World::new().await;
    let pod = world.pod("a").await;
    let mut config = world.container_config(&["cat"]);
    config.stdin = true;
    config.stdin_once = true;
    let id = world.start(&pod, config).await;
    let options = AttachOptions { stdin: true, stdout: true, stderr: true };
    let session = world.runtime.attach(&id, options).await.expect("attach");
    let mut stdin = session.stdin.expect("stdin");
    stdin.write_all(b"typed\n").await.expect("write");
    drop(stdin);
    assert_eq!(all(session.stdout).await, "typed\n");
    assert_eq!(session.exit.await.expect("exit"), 0);
    assert_eq!(world.log(&id).await, "stdout F typed\n", "what is attached is logged too");
    let mut config = world.container_config(&["tty"]);
    config.tty = true;
    config.stdin = true;
    let id = world.start(&pod, config).await;
    world.wait_for_log(&id, "tty true").await;
    let session =
        world.runtime.attach(&id, AttachOptions { stdin: true, stdout: true, stderr: false }).await.expect("attach");
    session.terminal.expect("terminal").resize(TerminalSize { width: 90, height: 30 }).expect("resize");
    session.stdin.expect("stdin").write_all(b"x\n").await.expect("write");
    assert!(all(session.stdout).await.contains("got x 90x30"));
    assert_eq!(session.exit.await.expect("exit"), 0);
    world.close().await;
}

#[tokio::test]
async fn pods_reach_each_other_and_ports_are_forwarded() {
    let world = World::new().await;
    let (a, b) = tokio::join!(world.pod("a"), world.pod("b"));
    assert_ne!(a.ips, b.ips);
    let server = world.start(&a, world.container_config(&["serve", "8080"])).await;
    world.wait_for_log(&server, "serving").await;
    let (code, log) = world.run(&b, world.container_config(&["get", &format!("{}:8080", a.ips[0])])).await;
    assert_eq!((code, log), (0, format!("stdout F hello {}\n", b.ips[0])), "with its own address");
    let mut stream = world.runtime.port_forward(&a.id, 8080).await.expect("forward");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("read");
    assert_eq!(text, "hello 127.0.0.1\n");
    let error = world.runtime.port_forward(&a.id, 9).await.err().expect("nothing there").to_string();
    assert!(
        error.ends_with(
            "IPv4: dial tcp4 127.0.0.1:9: connect: connection refused IPv6 dial tcp6 [::1]:9: connect: connection refused"
        ),
        "{error}"
    );
    let mut host = world.pod_config("h");
    host.linux.namespace_options.network = NamespaceMode::Node;
    let host = world.runtime.run_pod_sandbox(host).await.expect("host network");
    assert_eq!(host.ips[0].to_string(), "10.99.0.1");
    let (_, log) = world.run(&host, world.container_config(&["get", &format!("{}:8080", a.ips[0])])).await;
    assert_eq!(log, "stdout F hello 10.99.0.1\n", "the node's address");
    world.close().await;
}

#[tokio::test]
async fn containers_may_share_a_pid_namespace() {
    let world = World::new().await;
    let mut config = world.pod_config("a");
    config.linux.namespace_options.pid = NamespaceMode::Pod;
    let pod = world.runtime.run_pod_sandbox(config).await.expect("sandbox");
    let sleeper = world.start(&pod, world.container_config(&["sleep"])).await;
    let (_, log) = world.run(&pod, world.container_config(&["read", "/proc/1/comm"])).await;
    assert_eq!(log, "stdout F pause\n");
    let (_, log) = world.run(&pod, world.container_config(&["list", "/proc"])).await;
    let pids = log.split_whitespace().filter(|word| word.parse::<u32>().is_ok()).count();
    assert_eq!(pids, 3, "the pod's init, the sleeper and this one");
    let output = world.runtime.exec_sync(&sleeper, &argv(&["tb", "read", "/proc/1/comm"]), None).await.expect("exec");
    assert_eq!(output.stdout, b"pause\n");
    world.close().await;
}

#[tokio::test]
async fn a_daemon_that_comes_back_finds_everything_as_it_was() {
    let mut world = World::new().await;
    let pod = world.pod("a").await;
    let sleeper = world.start(&pod, world.container_config(&["sleep"])).await;
    let talker = world.start(&pod, world.container_config(&["lines", "2000"])).await;
    let quick = world.start(&pod, world.container_config(&["term", "9"])).await;
    let pid = world.runtime.container_status(&sleeper).await.expect("status").pid;
    for _ in 0..5 {
        world.restart().await;
        assert_eq!(world.runtime.pod_sandbox_status(&pod.id).await.expect("status").state, PodSandboxState::Ready);
        let status = world.runtime.container_status(&sleeper).await.expect("status");
        assert_eq!((status.state.is_running(), status.pid), (true, pid));
    }
    assert!(world.ended(&talker).await.is_exited());
    let expected: String = (0..2000).map(|number| format!("stdout F line {number}\n")).collect();
    assert_eq!(world.log(&talker).await, expected, "no line was lost");
    world.runtime.stop_container(&quick, Duration::from_secs(30)).await.expect("stop");
    let before = world.runtime.container_status(&quick).await.expect("status");
    assert!(matches!(before.state, ContainerState::Exited { exit_code: 9, .. }));
    world.restart().await;
    assert_eq!(world.runtime.container_status(&quick).await.expect("status"), before, "ends are remembered");
    let output = world.runtime.exec_sync(&sleeper, &argv(&["tb", "echo", "still"]), None).await.expect("exec");
    assert_eq!(output.stdout, b"still\n");
    let other = world.pod("b").await;
    assert_ne!(other.ips, pod.ips, "addresses in use are known");
    world.close().await;
}

#[tokio::test]
async fn a_killed_supervisor_takes_its_pod_along_and_is_told() {
    let world = World::new().await;
    let pod = world.pod("a").await;
    let id = world.start(&pod, world.container_config(&["sleep"])).await;
    let mut events = world.runtime.subscribe();
    let supervisor = world.supervisor_pid(&pod.id.0).await;
    kill_process(Pid::from_raw(supervisor).expect("pid"), Signal::KILL).expect("kill");
    let stopped = async { while events.recv().await.expect("event").kind != EventKind::SandboxStopped {} };
    tokio::time::timeout(PATIENCE, stopped).await.expect("told");
    let ContainerState::Exited { exit_code, reason, .. } = world.ended(&id).await else { panic!("not exited") };
    assert_eq!((exit_code, reason), (255, ExitReason::ContainerStatusUnknown));
    assert_eq!(world.runtime.pod_sandbox_status(&pod.id).await.expect("status").state, PodSandboxState::NotReady);
    let config = world.container_config(&["exit", "0"]);
    let error = world.runtime.create_container(&pod.id, config).await.expect_err("not ready");
    assert!(matches!(error, RuntimeError::SandboxNotReady(_)));
    world.close().await;
}

#[tokio::test]
async fn twenty_pods_at_once() {
    let world = World::new().await;
    let one = |number: usize| {
        let world = &world;
        async move {
            let pod = world.pod(&format!("p{number}")).await;
            let id = world.start(&pod, world.container_config(&["sleep"])).await;
            (pod, id)
        }
    };
    let pods = join_all((0..20).map(one)).await;
    assert_eq!(world.supervisors().await, 20);
    for (pod, _) in &pods {
        // Streams, socket, connection, signals, PID namespace; process, log and two pipes of its container.
        let pid = world.supervisor_pid(&pod.id.0).await;
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors").count();
        assert!(descriptors <= 12, "a supervisor has {descriptors} descriptors");
    }
    let mut ips: Vec<_> = pods.iter().map(|(pod, _)| pod.ips[0]).collect();
    ips.sort();
    ips.dedup();
    assert_eq!(ips.len(), 20);
    for (_, id) in &pods {
        assert!(world.runtime.container_status(id).await.expect("status").state.is_running());
    }
    world.close().await;
}
