//! Prefers nodes that have the Pod's images already.

use crate::framework::{MAX_NODE_SCORE, ScorePlugin};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

/// Images below this size do not matter.
const MIN_BYTES: i64 = 23 << 20;
/// Images above this size (for each container) matter no more.
const MAX_BYTES: i64 = 1000 << 20;

#[derive(Debug)]
pub(super) struct ImageLocality;

fn size_on(node: &NodeInfo, image: &str) -> Option<i64> {
    let images = node.node.status.as_ref()?.images.as_ref()?;
    let tagged = format!("{image}:latest");
    let names = |n: &String| n == image || (!image.contains(':') && *n == tagged);
    images.iter().find(|i| i.names.iter().flatten().any(names)).and_then(|i| i.size_bytes)
}

impl ScorePlugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, snapshot: &Snapshot) -> i64 {
        let Some(spec) = &pod.pod.spec else { return 0 };
        let nodes = i64::try_from(snapshot.nodes.len()).unwrap_or(1).max(1);
        let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        let (mut total, mut count) = (0, 0);
        for image in containers.filter_map(|c| c.image.as_deref()) {
            count += 1;
            if let Some(size) = size_on(node, image) {
                // An image that few nodes have counts for less, lest all Pods go to the one that has it.
                let spread = snapshot.nodes.iter().filter(|n| size_on(n, image).is_some()).count();
                total += size * i64::try_from(spread).unwrap_or(0) / nodes;
            }
        }
        let max = MAX_BYTES * count.max(1);
        MAX_NODE_SCORE * (total.clamp(MIN_BYTES, max) - MIN_BYTES) / (max - MIN_BYTES)
    }
}
