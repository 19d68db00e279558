//! Streams into Pods, over both transports that clients speak.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout};

use crate::cluster::Cluster;
use crate::{DEPLOYMENT, image, with_deployment};

/// Environment variables that choose upstream kubectl's transport. The built-in one always speaks WebSocket.
const TRANSPORTS: [&str; 2] = ["true", "false"];
const REMOTE_COMMAND: &str = "KUBECTL_REMOTE_COMMAND_WEBSOCKETS";
const PORT_FORWARD: &str = "KUBECTL_PORT_FORWARD_WEBSOCKETS";

#[test]
fn exec_over_both_transports() {
    let cluster = with_deployment(1);
    for web_sockets in TRANSPORTS {
        let kubectl =
            |words: &[&str], input: &str| cluster.kubectl_with(&[(REMOTE_COMMAND, web_sockets)], words, input);
        let said = kubectl(&["exec", DEPLOYMENT, "--", "/app", "echo", "hello", "there"], "").ok();
        assert_eq!(said, "hello there\n", "{web_sockets}");
        let failed = kubectl(&["exec", DEPLOYMENT, "--", "/app", "exit", "7"], "");
        assert_eq!(failed.code, 7, "{web_sockets} {failed}");
        assert!(failed.failed().contains("command terminated with exit code 7"));
        // More than any queue on the way holds.
        let input = "a line of input\n".repeat(100_000);
        let echoed = kubectl(&["exec", "-i", DEPLOYMENT, "--", "/app", "cat"], &input).ok();
        assert!(echoed == input, "{web_sockets}: {} bytes came back of {}", echoed.len(), input.len());
    }
}

#[test]
fn what_can_not_be_reached_is_named() {
    let cluster = Cluster::start();
    let image = format!("--image={}", image::V1);
    cluster.kubectl(&["run", "done", &image, "--restart=Never", "--", "echo", "done"]).ok();
    cluster.kubectl(&["run", "pulls", "--image=skiff.test/none:v1", "--image-pull-policy=Never"]).ok();
    cluster.kubectl(&["run", "runs", &image]).ok();
    cluster.kubectl(&["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/done", "--timeout=60s"]).ok();
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/runs", "--timeout=60s"]).ok();
    cluster.eventually("the other waits for its image", || {
        let table = cluster.kubectl(&["get", "pod", "pulls"]).ok();
        table.contains("ErrImageNeverPull").then_some(())
    });
    for web_sockets in TRANSPORTS {
        let kubectl = |words: &[&str]| cluster.kubectl_with(&[(REMOTE_COMMAND, web_sockets)], words, "").failed();
        let said = kubectl(&["exec", "pulls", "--", "/app", "env"]);
        assert!(
            said.contains("unable to upgrade connection: container not found (\"pulls\")"),
            "{web_sockets}: {said}"
        );
        let said = kubectl(&["exec", "runs", "--", "/no/such/program"]);
        let wanted = "error: Internal error occurred: error executing command in container: ";
        assert!(said.starts_with(wanted) && said.contains("no such file or directory"), "{web_sockets}: {said}");
        let said = kubectl(&["exec", "done", "--", "/app", "env"]);
        assert!(
            said.contains("cannot exec into a container in a completed pod; current phase is Succeeded"),
            "{web_sockets}: {said}"
        );
    }
    // kubectl reads the log of a container that ends before it can be attached to.
    let ran =
        cluster.kubectl(&["run", "quick", &image, "-i", "--rm", "--restart=Never", "--", "echo", "all said"]).ok();
    assert!(ran.contains("all said"), "{ran}");
}

/// kubectl while it forwards a port.
struct Forwarding {
    kubectl: Child,
    /// Kept, for a program whose output nobody reads any more ends.
    _lines: BufReader<ChildStdout>,
    port: u16,
}

impl Forwarding {
    fn start(cluster: &Cluster, web_sockets: &str, ports: &str) -> Self {
        let mut kubectl = cluster.kubectl_started(&[(PORT_FORWARD, web_sockets)], &["port-forward", DEPLOYMENT, ports]);
        let mut line = String::new();
        let mut lines = BufReader::new(kubectl.stdout.take().expect("it is piped"));
        lines.read_line(&mut line).expect("kubectl says where it listens");
        // Forwarding from 127.0.0.1:40913 -> 8080
        let port = line.split_once("127.0.0.1:").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        Self { port: port.unwrap_or_else(|| panic!("no port in {line:?}")), _lines: lines, kubectl }
    }

    fn ask(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("kubectl listens");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("kubectl reads");
        let mut answer = String::new();
        // One that is reset is one without an answer.
        let _ = stream.read_to_string(&mut answer);
        answer
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

#[test]
fn ports_are_forwarded_over_both_transports() {
    let cluster = with_deployment(1);
    if crate::cluster::is_built_in() {
        // It has no port-forward yet, and says so.
        let said = cluster.kubectl(&["port-forward", DEPLOYMENT, ":8080"]).failed();
        assert!(said.contains("\"kubectl port-forward\" is not served by this kubectl"), "{said}");
        return;
    }
    for web_sockets in TRANSPORTS {
        let forwarding = Forwarding::start(&cluster, web_sockets, ":8080");
        // One after the other, and at once.
        for _ in 0..3 {
            assert!(forwarding.ask().contains("Hello Kubernetes bootcamp!"), "{web_sockets}");
        }
        std::thread::scope(|scope| {
            let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| forwarding.ask())).collect();
            for answer in asked {
                assert!(answer.join().expect("no panic").contains("Hello Kubernetes bootcamp!"), "{web_sockets}");
            }
        });
        let nothing = Forwarding::start(&cluster, web_sockets, ":9999");
        assert_eq!(nothing.ask(), "", "nobody listens there");
    }
}
