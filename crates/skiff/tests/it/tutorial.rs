//! The Kubernetes basics tutorial, module by module, with what a user sees at each step.

use std::collections::BTreeSet;

use crate::cluster::Cluster;
use crate::{DEPLOYMENT, SELECTOR, image, names, rows, text, with_deployment};

#[test]
fn module_2_create_a_deployment() {
    let cluster = Cluster::start();
    let image = format!("--image={}", image::V1);
    let created = cluster.kubectl(&["create", "deployment", "kubernetes-bootcamp", &image]).ok();
    assert_eq!(created, "deployment.apps/kubernetes-bootcamp created\n");
    let status = cluster.rollout_status(DEPLOYMENT);
    assert!(status.ends_with("deployment \"kubernetes-bootcamp\" successfully rolled out\n"), "{status}");

    let table = cluster.kubectl(&["get", "deployments"]).ok();
    let header: Vec<&str> = table.lines().next().expect("a header").split_whitespace().collect();
    assert_eq!(header, ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]);
    assert_eq!(rows(&table)[0][..4], ["kubernetes-bootcamp", "1/1", "1", "1"]);
    let table = cluster.kubectl(&["get", "rs"]).ok();
    let header: Vec<&str> = table.lines().next().expect("a header").split_whitespace().collect();
    assert_eq!(header, ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]);
    assert_eq!(rows(&table)[0][1..4], ["1", "1", "1"]);
    let table = cluster.kubectl(&["get", "pods", "-o", "wide"]).ok();
    assert!(table.starts_with("NAME "), "{table}");
    assert!(table.contains("NOMINATED NODE   READINESS GATES"), "{table}");
    let rows = rows(&table);
    assert_eq!(rows[0][1..4], ["1/1", "Running", "0"]);
    assert_eq!(rows[0][6], cluster.profile);
}

#[test]
fn module_3_explore_the_app() {
    let cluster = with_deployment(1);
    let pods = cluster.pods(SELECTOR);
    let pod = names(&pods)[0];

    let description = cluster.kubectl(&["describe", "pods"]).ok();
    for expected in [
        format!("default-scheduler  Successfully assigned default/{pod} to {}", cluster.profile),
        format!("Container image \"{}\" already present on machine", image::V1),
        "Container created".to_owned(),
        "Container started".to_owned(),
        "QoS Class:                   BestEffort".to_owned(),
        format!("IP:               {}", text(&pods[0], "/status/podIP")),
    ] {
        assert!(description.contains(&expected), "{expected:?} is missing in\n{description}");
    }
    let events = cluster.kubectl(&["get", "events"]).ok();
    let header: Vec<&str> = events.lines().next().expect("a header").split_whitespace().collect();
    assert_eq!(header, ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
    for reason in ["Scheduled", "Pulled", "Created", "Started", "SuccessfulCreate", "ScalingReplicaSet"] {
        assert!(rows(&events).iter().any(|row| row[2] == reason), "{reason} is missing in\n{events}");
    }

    let started = format!("Kubernetes Bootcamp App Started | Running On: {pod}\n");
    assert_eq!(cluster.kubectl(&["logs", pod]).ok(), started);
    let environment = cluster.kubectl(&["exec", pod, "--", "/app", "env"]).ok();
    for variable in [format!("HOSTNAME={pod}"), "KUBERNETES_SERVICE_PORT=443".to_owned(), "PATH=/".to_owned()] {
        assert!(environment.lines().any(|line| line == variable), "{variable} is missing in\n{environment}");
    }
    let answer = cluster.kubectl(&["exec", pod, "--", "/app", "get", "localhost:8080"]).ok();
    assert_eq!(answer, format!("Hello Kubernetes bootcamp! | Running on: {pod} | v=1\n"));
    let log = cluster.kubectl(&["logs", DEPLOYMENT, "--tail=1"]).ok();
    assert_eq!(log, format!("Running On: {pod} | GET / HTTP/1.1\n"));
    let failed = cluster.kubectl(&["exec", pod, "--", "/app", "exit", "7"]);
    assert_eq!(failed.code, 7, "{failed}");
    assert!(failed.failed().contains("command terminated with exit code 7"));
}

#[test]
fn module_4_expose_and_label() {
    let cluster = with_deployment(1);
    let pods = cluster.pods(SELECTOR);
    let pod = names(&pods)[0];
    let exposed = cluster.kubectl(&["expose", DEPLOYMENT, "--type=NodePort", "--port", "8080"]).ok();
    assert_eq!(exposed, "service/kubernetes-bootcamp exposed\n");
    let service = cluster.get(&["service", "kubernetes-bootcamp"]);
    assert_eq!(text(&service, "/spec/type"), "NodePort");
    assert!(text(&service, "/spec/clusterIP").starts_with("10.96."), "{service}");
    let port = service.pointer("/spec/ports/0/nodePort").and_then(serde_json::Value::as_u64).expect("a node port");
    assert!((30000..32768).contains(&port), "{service}");
    let table = cluster.kubectl(&["get", "services"]).ok();
    assert!(table.contains(&format!("8080:{port}/TCP")), "{table}");
    let endpoint = format!("{}:8080", text(&pods[0], "/status/podIP"));
    cluster.eventually("the Service has the Pod as its endpoint", || {
        let description = cluster.kubectl(&["describe", "services/kubernetes-bootcamp"]).ok();
        description.lines().any(|line| line.starts_with("Endpoints:") && line.ends_with(&endpoint)).then_some(())
    });

    // The Service answers in Pods by its cluster address, and for the user on the node's port.
    let hello = format!("Hello Kubernetes bootcamp! | Running on: {pod} | v=1\n");
    let inside = format!("{}:8080", text(&service, "/spec/clusterIP"));
    let ask = cluster.eventually("the Service answers by its cluster address", || {
        let ask = cluster.kubectl(&["exec", pod, "--", "/app", "get", &inside]);
        (ask.code == 0).then_some(ask.stdout)
    });
    assert_eq!(ask, hello);
    let status = cluster.skiff(&["status"]).ok();
    let node =
        status.lines().find_map(|line| line.strip_prefix("node address: ")).expect("status names the node's address");
    assert_eq!(cluster.sample(&["get", &format!("{node}:{port}")]).ok(), hello);

    assert_eq!(cluster.kubectl(&["label", "pods", pod, "version=v1"]).ok(), format!("pod/{pod} labeled\n"));
    assert_eq!(names(&cluster.pods("version=v1")), [pod]);
    assert_eq!(cluster.pods("version=v2"), [] as [serde_json::Value; 0]);
    let gone = cluster.kubectl(&["delete", "service", "-l", SELECTOR]).ok();
    assert!(gone.contains("service \"kubernetes-bootcamp\" deleted"), "{gone}");
    assert!(cluster.kubectl(&["get", "service", "kubernetes-bootcamp"]).failed().contains("(NotFound)"));
}

#[test]
fn module_5_scale() {
    let cluster = with_deployment(1);
    let scale = |replicas: &str| {
        let scaled = cluster.kubectl(&["scale", DEPLOYMENT, "--replicas", replicas]).ok();
        assert_eq!(scaled, "deployment.apps/kubernetes-bootcamp scaled\n");
        cluster.eventually(&format!("{replicas} Pods"), || {
            let all = cluster.get(&["pods", "-l", SELECTOR])["items"].as_array().map_or(0, Vec::len);
            (all.to_string() == replicas).then_some(())
        });
        cluster.rollout_status(DEPLOYMENT);
    };
    scale("4");
    let pods = cluster.pods(SELECTOR);
    let addresses: BTreeSet<&str> = pods.iter().map(|pod| text(pod, "/status/podIP")).collect();
    assert_eq!(addresses.len(), 4, "{addresses:?}");
    assert!(addresses.iter().all(|address| address.starts_with("10.244.0.")), "{addresses:?}");
    let table = cluster.kubectl(&["get", "deployments"]).ok();
    assert_eq!(rows(&table)[0][..4], ["kubernetes-bootcamp", "4/4", "4", "4"]);
    let description = cluster.kubectl(&["describe", DEPLOYMENT]).ok();
    assert!(description.contains("4 desired | 4 updated | 4 total | 4 available | 0 unavailable"), "{description}");
    let line = description.lines().find(|line| line.ends_with(" from 1 to 4")).expect("the event of scaling");
    assert!(
        line.contains("ScalingReplicaSet") && line.contains("Scaled up replica set kubernetes-bootcamp-"),
        "{line}"
    );

    scale("2");
    scale("0");
    assert_eq!(cluster.kubectl(&["get", "pods"]).stderr, "No resources found in default namespace.\n");
    scale("2");

    // One that is deleted is replaced.
    let before = cluster.pods(SELECTOR);
    let victim = names(&before)[0];
    let deleted = cluster.kubectl(&["delete", "pod", victim]).ok();
    let said = format!("pod \"{victim}\" deleted");
    cluster.assert_said(&deleted, &format!("{said} from default namespace\n"), &format!("{said}\n"));
    cluster.rollout_status(DEPLOYMENT);
    let after = cluster.pods(SELECTOR);
    assert!(after.len() == 2 && !names(&after).contains(&victim), "{:?}", names(&after));
    assert!(names(&after).contains(&names(&before)[1]), "{:?}", names(&after));
}
