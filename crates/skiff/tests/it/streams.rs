//! Streams into Pods, over both transports that clients speak.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout};

use crate::cluster::Cluster;
use crate::{DEPLOYMENT, SELECTOR, image, with_deployment};

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
        // A command that reads nothing ends while its input is still being sent.
        for _ in 0..5 {
            let failed = kubectl(&["exec", "-i", DEPLOYMENT, "--", "/app", "exit", "7"], &input);
            assert_eq!(failed.code, 7, "{web_sockets} {failed}");
        }
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

/// kubectl while it listens on a port of this machine.
struct Listening {
    kubectl: Child,
    /// Kept, for a program whose output nobody reads any more ends.
    _lines: BufReader<ChildStdout>,
    port: u16,
}

impl Listening {
    fn forwarding(cluster: &Cluster, web_sockets: &str, of: &str, ports: &str) -> Self {
        Self::start(cluster, &[(PORT_FORWARD, web_sockets)], &["port-forward", of, ports])
    }

    /// Starts kubectl, whose first line says where it listens.
    fn start(cluster: &Cluster, environment: &[(&str, &str)], words: &[&str]) -> Self {
        let mut kubectl = cluster.kubectl_started(environment, words);
        let mut line = String::new();
        let mut lines = BufReader::new(kubectl.stdout.take().expect("it is piped"));
        lines.read_line(&mut line).expect("kubectl says where it listens");
        // Forwarding from 127.0.0.1:40913 -> 8080
        let port = line.split_once("127.0.0.1:").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
        Self { port: port.unwrap_or_else(|| panic!("no port in {line:?}")), _lines: lines, kubectl }
    }

    fn ask(&self) -> String {
        self.ask_for("/", "localhost")
    }

    fn ask_for(&self, path: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("kubectl listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("kubectl reads");
        let mut answer = String::new();
        // One that is reset is one without an answer.
        let _ = stream.read_to_string(&mut answer);
        answer
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

#[test]
fn ports_are_forwarded_over_both_transports() {
    let cluster = with_deployment(1);
    cluster.kubectl(&["expose", DEPLOYMENT, "--port=80", "--target-port=8080"]).ok();
    let refused = cluster.kubectl(&["port-forward", "service/kubernetes-bootcamp", ":81"]).failed();
    assert_eq!(refused, "error: Service kubernetes-bootcamp does not have a service port 81\n");
    for web_sockets in TRANSPORTS {
        let forwarding = Listening::forwarding(&cluster, web_sockets, "service/kubernetes-bootcamp", ":80");
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
        let nothing = Listening::forwarding(&cluster, web_sockets, DEPLOYMENT, ":9999");
        assert_eq!(nothing.ask(), "", "nobody listens there");
    }
}

#[test]
fn a_proxy_leads_to_the_api_and_through_it_to_pods() {
    let cluster = with_deployment(1);
    let proxy = Listening::start(&cluster, &[], &["proxy", "--port=0"]);
    assert!(proxy.ask_for("/version", "localhost").contains("\"gitVersion\""));
    let pods = cluster.pods(SELECTOR);
    let pod = crate::text(&pods[0], "/metadata/name");
    let path = format!("/api/v1/namespaces/default/pods/{pod}:8080/proxy/");
    assert!(proxy.ask_for(&path, "127.0.0.1").contains("Hello Kubernetes bootcamp!"));
    // A page on another site has no business here, and no more has a session in a Pod.
    assert!(proxy.ask_for("/version", "evil.example").starts_with("HTTP/1.1 403 Forbidden"));
    let exec = format!("/api/v1/namespaces/default/pods/{pod}/exec?command=env");
    assert!(proxy.ask_for(&exec, "localhost").starts_with("HTTP/1.1 403 Forbidden"));
}
