//! Ending a Pod without a request that fails: Services stop to send requests to it before its containers are told to
//! stop. Upstream's kubelet knows nothing of Services, and asks people for a `preStop` hook that sleeps; where the proxy is
//! in the same process, its word is better than a guess.

use futures_util::future::BoxFuture;

/// Tells when a Pod gets no new requests.
pub trait TrafficBarrier: Send + Sync + std::fmt::Debug {
    /// Returns when the Services of this node send nobody to the Pod any more. The caller bounds the wait.
    fn withdrawn<'a>(&'a self, pod_uid: &'a str) -> BoxFuture<'a, ()>;
}

/// For a kubelet that has no proxy at hand: it stops containers at once, as upstream's does.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTrafficBarrier;

impl TrafficBarrier for NoTrafficBarrier {
    fn withdrawn<'a>(&'a self, _pod_uid: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}
