//! How the launcher learns that the cluster is up: it asks the API as the administrator, and watches the node.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Method;
use serde_json::Value;

use crate::administrator;
use crate::cluster::Cluster;
use crate::pki::Pki;

/// Returns when the node is Ready; calls `answers` as soon as the API does. The listener exists before the daemon does, so
/// a connection waits and is not refused.
pub(crate) async fn await_ready(cluster: &Cluster, pki: &Pki, answers: impl FnOnce()) -> Result<()> {
    let path =
        format!("/api/v1/nodes?watch=1&fieldSelector=metadata.name%3D{}&timeoutSeconds=600", cluster.node_name());
    let api = administrator::connect(cluster, pki)?;
    let mut watch = api.stream(Method::GET, &path, &[], Bytes::new()).await.context("failed to watch the node")?;
    answers();
    while let Some(line) = watch.line().await? {
        if is_ready(&serde_json::from_slice(&line)?) {
            return Ok(());
        }
    }
    bail!("the watch of the node ended before it was ready")
}

fn is_ready(event: &Value) -> bool {
    let conditions = event["object"]["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True");
    let tainted = event["object"]["spec"]["taints"]
        .as_array()
        .is_some_and(|taints| taints.iter().any(|t| t["key"] == "node.kubernetes.io/not-ready"));
    ready && !tainted
}
