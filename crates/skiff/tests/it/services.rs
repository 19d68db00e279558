//! How the host and the node reach Services.

use serde_json::Value;

use crate::cluster::Cluster;
use crate::{DEPLOYMENT, rows, text, with_deployment};

/// Waits for an answer of the application.
fn hello(cluster: &Cluster, what: &str, mut ask: impl FnMut() -> crate::cluster::Ran) {
    let answer = cluster.eventually(what, || {
        let asked = ask();
        (asked.code == 0).then_some(asked.stdout)
    });
    assert!(answer.starts_with("Hello Kubernetes bootcamp! | Running on: kubernetes-bootcamp-"), "{what}: {answer}");
}

fn port(service: &Value) -> String {
    service.pointer("/spec/ports/0/nodePort").map(Value::to_string).expect("a node port")
}

#[test]
fn a_node_port_has_a_url_and_answers_on_the_nodes_localhost() {
    let cluster = with_deployment(1);
    let missing = cluster.skiff(&["service", "kubernetes-bootcamp", "--url"]).failed();
    assert!(missing.contains("there is no Service \"kubernetes-bootcamp\""), "{missing}");
    cluster.kubectl(&["expose", DEPLOYMENT, "--type=NodePort", "--port", "8080"]).ok();
    let port = port(&cluster.get(&["service", "kubernetes-bootcamp"]));
    let ip = cluster.skiff(&["ip"]).ok();
    let url = format!("http://{}:{port}", ip.trim());
    for words in [&["service", "kubernetes-bootcamp", "--url"][..], &["service", "kubernetes-bootcamp"]] {
        assert_eq!(cluster.skiff(words).ok(), format!("{url}\n"), "there is no browser, so both print it");
    }
    hello(&cluster, "the node port answers on the node's address", || {
        cluster.sample(&["get", &url["http://".len()..]])
    });
    let on_localhost = format!("http://localhost:{port}");
    hello(&cluster, "the node port answers on the node's localhost", || {
        cluster.skiff(&["ssh", "--", "curl", "--silent", &on_localhost])
    });
    // The node's own tools come last in the path: the machine may have none.
    let own = cluster.skiff(&["ssh", "--", "sh", "-c", "PATH=${PATH##*:} curl --silent \"$0\"", &on_localhost]);
    assert!(own.ok().starts_with("Hello Kubernetes bootcamp!"), "the node has a curl of its own");
    let line = cluster.skiff(&["ssh", &format!("curl --silent {on_localhost} && echo done")]).ok();
    assert!(line.ends_with("| v=1\ndone\n"), "a line of words is the shell's: {line}");

    let all = cluster.skiff(&["service", "--all"]).ok();
    assert!(all.contains(&format!("| 8080        | {url} ")), "{all}");
    assert!(all.lines().any(|line| line.contains("| kubernetes ") && line.contains("No node port")), "{all}");
    let unreachable = cluster.skiff(&["service", "kubernetes", "--url"]).failed();
    assert!(unreachable.contains("has no node port"), "{unreachable}");

    cluster.kubectl(&["delete", "service", "kubernetes-bootcamp"]).ok();
    cluster.eventually("nothing answers any more", || {
        (cluster.sample(&["get", &url["http://".len()..]]).code != 0).then_some(())
    });
}

#[test]
fn what_the_cluster_needs_comes_again() {
    let cluster = Cluster::prepare();
    cluster.start_on_own_port();
    let address = |service: &Value| text(service, "/spec/clusterIP").to_owned();
    let before = address(&cluster.get(&["service", "kubernetes"]));
    cluster.kubectl(&["delete", "services", "--all"]).ok();
    cluster.kubectl(&["delete", "namespace", "kube-node-lease"]).ok();
    let endpoint = "jsonpath={.items[*].endpoints[*].addresses[*]}";
    cluster.eventually("they are there again", || {
        let service = cluster.kubectl(&["get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}"]);
        let slices = ["get", "endpointslices", "-l", "kubernetes.io/service-name=kubernetes", "-o", endpoint];
        let reached = cluster.kubectl(&slices).ok() == cluster.skiff(&["ip"]).ok().trim();
        let namespace = cluster.kubectl(&["get", "namespace", "kube-node-lease"]);
        (service.stdout == before && reached && namespace.code == 0).then_some(())
    });
}

#[test]
fn a_node_port_out_of_range_is_refused() {
    let cluster = Cluster::prepare();
    cluster.start_on_own_port();
    for port in ["29999", "65536", "99999", "-1"] {
        let words = ["create", "service", "nodeport", "web", "--tcp=80", &format!("--node-port={port}")];
        let refused = cluster.kubectl(&words).failed();
        let why = format!(
            "Invalid value: {port}: provided port is not in the valid range. The range of valid ports is 30000-32767"
        );
        assert!(refused.contains(&why), "{refused}");
    }
}

#[test]
fn a_load_balancer_is_reached_from_the_host() {
    let cluster = with_deployment(1);
    cluster.kubectl(&["expose", DEPLOYMENT, "--type=LoadBalancer", "--port", "80", "--target-port", "8080"]).ok();
    let address = cluster.eventually("the Service gets an address", || {
        let service = cluster.get(&["service", "kubernetes-bootcamp"]);
        let address = text(&service, "/status/loadBalancer/ingress/0/ip").to_owned();
        (!address.is_empty()).then_some(address)
    });
    hello(&cluster, "the load balancer answers", || cluster.sample(&["get", &format!("{address}:80")]));
}

#[test]
fn the_same_verbs_through_a_link_named_minikube() {
    let cluster = Cluster::prepare();
    let other = cluster.skiff_called("minikube", &["status"]);
    assert_eq!(other.code, 4, "{other}");
    assert!(other.failed().contains("there is no cluster \"minikube\""));
    let help = cluster.skiff_called("minikube", &["--help"]).ok();
    for verb in ["start", "status", "stop", "delete", "service", "ssh", "image", "logs", "ip", "kubectl"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(verb)), "{verb} is missing in\n{help}");
    }
    let version = cluster.skiff_called("kubectl", &["version", "--client"]).ok();
    assert!(version.starts_with("Client Version: v1.37"), "{version}");
    let wrong = cluster.skiff_called("minikube", &["strat"]);
    assert_eq!(wrong.code, 2, "{wrong}");
    assert!(cluster.skiff_called("minikube", &["version"]).ok().starts_with("minikube version: v"));
    assert!(cluster.skiff(&["version"]).ok().starts_with("skiff version: v"));
    for words in [
        &["start", "--nodes=2"][..],
        &["start", "--kubernetes-version", "v1.30.0"],
        &["addons", "enable", "ingress"],
        &["dashboard"],
    ] {
        assert_eq!(cluster.skiff_called("minikube", words).code, 1, "{words:?}");
    }
    cluster.skiff_called("minikube", &["tunnel"]).ok();
    cluster.skiff(&["start"]).ok();
    let nodes = cluster.skiff(&["kubectl", "--", "get", "nodes", "-o", "name"]).ok();
    assert_eq!(nodes, format!("node/{}\n", cluster.profile));
    let table = cluster.eventually("the node has its role", || {
        let table = cluster.kubectl(&["get", "nodes"]).ok();
        table.contains("control-plane").then_some(table)
    });
    assert!(table.contains("Ready"), "{table}");
    let all = cluster.skiff_called("minikube", &["-p", &cluster.profile, "service", "list"]).ok();
    assert!(all.contains("kubernetes") && all.contains("kube-dns"), "{all}");
    let nodes =
        cluster.skiff_called("minikube", &["-p", &cluster.profile, "kubectl", "--", "get", "node", "-o", "name"]).ok();
    assert_eq!(nodes, format!("node/{}\n", cluster.profile));
    let started =
        cluster.skiff(&["start", "--driver=docker", "--memory", "4g", "--cpus=2", "--kubernetes-version=stable"]);
    assert!(started.stderr.contains("--driver, --memory, --cpus: no effect"), "{started}");
    let clusters = cluster.skiff_called("minikube", &["profile", "list"]).ok();
    assert_eq!(rows(&clusters)[0][..2], [cluster.profile.as_str(), "running"], "{clusters}");
    cluster.skiff_called("minikube", &["delete", "--all"]).ok();
    assert_eq!(rows(&cluster.skiff_called("minikube", &["profile", "list"]).ok()).len(), 0);
    cluster.skiff(&["start"]).ok();
}

#[test]
fn services_are_found_by_name_in_pods() {
    let cluster = Cluster::prepare();
    cluster.skiff(&["start"]).ok();
    cluster.skiff(&["demo", "--load-only"]).ok();
    let image = "--image=gcr.io/google-samples/kubernetes-bootcamp:v1";
    cluster.kubectl(&["create", "deployment", "kubernetes-bootcamp", image]).ok();
    cluster.kubectl(&["expose", DEPLOYMENT, "--port", "8080"]).ok();
    cluster.kubectl(&["expose", DEPLOYMENT, "--port", "8080", "--name=headless", "--cluster-ip=None"]).ok();
    let target = "kubernetes-bootcamp.default.svc.cluster.local";
    cluster.kubectl(&["create", "service", "externalname", "elsewhere", "--external-name", target]).ok();
    cluster.rollout_status(DEPLOYMENT);
    for name in [
        "kubernetes-bootcamp",
        "kubernetes-bootcamp.default",
        target,
        "headless",
        "elsewhere.default.svc.cluster.local",
    ] {
        hello(&cluster, name, || {
            cluster.kubectl(&["exec", DEPLOYMENT, "--", "curl", "--silent", &format!("http://{name}:8080")])
        });
    }
    let nobody = cluster.kubectl(&["exec", DEPLOYMENT, "--", "curl", "--silent", "http://nobody:8080"]);
    assert_ne!(nobody.code, 0, "{nobody}");
}
