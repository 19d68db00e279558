//! skiff: a complete Kubernetes in one executable. This file only chooses: parse, resolve, run.
//!
//! Nothing here may start a thread before a command has had the chance to make a node: node init is forked, not
//! executed, and only a process with one thread can be.

mod cli;
mod cluster;
mod commands;
mod daemon;
mod host;
mod kubeconfig;
mod pki;
mod printer;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = cli::Cli::parse();
    match commands::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            printer::error(&error);
            ExitCode::from(commands::exit_code(&error))
        }
    }
}
