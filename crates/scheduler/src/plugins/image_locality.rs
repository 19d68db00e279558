//! Prefers nodes that have the Pod's images already.

use std::collections::BTreeMap;

use crate::framework::{MAX_NODE_SCORE, Score, ScorePlugin};
use crate::pod_info::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};

/// Images below this size do not matter.
const MIN_BYTES: i64 = 23 << 20;
/// Images above this size (for each container) matter no more.
const MAX_BYTES: i64 = 1000 << 20;

#[derive(Debug)]
pub(super) struct ImageLocality;

fn size_on(node: &NodeInfo, image: &str, tagged: &str) -> Option<i64> {
    let images = node.node.status.as_ref()?.images.as_ref()?;
    let named = |n: &String| n == image || n == tagged;
    images.iter().find(|i| i.names.iter().flatten().any(named)).and_then(|i| i.size_bytes)
}

impl ScorePlugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn score<'a>(&self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Score<'a>> {
        let spec = pod.pod.spec.as_ref()?;
        let nodes = i64::try_from(snapshot.nodes.len()).unwrap_or(1).max(1);
        let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        let mut totals: BTreeMap<&str, i64> = BTreeMap::new();
        let mut count = 0;
        for image in containers.filter_map(|c| c.image.as_deref()) {
            count += 1;
            let tagged = if image.contains(':') { image.to_owned() } else { format!("{image}:latest") };
            let sizes = snapshot.nodes.iter().filter_map(|node| Some((node.name(), size_on(node, image, &tagged)?)));
            let sizes: Vec<(&str, i64)> = sizes.collect();
            // An image that few nodes have counts for less, lest all Pods go to the one that has it.
            let spread = i64::try_from(sizes.len()).unwrap_or(0);
            sizes.into_iter().for_each(|(node, size)| *totals.entry(node).or_default() += size * spread / nodes);
        }
        let max = MAX_BYTES * count.max(1);
        Some(Box::new(move |node| {
            let total = totals.get(node.name()).copied().unwrap_or(0);
            MAX_NODE_SCORE * (total.clamp(MIN_BYTES, max) - MIN_BYTES) / (max - MIN_BYTES)
        }))
    }
}
