//! Plays the tutorial in simulated clusters, one for each seed and twice each: `skiff-sim --seeds 100`. `cargo xtask sim`
//! builds and runs it.
//!
//! Exit codes: 0 all is well, 1 a run failed or two runs of a seed differ, 2 a wrong command line.

use std::io::Write as _;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use envtest::{Options, Outcome, run, tutorial};
use parking_lot::Mutex;

/// Seeds that are played if nothing else is said.
const SEEDS: u64 = 100;
const HINT: &str = "hint: cargo xtask sim [--seeds N] [--seed N] [--faults] [--log]";

/// What is asked for.
#[derive(Debug, Clone, Copy)]
struct Arguments {
    /// Seeds from 1 on.
    seeds: u64,
    /// This one instead.
    seed: Option<u64>,
    /// With everything going wrong now and then.
    faults: bool,
    /// Print the log of every run.
    log: bool,
}

fn parse(words: &[String]) -> Result<Arguments, String> {
    let mut arguments = Arguments { seeds: SEEDS, seed: None, faults: false, log: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().ok_or_else(|| format!("{word} needs a number"))?;
            value.parse::<u64>().map_err(|_| format!("{word} needs a number, and {value:?} is none"))
        };
        match word.as_str() {
            "--seeds" => arguments.seeds = number()?,
            "--seed" => arguments.seed = Some(number()?),
            "--faults" => arguments.faults = true,
            "--log" => arguments.log = true,
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
            print(&format!("{what}\n{HINT}\n"));
            return ExitCode::from(2);
        }
    };
    let (first, last) = match arguments.seed {
        Some(seed) => (seed, seed),
        None => (1, arguments.seeds),
    };
    let started = tokio::time::Instant::now();
    let (next, failed, out) = (AtomicU64::new(first), AtomicBool::new(false), Mutex::new(()));
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > last {
                        return;
                    }
                    let report = play_twice(seed, arguments);
                    // One report at a time, and none after a failure: that should be the last thing to be read.
                    let _one = out.lock();
                    if !failed.load(Ordering::Relaxed) {
                        failed.store(report.failed, Ordering::Relaxed);
                        print(&report.text);
                    }
                }
            });
        }
    });
    if failed.load(Ordering::Relaxed) {
        return ExitCode::from(1);
    }
    let count = (last + 1).saturating_sub(first);
    let seconds = started.elapsed().as_secs_f64();
    print(&format!("{count} seeds, each played twice with the same log; {seconds:.1} s\n"));
    ExitCode::SUCCESS
}

/// What a seed's runs have to say.
struct Report {
    text: String,
    failed: bool,
}

fn play_twice(seed: u64, arguments: Arguments) -> Report {
    let options = options(seed, arguments);
    let Outcome { result, log } = run(&options, tutorial::play);
    let again = run(&options, tutorial::play).log;
    let faults = if arguments.faults { " --faults" } else { "" };
    let replay = format!("To play it again: cargo xtask sim --seed {seed}{faults} --log\n");
    let failure = match (result, log.first_difference(&again)) {
        (Err(failure), _) => failure.text(),
        (Ok(()), Some((entry, first, second))) => {
            format!("two runs differ from entry {entry} on:\n  {first}\n  {second}")
        }
        (Ok(()), None) => {
            return Report { text: if arguments.log { log.text() } else { String::new() }, failed: false };
        }
    };
    Report { text: format!("{}\nseed {seed} failed: {failure}\n{replay}", log.text()), failed: true }
}

fn options(seed: u64, arguments: Arguments) -> Options {
    if arguments.faults { tutorial::options_with_faults(seed) } else { tutorial::options(seed) }
}

/// Whoever reads may have gone; then there is nobody to tell.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
