//! Says in the node's labels that it runs the control plane, as kubeadm does. A kubelet may not say that of itself
//! (NodeRestriction).

use std::sync::Arc;

use api::resources::NODES;
use client::{Client, Informers, PatchKind};
use component_base::Supervisor;
use serde_json::json;
use tokio::sync::Notify;

/// The label; `kubectl get nodes` shows what comes after the slash.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// Labels the node `name` as soon as it is registered.
pub(super) fn start(client: Client, informers: &Informers, supervisor: &Supervisor, name: &str) {
    let nodes = informers.selected(NODES, &format!("metadata.name={name}"));
    let name = name.to_owned();
    supervisor.spawn_until_shutdown("node-role", async move {
        let registered = Arc::new(Notify::new());
        let notify = registered.clone();
        nodes.on_change(move |_| notify.notify_one());
        loop {
            registered.notified().await;
            let Some(node) = nodes.store().get(&name) else { continue };
            if node.meta().labels.contains_key(CONTROL_PLANE) {
                return;
            }
            let patch = json!({"metadata": {"labels": {CONTROL_PLANE: ""}}});
            match client.patch(NODES, "", &name, PatchKind::Merge, patch).await {
                Ok(_) => return,
                // Its next heartbeat is the next try.
                Err(error) => tracing::warn!(error = %error, "failed to label the node"),
            }
        }
    });
}
