//! kubectl alone, for comparison with upstream's: `cargo build -p kubectl --example kubectl`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubectl::run(std::env::args_os().skip(1).collect())
}
