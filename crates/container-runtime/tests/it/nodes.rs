//! Whole nodes: launcher, init, daemon, and what is left of them.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use cni::rtnetlink::RouteSocket;
use container_runtime::Node;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::UnshareFlags;

use crate::world::{PATIENCE, TESTBED, cgroup_exists, processes_in, unique};

/// A host of this test's own: the thread is in a new network namespace, and what it starts too.
struct Host {
    directory: PathBuf,
    name: String,
}

impl Host {
    fn new() -> Self {
        #[allow(deprecated, reason = "NEWNET touches this thread only")]
        rustix::thread::unshare(UnshareFlags::NEWNET).expect("unshare needs root");
        let mut route = RouteSocket::open().expect("socket");
        let loopback = route.link("lo").expect("lo").index;
        route.set_up(loopback).expect("up");
        let name = unique("n").replace("n-", "");
        Self { directory: std::env::temp_dir().join(format!("skiff-it-node-{name}")), name: format!("n{name}") }
    }

    fn launch(&self) -> Output {
        let directory = self.directory.display().to_string();
        #[allow(clippy::disallowed_methods, reason = "a test starts processes")]
        Command::new(TESTBED).args(["launch", &directory, &self.name, "1", "16443"]).output().expect("launch")
    }

    fn node(&self) -> Node {
        Node::find(&self.directory).expect("state").expect("a node")
    }

    fn cgroup(&self) -> String {
        format!("skiff-it/{}", self.name)
    }

    fn links(&self) -> Vec<String> {
        let mut route = RouteSocket::open().expect("socket");
        route.links().expect("links").into_iter().map(|link| link.name).filter(|name| name != "lo").collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Ok(Some(node)) = Node::find(&self.directory) {
            let _ = node.delete();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Asks the daemon one word on the kept listener.
fn ask(word: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect("127.0.0.1:16443")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(word.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

/// The daemon's answer, whichever daemon gives it: one that dies loses the requests that it had accepted.
fn answer(word: &str) -> String {
    loop {
        match ask(word) {
            Ok(text) if !text.is_empty() => return text,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => panic!("refused"),
            _ => {}
        }
    }
}

/// The daemon's process id here: its own one is the node's.
fn daemon_pid(host: &Host) -> i32 {
    let own = answer("pid");
    let of_node = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let inner = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        inner.is_some_and(|pids| pids.split_whitespace().last() == Some(own.as_str()))
    };
    processes_in(&host.cgroup()).into_iter().find(of_node).expect("the daemon")
}

#[test]
fn a_node_serves_survives_its_daemon_and_leaves_nothing() {
    let host = Host::new();
    let launched = host.launch();
    assert!(launched.status.success(), "{launched:?}");
    assert_eq!(answer("hostname"), host.name);
    let again = host.launch();
    assert!(String::from_utf8_lossy(&again.stderr).contains("is already running"), "{again:?}");
    assert_eq!(host.links(), [format!("sk-{}", host.name)]);
    let init = host.node().pid().expect("runs");
    let descriptors = fs::read_dir(format!("/proc/{init}/fd")).expect("descriptors").count();
    assert!(descriptors <= 16, "node init has {descriptors} descriptors");
    // Killed again and again: nobody is refused, and each time there is another one.
    let mut last = daemon_pid(&host);
    for _ in 0..4 {
        kill_process(Pid::from_raw(last).expect("pid"), Signal::KILL).expect("kill");
        let next = daemon_pid(&host);
        assert_ne!(next, last);
        last = next;
    }
    // Sockets of the host: out of the node to what listens on the host's loopback, and a listener made later.
    let outside = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = outside.local_addr().expect("address");
    let greeter = std::thread::scope(|scope| {
        scope.spawn(|| outside.accept().expect("accept").0.write_all(b"from the host").expect("write"));
        answer(&format!("connect {address}"))
    });
    assert_eq!(greeter, "from the host");
    assert_eq!(answer("listen 127.0.0.1:16444"), "listening");
    TcpStream::connect("127.0.0.1:16444").expect("kept by node init");
    let node = host.node();
    let environment = ["PATH=/bin:/usr/bin".to_owned()];
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let status = node.enter(&words(&format!("{TESTBED} exit 12")), &environment).expect("enter");
    assert_eq!(status.code(), Some(12));
    let inside = host.directory.join("inside");
    let script = format!("hostname > {} && test $(ls /sys/class/net | wc -l) = 2", inside.display());
    let status = node.enter(&["sh".into(), "-c".into(), script], &environment).expect("enter");
    assert!(status.success(), "{status:?}");
    assert_eq!(fs::read_to_string(&inside).expect("written").trim(), host.name);
    node.delete().expect("delete");
    assert!(Node::find(&host.directory).expect("state").is_none());
    assert_eq!((host.links(), cgroup_exists(&host.cgroup())), (vec![], false));
    assert_eq!(ask("pid").expect_err("gone").kind(), std::io::ErrorKind::ConnectionRefused);
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    assert!(!mounts.contains(&host.directory.display().to_string()));
}

#[test]
fn stopping_drains_the_daemon_and_a_dead_node_is_swept_by_the_next() {
    let host = Host::new();
    assert!(host.launch().status.success());
    answer("pid");
    let mark = std::env::temp_dir().join(format!("skiff-it-drained-{}", host.name));
    host.node().stop(PATIENCE).expect("stop");
    fs::remove_file(&mark).expect("the daemon was asked and had time");
    assert!(!host.node().is_running());
    assert!(host.launch().status.success(), "the same name again");
    let node = host.node();
    let init = node.pid().expect("runs");
    let all = processes_in(&host.cgroup());
    assert!(all.contains(&init) && all.len() >= 2, "{all:?}");
    kill_process(Pid::from_raw(init).expect("pid"), Signal::KILL).expect("kill");
    drop(node);
    // stop waits for the end of what is dying already.
    host.node().stop(Duration::ZERO).expect("stop");
    assert_eq!(processes_in(&host.cgroup()), [] as [i32; 0], "init takes everything along");
    assert!(host.launch().status.success(), "link and cgroups of the dead one are no obstacle");
    assert!(answer("pid").parse::<i32>().is_ok());
    host.node().delete().expect("delete");
    assert_eq!((host.links(), cgroup_exists(&host.cgroup())), (vec![], false));
}

#[test]
fn what_can_not_be_launched_is_said_and_undone() {
    let host = Host::new();
    let _taken = TcpListener::bind("127.0.0.1:16443").expect("bind");
    let output = host.launch();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("failed to listen on 127.0.0.1:16443 for \"api\""), "{text}");
    assert_eq!((host.links(), cgroup_exists(&host.cgroup())), (vec![], false));
    assert!(Node::find(&host.directory).expect("state").is_none());
}
