//! Times as objects have them.

use jiff::Timestamp;

/// A time as `metav1.Time` is written: whole seconds, UTC.
pub fn metav1_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
