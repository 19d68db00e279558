//! `skiff start`: makes the node, waits until the API answers and the node is ready, and writes the kubeconfig.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cni::plan::{Address, NodeLink};
use container_runtime::{Node, NodeConfig, NodeListener};

use super::{minikube, need_root, node_error};
use crate::cli::StartArgs;
use crate::cluster::{Choosing, Cluster};
use crate::pki::{Pki, ServerNames};
use crate::printer::Steps;
use crate::{kubeconfig, preflight, printer};

/// How long the cluster may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the daemon may take to end.
const DRAIN: Duration = Duration::from_secs(20);

pub(crate) fn run(profile: &str, args: &StartArgs) -> Result<ExitCode> {
    minikube::check(&args.minikube)?;
    need_root()?;
    preflight::check()?;
    kubeconfig::check()?;
    let choosing = Choosing::begin()?;
    let cluster = Cluster::find_or_create(profile, args.api_port)?;
    if let Some(node) = Node::find(&cluster.node_directory())?
        && node.is_running()
    {
        let pki = pki(&cluster)?;
        let path = kubeconfig::add(profile, &format!("https://{}", cluster.api_address()), &pki)?;
        printer::line(format!("cluster {profile:?} is running already; context {profile:?} is in {}", path.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let steps = Steps::begin(format!("starting cluster {profile:?}"));
    let pki = pki(&cluster)?;
    steps.done("certificates");
    let log = cluster.log_path();
    let log_start = std::fs::metadata(&log).map_or(0, |log| log.len());
    let mut node = Node::launch(&node_config(&cluster)?).map_err(node_error)?;
    drop(choosing);
    steps.done("node");
    let waited = wait(&cluster, &pki, &steps);
    drop(steps);
    if let Err(error) = waited {
        // A daemon that can't start would be started again and again.
        node.stop(DRAIN).map_err(node_error)?;
        bail!(
            "cluster {profile:?} can't start: {}",
            last_words(&log, log_start).unwrap_or_else(|| format!("{error:#}"))
        );
    }
    let path = kubeconfig::add(profile, &format!("https://{}", cluster.api_address()), &pki)?;
    printer::line(format!(
        "cluster {profile:?} is ready: context {profile:?} is in {}\nnext: kubectl create deployment web --image=IMAGE, then kubectl get pods",
        path.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Why the daemon ended, as it said in its log after `start`.
fn last_words(log: &Path, start: u64) -> Option<String> {
    let mut file = File::open(log).ok()?;
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.lines().rev().find_map(|line| line.strip_prefix("error: ").map(str::to_owned))
}

/// The cluster's certificates, made at the first start.
fn pki(cluster: &Cluster) -> Result<Pki> {
    let directory = cluster.pki_directory();
    if Pki::exists(&directory) {
        return Pki::load(&directory);
    }
    let names = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let addresses: Vec<IpAddr> = vec![
        IpAddr::from([127, 0, 0, 1]),
        cluster.node_address().into(),
        cluster.host_address().into(),
        cluster.service_cidr().address(1).into(),
    ];
    Pki::create(&directory, &ServerNames { names: names.map(str::to_owned).to_vec(), addresses })
}

fn node_config(cluster: &Cluster) -> Result<NodeConfig> {
    let executable = std::env::current_exe().context("failed to find skiff's own executable")?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut environment = vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
    for name in ["RUST_LOG", "SKIFF_HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] {
        if let Ok(value) = std::env::var(name) {
            environment.push(format!("{name}={value}"));
        }
    }
    let address = |ip: std::net::Ipv4Addr| Address { ip: ip.into(), prefix: 24 };
    let pod_cidr = cluster.pod_cidr().parse().ok().context("the Pods' range is malformed")?;
    Ok(NodeConfig {
        name: cluster.node_name().to_owned(),
        state_dir: cluster.node_directory(),
        link: NodeLink {
            host_name: cluster.link_name(),
            bridge: None,
            host_addresses: vec![address(cluster.host_address())],
            node_addresses: vec![address(cluster.node_address())],
            mtu: None,
        },
        pod_cidrs: vec![pod_cidr],
        daemon: vec![text(&executable), "daemon".to_owned(), "--directory".to_owned(), text(&cluster.directory)],
        environment,
        listeners: vec![NodeListener::tcp("api", cluster.api_address())],
        cgroup_parent: "skiff".to_owned(),
        log_path: cluster.log_path(),
        drain: DRAIN,
    })
}

/// Waits for the API and then, by a watch, for the node to be ready.
fn wait(cluster: &Cluster, pki: &Pki, steps: &Steps) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let ready = crate::daemon::await_ready(cluster, pki, || steps.done("API"));
        match tokio::time::timeout(PATIENCE, ready).await {
            Ok(Ok(())) => {
                steps.done("node is ready");
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => bail!(
                "cluster {:?} did not become ready within {} s; `skiff logs -p {}` tells why",
                cluster.profile,
                PATIENCE.as_secs(),
                cluster.profile
            ),
        }
    })
}
