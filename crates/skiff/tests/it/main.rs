//! End-to-end tests: a cluster as `skiff start` makes it, real containers, and upstream's kubectl as the user.
//!
//! They need root, and `SKIFF_TEST_KUBECTL` must name kubectl 1.37: `cargo xtask test` builds it and runs everything.
//! Each test has a cluster of its own, which is asserted to leave nothing behind.

mod bad_input;
mod certificates;
mod cluster;
mod commands;
mod demo;
mod everyday;
mod extensions;
mod image;
mod life;
mod nodes;
mod services;
mod storage;
mod streams;
mod tutorial;
mod updates;
mod workloads;

/// The tutorial's Deployment, in kubectl's words.
const DEPLOYMENT: &str = "deployment/kubernetes-bootcamp";
/// What selects its Pods.
const SELECTOR: &str = "app=kubernetes-bootcamp";

/// A cluster in which the tutorial's Deployment runs with some replicas.
#[track_caller]
fn with_deployment(replicas: u32) -> cluster::Cluster {
    let cluster = cluster::Cluster::start();
    let image = format!("--image={}", image::V1);
    let replicas = format!("--replicas={replicas}");
    cluster.kubectl(&["create", "deployment", "kubernetes-bootcamp", &image, &replicas]).ok();
    cluster.rollout_status(DEPLOYMENT);
    cluster
}

/// The text at a path of field names, `""` if there is none.
fn text<'a>(object: &'a serde_json::Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default()
}

/// The names of some objects, sorted.
fn names(objects: &[serde_json::Value]) -> Vec<&str> {
    let mut names: Vec<&str> = objects.iter().map(|object| text(object, "/metadata/name")).collect();
    names.sort_unstable();
    names
}

/// The words of each line of a table, without its header.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect()
}
