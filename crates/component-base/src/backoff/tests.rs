use std::time::Duration;

use super::Backoff;
use crate::Random;

#[test]
fn doubles_to_the_ceiling_and_starts_again_after_a_reset() {
    let random = Random::from_seed(1);
    let mut backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(60), 0.0);
    let seconds: Vec<u64> = (0..5).map(|_| backoff.next(&random).as_secs()).collect();
    assert_eq!(seconds, [10, 20, 40, 60, 60]);
    backoff.reset();
    assert_eq!(backoff.next(&random), Duration::from_secs(10));
}
