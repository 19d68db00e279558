//! What goes wrong is said in one message that names the thing and the next step, with its exit code, and changes nothing.

use std::net::TcpListener;

use crate::cluster::{Cluster, Ran};

/// One line that has all of these.
#[track_caller]
fn refused(ran: Ran, code: i32, wanted: &[&str]) {
    assert_eq!(ran.code, code, "{ran}");
    let said = ran.failed();
    assert!(wanted.iter().all(|text| said.contains(text)), "{wanted:?} should be in {said:?}");
}

#[test]
fn before_a_cluster_exists() {
    let cluster = Cluster::prepare();
    refused(cluster.skiff(&["strat"]), 2, &["strat", "start"]);
    refused(cluster.skiff(&["start", "--api-prot", "1"]), 2, &["--api-prot", "--api-port"]);
    refused(cluster.skiff(&["start", "--api-port", "many"]), 2, &["many", "--api-port"]);
    refused(cluster.skiff(&["start", "--api-port", "0"]), 2, &["0 is not in 1..=65535", "--api-port"]);
    refused(cluster.skiff_as("Big Name", &["start"]), 1, &["Big Name", "lower case"]);
    for words in [&["status"][..], &["stop"], &["delete"], &["ssh"], &["ip"], &["service", "web"], &["logs"]] {
        refused(cluster.skiff(words), 4, &["there is no cluster", &format!("skiff start -p {}", cluster.profile)]);
    }
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    refused(cluster.skiff(&["start", "--api-port", &port]), 1, &[&port, "choose another with --api-port"]);
    refused(cluster.skiff_as_nobody(&["start"]), 3, &["needs root", "sudo"]);
    assert_eq!(cluster.files("clusters"), [] as [String; 0], "nothing was made");
}

#[test]
fn files_that_are_not_ours() {
    let cluster = Cluster::prepare();
    for text in ["- not\n- a map\n", "clusters: {a: b}\n", "a: [\n"] {
        cluster.write("kubeconfig", text.as_bytes());
        refused(cluster.skiff(&["start"]), 1, &["kubeconfig is not a kubeconfig", "set KUBECONFIG"]);
        assert_eq!(cluster.read("kubeconfig"), text.as_bytes());
    }
    assert_eq!(cluster.files("clusters"), [] as [String; 0], "nothing was made");
    cluster.write("kubeconfig", b"");
    let folder = format!("clusters/{}", cluster.profile);
    std::fs::create_dir_all(cluster.path(&folder)).expect("a directory");
    cluster.write(&format!("{folder}/notes"), b"mine");
    refused(cluster.skiff(&["start"]), 1, &["\"notes\"", "no cluster.json", "-p"]);
    refused(cluster.skiff(&["delete"]), 4, &["there is no cluster"]);
    assert_eq!(cluster.read(&format!("{folder}/notes")), b"mine");
    std::fs::remove_dir_all(cluster.path(&folder)).expect("it is ours");
}

/// The real kernel, less one thing: a personality that calls itself Linux 2.6, and mounts of its own without cgroups.
#[test]
fn when_the_kernel_lacks_something() {
    let cluster = Cluster::prepare();
    let old = cluster.skiff_on_less(&["setarch", "x86_64", "--uname-2.6"], "", &["start"]);
    refused(old, 1, &["its kernel is 2.6", "Linux 5.12 or newer"]);
    let bare = cluster.skiff_on_less(&["unshare", "--mount"], "umount -l -R /sys/fs/cgroup;", &["start"]);
    refused(bare, 1, &["no cgroup hierarchy", "mount -t cgroup2"]);
    assert_eq!(cluster.files("clusters"), [] as [String; 0], "nothing was made");
    assert_eq!(cluster.processes(), [], "nothing runs");
}

#[test]
fn when_a_cluster_exists() {
    let cluster = Cluster::prepare();
    cluster.start_on_own_port();
    refused(cluster.skiff(&["start", "--api-port", "9"]), 1, &["delete it first"]);
    cluster.write("no.tar", b"no archive");
    let file = cluster.path("no.tar");
    refused(cluster.skiff(&["image", "load", &file]), 1, &["failed to load", &file]);
    refused(cluster.skiff(&["image", "load", "/nonexistent.tar"]), 1, &["/nonexistent.tar", "No such file"]);
    refused(cluster.skiff(&["image", "rm", "nobody/has:this"]), 1, &["nobody/has:this"]);
    refused(cluster.skiff(&["service", "web"]), 1, &["\"web\"", "skiff service --all"]);
    cluster.skiff(&["stop"]).ok();
    for words in [&["ssh"][..], &["ip"], &["service", "web"]] {
        refused(cluster.skiff(words), 4, &["does not run", "skiff start -p"]);
    }

    // A log that lost bytes in its middle is not opened, and not touched.
    let name =
        cluster.files(&format!("clusters/{}/datastore", cluster.profile)).into_iter().find(|f| f.starts_with("log-"));
    let log = format!("clusters/{}/datastore/{}", cluster.profile, name.expect("the datastore has a log"));
    let whole = cluster.read(&log);
    let mut damaged = whole.clone();
    damaged[4096..4160].fill(0xff);
    cluster.write(&log, &damaged);
    refused(cluster.skiff(&["start"]), 1, &["datastore", "is damaged", "byte", "restore a backup"]);
    assert!(cluster.read(&log) == damaged, "a damaged log stays as it is");
    assert_eq!(cluster.processes(), [], "nothing runs on");
    cluster.write(&log, &whole);
    cluster.skiff(&["start"]).ok();

    cluster.skiff(&["stop"]).ok();
    let settings = format!("clusters/{}/cluster.json", cluster.profile);
    let kept = cluster.read(&settings);
    cluster.write(&settings, b"{");
    refused(cluster.skiff(&["start"]), 1, &["cluster.json", "damaged", "skiff delete -p"]);
    cluster.write(&settings, br#"{"format": 99, "api_port": 1, "link_network": "10.88.0.0"}"#);
    refused(cluster.skiff(&["start"]), 1, &["newer skiff"]);
    cluster.write(&settings, &kept);
}
