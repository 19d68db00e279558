//! Times as the API keeps them.

use component_base::Clock;
use k8s_openapi::jiff::Timestamp;

/// Now, in whole seconds, as `metav1.Time` keeps it.
pub(crate) fn now(clock: &dyn Clock) -> Timestamp {
    whole_seconds(clock.now())
}

/// `at` without its fraction.
pub(crate) fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
