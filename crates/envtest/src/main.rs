//! Plays the tutorial in simulated clusters, one for each seed: `skiff-sim --seeds 100`. `cargo xtask sim` builds and
//! runs it.

use std::io::Write as _;
use std::process::ExitCode;

use envtest::{Options, Outcome, run, tutorial};

/// Seeds that are played if nothing else is said.
const SEEDS: u64 = 100;

/// What is asked for.
#[derive(Debug)]
struct Arguments {
    first: u64,
    count: u64,
    log: bool,
    faults: bool,
}

fn parse(words: &[String]) -> Result<Arguments, String> {
    let mut arguments = Arguments { first: 1, count: SEEDS, log: false, faults: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().ok_or_else(|| format!("{word} needs a number"))?;
            value.parse::<u64>().map_err(|_| format!("{word} needs a number and not {value:?}"))
        };
        match word.as_str() {
            "--seeds" => arguments.count = number()?,
            "--seed" => (arguments.first, arguments.count) = (number()?, 1),
            "--log" => arguments.log = true,
            "--faults" => arguments.faults = true,
            other => return Err(format!("unknown argument {other:?}")),
        }
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let arguments = match parse(&words) {
        Ok(arguments) => arguments,
        Err(what) => {
            print(&format!("{what}\nhint: skiff-sim [--seeds N] [--seed N] [--faults] [--log]\n"));
            return ExitCode::from(2);
        }
    };
    for seed in arguments.first..arguments.first + arguments.count {
        let started = tokio::time::Instant::now();
        let options = if arguments.faults { tutorial::options_with_faults(seed) } else { tutorial::options(seed) };
        let Outcome { result, log } = run(&options, tutorial::play);
        if arguments.log {
            print(&log.text());
        }
        match result {
            Ok(()) => print(&format!("seed {seed} ok {} {:?}\n", log.len(), started.elapsed())),
            Err(failure) => {
                print(&format!("seed {seed}: {}\n", failure.text()));
                return ExitCode::from(1);
            }
        }
    }
    ExitCode::SUCCESS
}

fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
