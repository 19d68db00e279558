//! The daemon: everything of a cluster but node init and the pod supervisors, in one process. It may be killed and
//! started again at any time: the datastore is durable, pods are taken over, the host's listener is kept by node init.

mod clients;
mod connector;
mod control_plane;
mod kubernetes_service;
mod node;
mod readiness;
mod role;
mod service_clients;
mod traffic;
mod volumes;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use component_base::{Clock, Random, Supervisor, SystemClock};
use container_runtime::InitClient;
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::Cluster;
use crate::pki::Pki;

pub(crate) use readiness::await_ready;

/// How long parts may take to finish when the node is stopped.
const DRAIN: Duration = Duration::from_secs(10);

/// What of the process' world all parts share.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<Random>,
    pub(crate) supervisor: Supervisor,
}

/// Runs the daemon of the cluster in `directory` until it is told to end.
pub(crate) fn run(directory: &Path) -> Result<ExitCode> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("failed to start tokio")?;
    runtime.block_on(serve(directory))?;
    // What is left is dropped rather than waited for: everything that matters is on disk.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(ExitCode::SUCCESS)
}

async fn serve(directory: &Path) -> Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let cluster = Cluster::open(directory)?;
    let pki = Pki::load(&cluster.pki_directory())?;
    let world =
        World { clock: Arc::new(SystemClock), random: Arc::new(Random::from_system()), supervisor: Supervisor::new() };
    let init = Arc::new(InitClient::from_environment().await.context("failed to reach node init")?);
    let plane = control_plane::start(&world, &cluster, &pki, &init).await?;
    node::start(&world, &cluster, &plane, init).await?;
    tracing::info!(cluster = %cluster.profile, "the cluster is up");
    terminated.recv().await;
    tracing::info!("told to end");
    if let Err(parts) = world.supervisor.drain(DRAIN).await {
        tracing::warn!(?parts, "some parts did not finish in time");
    }
    Ok(())
}
