//! Rolling updates: to a version that works, to one that is nowhere, and back.

use serde_json::Value;

use crate::cluster::Cluster;
use crate::{DEPLOYMENT, SELECTOR, image, rows, text, with_deployment};

/// The tutorial's name for the second version.
const V2: &str = "kubernetes-bootcamp=jocatalin/kubernetes-bootcamp:v2";

fn images(cluster: &Cluster) -> Vec<String> {
    cluster.pods(SELECTOR).iter().map(|pod| text(pod, "/spec/containers/0/image").to_owned()).collect()
}

#[track_caller]
fn set_image(cluster: &Cluster, image: &str) {
    let set = cluster.kubectl(&["set", "image", DEPLOYMENT, image]).ok();
    assert_eq!(set, "deployment.apps/kubernetes-bootcamp image updated\n");
}

#[test]
fn module_6_update_and_roll_back() {
    let cluster = with_deployment(2);
    set_image(&cluster, V2);
    let status = cluster.rollout_status(DEPLOYMENT);
    assert!(status.ends_with("deployment \"kubernetes-bootcamp\" successfully rolled out\n"), "{status}");
    assert_eq!(images(&cluster), ["jocatalin/kubernetes-bootcamp:v2"; 2]);
    let pods = cluster.pods(SELECTOR);
    let pod = text(&pods[0], "/metadata/name");
    let answer = cluster.kubectl(&["exec", pod, "--", "/app", "get", "localhost:8080"]).ok();
    assert_eq!(answer, format!("Hello Kubernetes bootcamp! | Running on: {pod} | v=2\n"));

    // The tutorial's third version does not exist, and there is no network to ask for it.
    set_image(&cluster, "kubernetes-bootcamp=gcr.io/google-samples/kubernetes-bootcamp:v10");
    let reason = |pod: &Value| text(pod, "/status/containerStatuses/0/state/waiting/reason").to_owned();
    cluster.eventually("a Pod whose image can't be pulled", || {
        cluster
            .pods(SELECTOR)
            .iter()
            .any(|pod| ["ErrImagePull", "ImagePullBackOff"].contains(&reason(pod).as_str()))
            .then_some(())
    });
    let table = cluster.kubectl(&["get", "deployments"]).ok();
    assert_eq!(rows(&table)[0][..4], ["kubernetes-bootcamp", "2/2", "1", "2"]);
    let table = cluster.kubectl(&["get", "pods"]).ok();
    assert_eq!(rows(&table).iter().filter(|row| row[1] == "1/1" && row[2] == "Running").count(), 2, "{table}");
    let stuck = cluster.kubectl(&["rollout", "status", DEPLOYMENT, "--timeout=1s"]);
    assert!(stuck.stdout.contains("1 out of 2 new replicas have been updated..."), "{stuck}");
    assert!(stuck.failed().contains("timed out waiting for the condition"));
    cluster.eventually("the events of a pull that fails", || {
        let events = cluster.kubectl(&["get", "events"]).ok();
        let has = |reason: &str, message: &str| {
            events.lines().any(|line| line.split_whitespace().nth(2) == Some(reason) && line.contains(message))
        };
        (has("Pulling", "Pulling image \"gcr.io/google-samples/kubernetes-bootcamp:v10\"")
            && has("Failed", "Failed to pull image \"gcr.io/google-samples/kubernetes-bootcamp:v10\"")
            && has("Failed", "Error: ErrImagePull"))
        .then_some(())
    });

    assert_eq!(
        cluster.kubectl(&["rollout", "undo", DEPLOYMENT]).ok(),
        "deployment.apps/kubernetes-bootcamp rolled back\n"
    );
    cluster.rollout_status(DEPLOYMENT);
    cluster.eventually("only the second version", || {
        (images(&cluster) == ["jocatalin/kubernetes-bootcamp:v2"; 2]).then_some(())
    });
    let kept = cluster.pods(SELECTOR);
    assert!(
        kept.iter().any(|other| text(other, "/metadata/name") == pod),
        "Pods that worked are kept through the roll back"
    );
    let history = cluster.kubectl(&["rollout", "history", DEPLOYMENT]).ok();
    let revisions: Vec<&str> = rows(&history).iter().skip(1).filter_map(|row| row.first().copied()).collect();
    assert_eq!(revisions, ["1", "3", "4"], "{history}");
}

#[test]
fn restart_pause_and_resume() {
    let cluster = with_deployment(2);
    let uids = |cluster: &Cluster| -> Vec<String> {
        cluster.pods(SELECTOR).iter().map(|pod| text(pod, "/metadata/uid").to_owned()).collect()
    };
    let before = uids(&cluster);
    cluster.kubectl(&["rollout", "restart", DEPLOYMENT]).ok();
    cluster.rollout_status(DEPLOYMENT);
    let restarted = uids(&cluster);
    assert!(restarted.len() == 2 && restarted.iter().all(|uid| !before.contains(uid)), "{before:?} {restarted:?}");

    assert_eq!(cluster.kubectl(&["rollout", "pause", DEPLOYMENT]).ok(), "deployment.apps/kubernetes-bootcamp paused\n");
    set_image(&cluster, V2);
    let generation = cluster.get(&[DEPLOYMENT])["metadata"]["generation"].clone();
    cluster.eventually("the controller has seen the change", || {
        (cluster.get(&[DEPLOYMENT])["status"]["observedGeneration"] == generation).then_some(())
    });
    assert_eq!(images(&cluster), [image::V1; 2], "a paused Deployment updates nothing");
    assert_eq!(
        cluster.kubectl(&["rollout", "resume", DEPLOYMENT]).ok(),
        "deployment.apps/kubernetes-bootcamp resumed\n"
    );
    cluster.rollout_status(DEPLOYMENT);
    cluster.eventually("only the second version", || {
        (images(&cluster) == ["jocatalin/kubernetes-bootcamp:v2"; 2]).then_some(())
    });
}
