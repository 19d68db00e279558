//! The kubelet's word on traffic, from EndpointSlices and the proxy of this process.
//!
//! Who writes: the reflector of EndpointSlices, through the handler. Who reads: whoever ends a Pod.

use std::collections::BTreeMap;

use api::resources::ENDPOINTSLICES;
use apimachinery::Object;
use client::{Change, Informers};
use futures_util::future::BoxFuture;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kubelet::TrafficBarrier;
use proxy::Proxy;
use tokio::sync::watch;

/// How many slices name a Pod as one that takes requests, by the Pod's uid.
type Reachable = BTreeMap<String, usize>;

/// Knows which Pods Services lead to.
#[derive(Debug)]
pub(crate) struct EndpointBarrier {
    reachable: watch::Receiver<Reachable>,
    proxy: Proxy,
}

impl EndpointBarrier {
    /// A barrier before `proxy`, which must have been started: handlers run in the order in which they were added, so that
    /// what is known here has been told to the proxy.
    pub(crate) fn new(informers: &Informers, proxy: Proxy) -> Self {
        let (sender, reachable) = watch::channel(Reachable::new());
        informers.of(ENDPOINTSLICES).on_change(move |change| sender.send_modify(|reachable| apply(reachable, change)));
        Self { reachable, proxy }
    }
}

impl TrafficBarrier for EndpointBarrier {
    fn withdrawn<'a>(&'a self, pod_uid: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut reachable = self.reachable.clone();
            // The sender lives in the informer; if that has ended there is nothing to wait for.
            let _ = reachable.wait_for(|reachable| !reachable.contains_key(pod_uid)).await;
            self.proxy.settled().await;
        })
    }
}

fn apply(reachable: &mut Reachable, change: &Change) {
    let (before, after) = match change {
        Change::Added(after) => (None, Some(after)),
        Change::Updated(before, after) => (Some(before), Some(after)),
        Change::Deleted(before) => (Some(before), None),
    };
    for uid in before.into_iter().flat_map(|slice| ready_pods(slice)) {
        if let Some(count) = reachable.get_mut(&uid) {
            *count -= 1;
            if *count == 0 {
                reachable.remove(&uid);
            }
        }
    }
    for uid in after.into_iter().flat_map(|slice| ready_pods(slice)) {
        *reachable.entry(uid).or_default() += 1;
    }
}

/// The uids of the Pods to which a slice sends requests.
fn ready_pods(slice: &Object) -> Vec<String> {
    let Ok(slice) = slice.typed::<EndpointSlice>() else { return Vec::new() };
    let ready = |endpoint: &&k8s_openapi::api::discovery::v1::Endpoint| {
        endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false)
    };
    let pod = |endpoint: &k8s_openapi::api::discovery::v1::Endpoint| endpoint.target_ref.as_ref()?.uid.clone();
    slice.endpoints.iter().flatten().filter(ready).filter_map(pod).collect()
}

#[cfg(test)]
mod tests;
