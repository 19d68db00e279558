//! Takes the Job's finalizer from Pods.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::resources::PODS;
use apimachinery::{ApiError, Reason};
use client::{Client, PatchKind};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::facts::{self, FINALIZER};

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Released {
    /// Pods that have no finalizer any more, or are gone.
    pub(super) uids: BTreeSet<String>,
    /// Of the last write that was done; 0 if there was none.
    pub(super) revision: u64,
    /// The last request that failed.
    pub(super) failure: Option<ApiError>,
}

/// The patch that takes the finalizer from this very Pod.
pub(super) fn patch(pod: &Pod) -> Value {
    json!({"metadata": {"uid": facts::uid(pod), "$deleteFromPrimitiveList/finalizers": [FINALIZER]}})
}

/// Takes the finalizer from all of `pods` at once.
pub(super) async fn release(client: &Client, pods: &[Arc<Pod>]) -> Released {
    let tracked: Vec<&Arc<Pod>> = pods.iter().filter(|pod| facts::is_tracked(pod)).collect();
    let requests = tracked.into_iter().map(|pod| async move {
        let [namespace, name] = [&pod.metadata.namespace, &pod.metadata.name].map(|n| n.as_deref().unwrap_or_default());
        (client.patch(PODS, namespace, name, PatchKind::Strategic, patch(pod)).await, facts::uid(pod))
    });
    let mut released = Released::default();
    for (patched, uid) in futures_util::future::join_all(requests).await {
        match patched {
            Ok(pod) => {
                released.revision = released.revision.max(pod.meta().resource_version);
                released.uids.insert(uid.to_owned());
            }
            Err(error) if error.reason == Reason::NotFound => {
                released.uids.insert(uid.to_owned());
            }
            Err(error) => released.failure = Some(error),
        }
    }
    released
}
