//! `skiff demo`: the tutorial as a play, with skiff's own application and its own kubectl.

use crate::cluster::Cluster;
use crate::{names, text};

/// Nothing listens there, so that no pull of the demo leaves the machine.
const NO_REGISTRY: &str = "
mirrors:
  gcr.io: {endpoint: ['http://127.0.0.1:1']}
  docker.io: {endpoint: ['http://127.0.0.1:1']}
";

#[test]
fn the_demo_plays_the_tutorial_and_leaves_the_cluster() {
    let cluster = Cluster::prepare();
    cluster.write("registries.yaml", NO_REGISTRY.as_bytes());
    let played = cluster.skiff(&["demo"]).ok();
    for expected in [
        "$ kubectl create deployment kubernetes-bootcamp --image=gcr.io/google-samples/kubernetes-bootcamp:v1\n\
         deployment.apps/kubernetes-bootcamp created\n",
        "loaded gcr.io/google-samples/kubernetes-bootcamp:v1: skiff's own sample application",
        "service/kubernetes-bootcamp exposed\n",
        "| v=1\n",
        "deployment.apps/kubernetes-bootcamp scaled\n",
        "deployment.apps/kubernetes-bootcamp image updated\n",
        "| v=2\n",
        "deployment.apps/kubernetes-bootcamp rolled back\n",
        "# The cluster runs on\n",
    ] {
        assert!(played.contains(expected), "{expected:?} is missing in\n{played}");
    }
    // Which of the two depends on how quickly the pull failed.
    assert!(played.contains("ErrImagePull") || played.contains("ImagePullBackOff"), "{played}");
    // The update that can't work left the old Pods alone.
    assert!(played.contains("kubernetes-bootcamp   2/2     1            2"), "{played}");
    let pods = cluster.pods(crate::SELECTOR);
    assert_eq!(names(&pods).len(), 2);
    let image = "docker.io/jocatalin/kubernetes-bootcamp:v2";
    assert!(pods.iter().all(|pod| text(pod, "/spec/containers/0/image") == image), "{pods:?}");

    let again = cluster.skiff(&["demo"]).failed();
    assert!(again.contains("there is one already") && again.contains("kubectl delete deployment"), "{again}");
}

#[test]
fn the_application_can_be_loaded_alone() {
    let cluster = Cluster::prepare();
    cluster.skiff(&["start"]).ok();
    let loaded = cluster.skiff(&["demo", "--load-only"]).ok();
    assert_eq!(loaded.lines().count(), 2, "{loaded}");
    let image = "--image=gcr.io/google-samples/kubernetes-bootcamp:v1";
    cluster.kubectl(&["run", "app", image]).ok();
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/app", "--timeout=60s"]).ok();
    let asked = cluster.eventually("the application listens", || {
        let asked = cluster.kubectl(&["exec", "app", "--", "sh", "-c", "curl --silent localhost:8080"]);
        (asked.code == 0).then_some(asked.stdout)
    });
    assert_eq!(asked, "Hello Kubernetes bootcamp! | Running on: app | v=1\n");
}
