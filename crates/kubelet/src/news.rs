//! Tells the workers of Pods that something has changed for which the work on their volumes waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use component_base::watch;
use parking_lot::Mutex;

/// Who wants to hear, by the Pod's uid; each counts its news. Who writes: whoever sees a change; who reads: the Pod's worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct PodNews(Arc<Mutex<BTreeMap<String, watch::Sender<u64>>>>);

impl PodNews {
    /// What a Pod is told from now on.
    pub(crate) fn follow(&self, uid: &str) -> watch::Receiver<u64> {
        self.0.lock().entry(uid.to_owned()).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Tells a Pod, if it is there.
    pub(crate) fn tell(&self, uid: &str) {
        if let Some(follower) = self.0.lock().get(uid) {
            follower.send_if_modified(|count| {
                *count += 1;
                true
            });
        }
    }

    /// The Pod is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.0.lock().remove(uid);
    }
}

/// Returns at the next news; never for a Pod that waits for nothing of the kind.
pub(crate) async fn next(of: &mut Option<watch::Receiver<u64>>) {
    let told = match of {
        Some(receiver) => receiver.changed().await.is_ok(),
        None => false,
    };
    if !told {
        std::future::pending::<()>().await;
    }
}
