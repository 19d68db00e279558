//! Everyday commands beyond the tutorial.

use serde_json::json;

use crate::cluster::Cluster;
use crate::{image, rows, text};

const MANIFEST: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: 'gcr.io/google-samples/kubernetes-bootcamp:v1', ports: [{containerPort: 8080}]}
";

#[test]
fn run_wait_patch_delete() {
    let cluster = Cluster::start();
    let image = format!("--image={}", image::V1);
    let refused = cluster.kubectl(&["run", "web", &image, "--replicas=2"]).failed();
    let usage = "unknown flag: --replicas\nSee 'kubectl run --help' for usage.\n";
    cluster.assert_said(&refused, &format!("error: {usage}"), &format!("Error: {usage}"));

    assert_eq!(cluster.kubectl(&["run", "web", &image, "--port=8080"]).ok(), "pod/web created\n");
    let waited = cluster.kubectl(&["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"]).ok();
    assert_eq!(waited, "pod/web condition met\n");
    let patched = cluster.kubectl(&["patch", "pod", "web", "-p", r#"{"metadata":{"labels":{"tier":"front"}}}"#]).ok();
    assert_eq!(patched, "pod/web patched\n");
    let pod = cluster.get(&["pod", "web"]);
    assert_eq!(pod["metadata"]["labels"], serde_json::json!({"run": "web", "tier": "front"}));
    let forbidden = cluster.kubectl(&["patch", "pod", "web", "-p", r#"{"spec":{"nodeName":"other"}}"#]).failed();
    assert!(forbidden.contains("pod updates may not change fields other than"), "{forbidden}");
    let deleted = cluster.kubectl(&["delete", "pod", "web"]).ok();
    cluster.assert_said(&deleted, "pod \"web\" deleted from default namespace\n", "pod \"web\" deleted\n");
    assert!(cluster.kubectl(&["get", "pod", "web"]).failed().contains("pods \"web\" not found"));
}

#[test]
fn a_pod_that_ends_tells_how() {
    let cluster = Cluster::start();
    let image = format!("--image={}", image::V1);
    for (name, words, phase, status, code) in
        [("good", ["echo", "done"], "Succeeded", "Completed", 0), ("bad", ["exit", "3"], "Failed", "Error", 3)]
    {
        cluster.kubectl(&[&["run", name, &image, "--restart=Never", "--"], &words[..]].concat()).ok();
        let condition = format!("--for=jsonpath={{.status.phase}}={phase}");
        cluster.kubectl(&["wait", &condition, &format!("pod/{name}"), "--timeout=60s"]).ok();
        let table = cluster.kubectl(&["get", "pod", name]).ok();
        assert_eq!(rows(&table)[0][1..4], ["0/1", status, "0"], "{table}");
        let pod = cluster.get(&["pod", name]);
        assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], code, "{pod}");
    }
    assert_eq!(cluster.kubectl(&["logs", "good"]).ok(), "done\n");
}

#[test]
fn apply_creates_changes_and_deletes() {
    let cluster = Cluster::start();
    let apply = |manifest: &str| cluster.kubectl_reading(&["apply", "-f", "-"], manifest);
    assert_eq!(apply(MANIFEST).ok(), "deployment.apps/web created\n");
    assert_eq!(apply(MANIFEST).ok(), "deployment.apps/web unchanged\n");
    cluster.rollout_status("deployment/web");
    assert_eq!(apply(&MANIFEST.replace("replicas: 2", "replicas: 1")).ok(), "deployment.apps/web configured\n");
    cluster.kubectl(&["wait", "--for=jsonpath={.status.replicas}=1", "deployment/web", "--timeout=60s"]).ok();
    let unknown = apply(&MANIFEST.replace("replicas: 2", "replicsa: 2")).failed();
    assert!(unknown.contains("unknown field \"spec.replicsa\""), "{unknown}");
    let wrong = apply(&MANIFEST.replace("labels: {app: web}", "labels: {app: other}")).failed();
    assert!(wrong.contains("`selector` does not match template `labels`"), "{wrong}");

    let gone = cluster.kubectl_reading(&["delete", "-f", "-"], MANIFEST).ok();
    let said = "deployment.apps \"web\" deleted";
    cluster.assert_said(&gone, &format!("{said} from default namespace\n"), &format!("{said}\n"));
    cluster.kubectl(&["wait", "--for=delete", "pod", "-l", "app=web", "--timeout=60s"]);
    cluster.eventually("the garbage collector leaves nothing", || {
        let all = cluster.get(&["pods,replicasets", "-l", "app=web"]);
        all["items"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
}

#[test]
fn lists_and_several_objects_in_one_file() {
    let cluster = Cluster::prepare();
    cluster.start_on_own_port();
    let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [map("one"), map("two")]});
    let said = cluster.kubectl_reading(&["create", "-f", "-"], &list.to_string()).ok();
    assert_eq!(said, "configmap/one created\nconfigmap/two created\n");
    let seen = cluster.kubectl(&["get", "configmaps", "one", "two", "-o", "yaml"]).ok();
    let said = cluster.kubectl_reading(&["replace", "-f", "-"], &seen).ok();
    assert_eq!(said, "configmap/one replaced\nconfigmap/two replaced\n");
    let stream = format!("{}\n{}", map("three"), map("four"));
    let said = cluster.kubectl_reading(&["apply", "-f", "-"], &stream).ok();
    assert_eq!(said, "configmap/three created\nconfigmap/four created\n");
    let three = cluster.kubectl(&["get", "configmap", "three", "-o", "yaml"]).ok();
    let said = cluster.kubectl_reading(&["replace", "--force", "-f", "-"], &three).ok();
    let [today, former] = [" from default namespace", ""]
        .map(|place| format!("configmap \"three\" deleted{place}\nconfigmap/three replaced\n"));
    cluster.assert_said(&said, &today, &former);
    let old = json!({"apiVersion": "extensions/v1beta1", "kind": "Deployment", "metadata": {"name": "old"}});
    let refused = cluster.kubectl_reading(&["apply", "-f", "-"], &old.to_string()).failed();
    let expected = "error: resource mapping not found for name: \"old\" namespace: \"\" from \"STDIN\": no matches for kind \
                    \"Deployment\" in version \"extensions/v1beta1\"\nensure CRDs are installed first\n";
    assert_eq!(refused, expected);
}

#[test]
fn objects_are_set() {
    let cluster = Cluster::prepare();
    cluster.start_on_own_port();
    cluster.kubectl_reading(&["apply", "-f", "-"], MANIFEST).ok();
    let set = |words: &[&str]| cluster.kubectl(&[&["set"], words].concat());
    let said = set(&["resources", "deployment/web", "--limits=cpu=200m,memory=64Mi", "--requests=cpu=10m"]).ok();
    assert_eq!(said, "deployment.apps/web resource requirements updated\n");
    assert_eq!(set(&["sa", "deploy", "web", "robot"]).ok(), "deployment.apps/web serviceaccount updated\n");
    let spec = cluster.get(&["deployment", "web"])["spec"]["template"]["spec"].clone();
    let expected = json!({"limits": {"cpu": "200m", "memory": "64Mi"}, "requests": {"cpu": "10m"}});
    assert_eq!(spec["containers"][0]["resources"], expected);
    assert_eq!(spec["serviceAccountName"], "robot");
    cluster.kubectl(&["create", "service", "clusterip", "web", "--tcp=80"]).ok();
    assert_eq!(set(&["selector", "service", "web", "tier=front"]).ok(), "service/web selector updated\n");
    assert_eq!(cluster.get(&["service", "web"])["spec"]["selector"], json!({"tier": "front"}));
    cluster.kubectl(&["create", "rolebinding", "see", "--clusterrole=view", "--user=ann"]).ok();
    let said = set(&["subject", "rolebinding", "see", "--user=bob", "--serviceaccount=default:robot"]).ok();
    assert_eq!(said, "rolebinding.rbac.authorization.k8s.io/see subjects updated\n");
    let subjects = cluster.get(&["rolebinding", "see"])["subjects"].clone();
    let names: Vec<&str> = subjects.as_array().expect("a list").iter().map(|who| text(who, "/name")).collect();
    assert_eq!(names, ["ann", "bob", "robot"]);
    let said = set(&["image", "deployment/web", &format!("*={}", image::V2), "--record"]);
    assert_eq!(said.stderr, "Flag --record has been deprecated, --record will be removed in the future\n");
    let cause = format!("kubectl set image deployment/web *={} --record=true", image::V2);
    cluster.eventually("the revision has a cause", || {
        let history = cluster.kubectl(&["rollout", "history", "deployment/web"]).ok();
        history.contains(&cause).then_some(())
    });
    let refused = set(&["env", "deployment/web", "1A=b"]).failed();
    assert!(refused.starts_with("error: \"1A\" is not a valid key name: "), "{refused}");
}

#[test]
fn who_may_do_what() {
    let cluster = Cluster::start();
    assert_eq!(cluster.kubectl(&["auth", "can-i", "create", "pods"]).ok(), "yes\n");
    let other = cluster.kubectl(&["auth", "can-i", "create", "pods", "--as=somebody"]);
    assert_eq!((other.code, other.stdout.as_str()), (1, "no\n"), "{other}");
    let refused = cluster.kubectl(&["get", "pods", "--as=somebody"]).failed();
    assert!(
        refused
            .contains("User \"somebody\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""),
        "{refused}"
    );
    let me = cluster.kubectl(&["auth", "whoami", "-o", "json"]).ok();
    let me: serde_json::Value = serde_json::from_str(&me).expect("kubectl prints JSON");
    assert!(!text(&me, "/status/userInfo/username").is_empty(), "{me}");
}

#[test]
fn what_an_apply_would_change_is_shown() {
    let cluster = Cluster::start();
    let manifest = |sky: &str, key: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: colours}}\ndata: {{sky: {sky}}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: keys}}\nstringData: {{key: {key}}}\n"
        )
    };
    let diff = |words: &[&str], sky: &str, key: &str| {
        cluster.kubectl_reading(&[&["diff", "-f", "-"], words].concat(), &manifest(sky, key))
    };
    cluster.kubectl_reading(&["apply", "-f", "-"], &manifest("blue", "old")).ok();
    assert_eq!(diff(&[], "blue", "old").ok(), "", "nothing would change");
    for words in [&[][..], &["--server-side"]] {
        let changed = diff(words, "grey", "new");
        assert_eq!((changed.code, changed.stderr.as_str()), (1, ""), "{changed}");
        for lines in ["\n-  sky: blue\n+  sky: grey\n", "\n-  key: '*** (before)'\n+  key: '*** (after)'\n"] {
            assert!(changed.stdout.contains(lines), "{lines}: {changed}");
        }
    }
    assert_eq!(text(&cluster.get(&["configmap", "colours"]), "/data/sky"), "blue", "it is only shown");
    let named = [("KUBECTL_EXTERNAL_DIFF", "diff -N -q")];
    let files = cluster.kubectl_with(&named, &["diff", "-f", "-"], &manifest("grey", "old"));
    assert!(files.stdout.contains("v1.ConfigMap.default.colours differ\n"), "{files}");
    let failed = diff(&[], "[1]", "old");
    assert_eq!(failed.code, 2, "1 would mean a difference: {failed}");
    let unknown = cluster.kubectl(&["diff", "--such"]);
    let words = "error: unknown flag: --such\nSee 'kubectl diff -h' for help and examples\n";
    assert_eq!((unknown.code, unknown.stderr.as_str()), (2, words));
}
