//! Commands that reach beyond the API: files, editors, terminals, the kubeconfig.

use std::io::{BufRead as _, BufReader};

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

#[test]
fn what_was_applied_is_shown_and_what_has_no_name_is_refused() {
    let cluster = Cluster::prepare();
    cluster.start_on_own_port();
    let manifest = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n{name}data:\n  sky: blue\n");
    cluster.kubectl_reading(&["apply", "-f", "-"], &manifest("  name: colours\n")).ok();
    let yaml = cluster.kubectl(&["apply", "view-last-applied", "configmap/colours"]).ok();
    let wanted = "apiVersion: v1\ndata:\n  sky: blue\nkind: ConfigMap\nmetadata:\n  annotations: {}\n  name: colours\n  namespace: default\n";
    assert_eq!(yaml, wanted);
    let json = cluster.kubectl(&["apply", "view-last-applied", "configmap", "colours", "-o", "json"]).ok();
    assert!(json.starts_with("{\n  \"apiVersion\": \"v1\",\n  \"data\": {\n    \"sky\": \"blue\"\n  },\n"), "{json}");
    assert!(json.ends_with("}\n"), "{json}");
    let wrong = cluster.kubectl(&["apply", "view-last-applied", "configmap", "colours", "-o", "xml"]).failed();
    assert!(wrong.contains("Unexpected -o output mode: xml, the flag 'output' must be one of yaml|json"), "{wrong}");
    assert_eq!(cluster.kubectl(&["apply", "view-last-applied", "service/kubernetes"]).ok(), "", "it was never applied");
    let unknown = cluster.kubectl(&["apply", "colours"]).failed();
    assert!(unknown.starts_with("error: Unexpected args: [colours]\n"), "{unknown}");

    let nameless = manifest("  labels: {}\n");
    let refused = cluster.kubectl_reading(&["apply", "-f", "-"], &nameless).failed();
    let wanted = "error: error when retrieving current configuration of:\n\
                  Resource: \"/v1, Resource=configmaps\", GroupVersionKind: \"/v1, Kind=ConfigMap\"\n\
                  Name: \"\", Namespace: \"default\"\n\
                  from server for: \"STDIN\": resource name may not be empty\n";
    assert_eq!(refused, wanted);
    let refused = cluster.kubectl_reading(&["apply", "--server-side", "-f", "-"], &nameless).failed();
    assert_eq!(refused, "error: resource name may not be empty\n");
    for (metadata, found, field, ty) in [
        ("  name: c\n  labels: {a: 1}\n", "number", "labels", "string"),
        ("  name: c\n  annotations: {a: true}\n", "bool", "annotations", "string"),
        ("  name: c\n  labels: a\n", "string", "labels", "map[string]string"),
        ("  name: 5\n", "number", "name", "string"),
    ] {
        let refused = cluster.kubectl_reading(&["apply", "-f", "-"], &manifest(metadata)).failed();
        let wanted = format!(
            "error: unable to decode \"STDIN\": json: cannot unmarshal {found} into Go struct field \
             ObjectMeta.metadata.{field} of type {ty}\n"
        );
        assert_eq!(refused, wanted);
    }
    // Rows without the field are left out, all of them.
    let sorted = cluster.kubectl(&["get", "configmaps", "--sort-by=.nothing"]);
    assert_eq!((sorted.stdout.as_str(), sorted.stderr.as_str()), ("", "No resources found in default namespace.\n"));
}

#[test]
fn requests_are_sent_as_they_are_written() {
    let cluster = Cluster::prepare();
    cluster.start_on_own_port();
    let maps = "/api/v1/namespaces/default/configmaps";
    let object = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"raw"}}"#;
    let made = cluster.kubectl_reading(&["create", "--raw", maps, "-f", "-"], object).ok();
    assert!(made.contains("\"name\":\"raw\""), "{made}");
    let again = cluster.kubectl_reading(&["create", "--raw", maps, "-f", "-"], object).failed();
    assert!(again.contains("configmaps \"raw\" already exists"), "{again}");
    let gone = cluster.kubectl(&["delete", "--raw", &format!("{maps}/raw")]).ok();
    assert!(gone.contains("\"Success\""), "{gone}");
    for (words, wanted) in [
        (&["create", "--raw", maps][..], "error: must specify one of -f and -k\n"),
        (&["create", "--raw", maps, "-f", "a", "-f", "b"], "error: --raw can only use a single local file or stdin\n"),
        (&["create", "--raw", maps, "-f", "a", "-o", "name"], "error: --raw and --output are mutually exclusive\n"),
        (
            &["delete", "--raw", "api"],
            "error: --raw must be a valid URL path: parse \"api\": invalid URI for request\n",
        ),
    ] {
        assert_eq!(cluster.kubectl(words).failed(), wanted, "{words:?}");
    }
}

#[test]
fn a_cluster_is_dumped() {
    let cluster = crate::with_deployment(1);
    let directory = cluster.path("dump");
    let words = ["cluster-info", "dump", "--namespaces=default", "--output-directory", &directory];
    assert_eq!(cluster.kubectl(&words).ok(), format!("Cluster info dumped to {directory}\n"));
    let mut files = cluster.files("dump/default");
    files.retain(|file| file.contains('.'));
    files.sort();
    let kinds = ["daemonsets", "deployments", "events", "pods", "replicasets", "replication-controllers", "services"];
    assert_eq!(files, kinds.map(|kind| format!("{kind}.json")));
    let pods: serde_json::Value = serde_json::from_slice(&cluster.read("dump/default/pods.json")).expect("it is JSON");
    assert_eq!(text(&pods, "/kind"), "PodList");
    let pod = text(&pods, "/items/0/metadata/name");
    let log = String::from_utf8(cluster.read(&format!("dump/default/{pod}/logs.txt"))).expect("it is text");
    assert!(log.starts_with("==== START logs for container kubernetes-bootcamp of pod default/"), "{log}");
    assert!(log.ends_with(" ====\n") && log.contains("\n==== END logs for container"), "{log}");
    let all = cluster.kubectl(&["cluster-info", "dump", "-A", "-o", "yaml"]).ok();
    assert!(all.contains("\n    name: kube-dns\n") && all.contains(&format!("\n    name: {pod}\n")), "{all}");
    let names = cluster.kubectl(&["cluster-info", "dump", "-o", "name"]).failed();
    assert_eq!(names, "error: list types are not supported by name printing: *v1.NodeList\n");
}

#[test]
fn a_watch_tells_what_happened() {
    let cluster = Cluster::prepare();
    cluster.start_on_own_port();
    cluster.kubectl(&["create", "configmap", "colours", "--from-literal=sky=blue"]).ok();
    let words = ["get", "configmaps", "--field-selector=metadata.name=colours", "--watch", "--output-watch-events"];
    let mut watches =
        [&words[..], &[&words[..], &["-o", "json"]].concat()].map(|words| cluster.kubectl_started(&[], words));
    let mut lines = watches.each_mut().map(|watch| BufReader::new(watch.stdout.take().expect("it is piped")).lines());
    let mut next = |which: usize| lines[which].next().expect("the watch goes on").expect("it is text");
    assert!(next(0).starts_with("EVENT      NAME      DATA   AGE"));
    assert!(next(0).starts_with("ADDED      colours   1      "));
    assert!(next(1).starts_with("{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"v1\","));
    cluster.kubectl(&["label", "configmap", "colours", "a=b"]).ok();
    cluster.kubectl(&["delete", "configmap", "colours"]).ok();
    for kind in ["MODIFIED", "DELETED"] {
        let (row, object) = (next(0), next(1));
        assert!(row.starts_with(&format!("{kind:<8}   colours   1 ")), "{row}");
        assert!(object.starts_with(&format!("{{\"type\":{kind:?},\"object\":{{")), "{object}");
    }
    for mut watch in watches {
        watch.kill().and_then(|()| watch.wait()).expect("it runs");
    }
    let refused = cluster.kubectl(&["get", "configmaps", "--output-watch-events"]).failed();
    assert_eq!(refused, "error: --output-watch-events option can only be used with --watch or --watch-only\n");
    let refused = cluster.kubectl_reading(&["apply", "--all", "-l", "a=b", "-f", "-"], "").failed();
    assert_eq!(refused, "error: cannot set --all and --selector at the same time\n");
    let words =
        ["run", "web", "--image=web", "--dry-run=client", "-o", "name", "--force", "--grace-period=0", "--wait"];
    assert_eq!(cluster.kubectl(&words).ok(), "pod/web\n");
}
