use std::time::Duration;

use envtest::{Faults, Options, check, tutorial};

#[test]
fn the_tutorial_shows_upstreams_numbers() {
    check(&tutorial::options(30), tutorial::play);
}

#[test]
fn without_any_latency_too() {
    check(&Options::new(31).nodes(1), tutorial::play);
}

#[test]
fn on_slow_nodes_too() {
    let slow = Faults { latency_max: Duration::from_millis(400), ..Faults::default() };
    check(&Options::new(32).faults(slow).patience(Duration::from_secs(900)), tutorial::play);
}
