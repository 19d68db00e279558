//! Commands that reach beyond the API: files, editors, terminals, the kubeconfig.

use crate::cluster::Cluster;
use crate::{image, text};

#[test]
fn files_are_copied_both_ways() {
    let cluster = Cluster::prepare();
    cluster.skiff(&["start"]).ok();
    cluster.skiff(&["demo", "--load-only"]).ok();
    cluster.kubectl(&["run", "files", "--image=gcr.io/google-samples/kubernetes-bootcamp:v1"]).ok();
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/files", "--timeout=60s"]).ok();
    let lines: String = (0..50_000).map(|n| format!("line {n}\n")).collect();
    cluster.write("there.txt", lines.as_bytes());
    let (there, back) = (cluster.path("there.txt"), cluster.path("back.txt"));
    cluster.kubectl(&["cp", &there, "files:/tmp/copied.txt"]).ok();
    let seen = cluster.kubectl(&["exec", "files", "--", "cat", "/tmp/copied.txt"]).ok();
    assert!(seen == lines, "{} bytes arrived of {}", seen.len(), lines.len());
    cluster.kubectl(&["cp", "default/files:/tmp/copied.txt", &back]).ok();
    assert!(cluster.read("back.txt") == lines.as_bytes(), "what came back is another");
    // Upstream's kubectl may have read the empty archive to its end before it learns of the failure, and then ends with 0.
    cluster.kubectl(&["cp", "files:/tmp/nothing", &cluster.path("nothing.txt")]);
    assert!(!cluster.files("").contains(&"nothing.txt".to_owned()), "nothing came, so nothing is made");
}

#[test]
fn an_attached_process_reads_and_speaks() {
    let cluster = Cluster::start();
    let image = format!("--image={}", image::V1);
    let words = ["run", "echo", &image, "-i", "--rm", "--restart=Never", "--quiet", "--", "cat"];
    let said = cluster.kubectl_reading(&words, "one\ntwo\n").ok();
    assert!(said.contains("one\ntwo\n"), "{said}");
    assert!(cluster.kubectl(&["get", "pod", "echo"]).failed().contains("not found"), "--rm leaves nothing");
}

#[test]
fn what_a_short_program_says_is_shown_once() {
    let cluster = Cluster::start();
    let image = format!("--image={}", image::V1);
    for round in 0..5 {
        let name = format!("short-{round}");
        let words = ["run", &name, &image, "-i", "--restart=Never", "--quiet", "--", "echo", "first and last"];
        assert_eq!(cluster.kubectl_reading(&words, "").ok(), "first and last\n");
    }
}

#[test]
fn an_object_is_edited_in_the_users_editor() {
    let cluster = Cluster::start();
    cluster.kubectl(&["create", "configmap", "colours", "--from-literal=sky=blue"]).ok();
    let edit = |script: &str| {
        cluster.kubectl_with(&[("KUBE_EDITOR", &format!("sed -i {script}"))], &["edit", "configmap", "colours"], "")
    };
    assert_eq!(edit("s/sky:.blue/sky:\\ grey/").ok(), "configmap/colours edited\n");
    assert_eq!(text(&cluster.get(&["configmap", "colours"]), "/data/sky"), "grey");
    assert_eq!(edit("s/nothing/else/").stderr, "Edit cancelled, no changes made.\n");
}

#[test]
fn the_kubeconfig_is_read_and_changed() {
    let cluster = Cluster::start();
    let profile = cluster.profile.as_str();
    let contexts = cluster.kubectl(&["config", "get-contexts", "-o", "name"]).ok();
    assert_eq!(contexts, format!("{profile}\n"));
    let set = cluster.kubectl(&["config", "set-context", "--current", "--namespace=kube-public"]).ok();
    assert_eq!(set, format!("Context \"{profile}\" modified.\n"));
    let empty = cluster.kubectl(&["get", "pods"]);
    assert_eq!(empty.stderr, "No resources found in kube-public namespace.\n");
    let seen = cluster.kubectl(&["config", "view", "--minify", "-o", "jsonpath={..namespace}"]).ok();
    assert_eq!(seen, "kube-public");
    let view = cluster.kubectl(&["config", "view"]).ok();
    assert!(view.contains("client-key-data: DATA+OMITTED") || view.contains("REDACTED"), "{view}");
    let unknown = cluster.kubectl(&["config", "use-context", "nobody"]).failed();
    assert_eq!(unknown, "error: no context exists with the name: \"nobody\"\n");
    let gone = cluster.kubectl(&["--context=nobody", "get", "pods"]).failed();
    assert!(gone.contains("context was not found for specified context: nobody"), "{gone}");
}
