use std::process::Command;

use envtest::{Options, run, tutorial};

fn log_of(options: &Options) -> String {
    let outcome = run(options, tutorial::play);
    if let Err(failure) = outcome.result {
        panic!("seed {}: {}\n{}", options.seed, failure.text(), outcome.log.tail(80));
    }
    outcome.log.text()
}

#[test]
fn the_same_seed_gives_the_same_log() {
    for options in [tutorial::options(21), tutorial::options_with_faults(22)] {
        assert!(log_of(&options) == log_of(&options), "two runs of seed {} differ", options.seed);
    }
}

#[test]
fn another_seed_gives_another_log() {
    assert!(log_of(&tutorial::options(23)) != log_of(&tutorial::options(24)));
}

/// Hash seeds, addresses and threads are another process' own.
#[test]
fn the_same_seed_gives_the_same_log_in_another_process() {
    let played = || {
        let output = Command::new(env!("CARGO_BIN_EXE_skiff-sim")).args(["--seed", "25", "--faults", "--log"]).output();
        let output = output.expect("the simulator starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let text = String::from_utf8(output.stdout).expect("the log is text");
        // The last line says how long it took.
        text.rsplit_once("1 seeds, each").expect("the summary is last").0.to_owned()
    };
    let first = played();
    assert!(first.lines().count() > 500, "the log has {} lines", first.lines().count());
    assert!(first == played(), "two processes differ");
    assert!(first == log_of(&tutorial::options_with_faults(25)), "this process differs");
}
