//! skiff: a complete Kubernetes in one executable. This file only chooses: parse, resolve, run.
//!
//! Nothing here may start a thread before a command has had the chance to make a node: node init is forked, not
//! executed, and only a process with one thread can be.

mod administrator;
mod cli;
mod cluster;
mod commands;
mod daemon;
mod host;
mod kubeconfig;
mod pki;
mod preflight;
mod printer;
mod registries;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // In the sample application's image this executable is the server, `curl` and the shell, by the name it is called.
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    let rest: Vec<std::ffi::OsString> = words.collect();
    if let Some(code) = sample_app::dispatch(&called.to_string_lossy(), &rest) {
        return code;
    }
    let called = Path::new(&called).file_name().unwrap_or_default().to_owned();
    if called == "kubectl" {
        return kubectl::run(rest);
    }
    // As `minikube` it answers minikube's everyday verbs, for the cluster that minikube's users expect.
    let default_profile = if called == "minikube" { "minikube" } else { "skiff" };
    let mut arguments = cli::Cli::parse();
    if called == "minikube" {
        commands::minikube::translate(&mut arguments);
    }
    match commands::run(arguments, default_profile) {
        Ok(code) => code,
        Err(error) => {
            printer::error(&error);
            ExitCode::from(commands::exit_code(&error))
        }
    }
}
