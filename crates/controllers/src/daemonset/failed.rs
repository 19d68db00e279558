//! How often Pods failed on a node, for each of a set's generations: a Pod that the kubelet refuses again and again is
//! replaced more and more seldom.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// The pause after the first failure.
const INITIAL: Duration = Duration::from_secs(1);
/// The longest pause. What is quiet for twice as long is forgotten.
const MAX: Duration = Duration::from_secs(15 * 60);

/// A set's uid, its observed generation, a node.
pub(super) type Place = (String, i64, String);

/// Failures by place.
#[derive(Debug, Clone, Default)]
pub(super) struct FailedPods {
    places: BTreeMap<Place, (Duration, Timestamp)>,
}

impl FailedPods {
    /// How long the next failed Pod there has to wait; `None` if it need not.
    pub(super) fn pause(&self, place: &Place, now: Timestamp) -> Option<Duration> {
        let (pause, last) = self.places.get(place)?;
        let since = now.duration_since(*last);
        let left = SignedDuration::try_from(*pause).unwrap_or(SignedDuration::MAX) - since;
        Duration::try_from(left).ok().filter(|left| !left.is_zero())
    }

    /// Counts one that is replaced now.
    pub(super) fn count(&mut self, place: Place, now: Timestamp) {
        let forget = SignedDuration::try_from(2 * MAX).unwrap_or(SignedDuration::MAX);
        self.places.retain(|_, (_, last)| now.duration_since(*last) <= forget);
        let pause = self.places.get(&place).map_or(INITIAL, |(pause, _)| (*pause * 2).min(MAX));
        self.places.insert(place, (pause, now));
    }
}
