//! `skiff kubectl …`: the built-in kubectl. With `--profile` it talks to that cluster, else to the kubeconfig's current
//! context, whatever cluster that is.

use std::ffi::OsString;
use std::process::ExitCode;

pub(crate) fn run(profile: Option<&str>, arguments: Vec<OsString>) -> ExitCode {
    let context = profile.map(|profile| format!("--context={profile}").into());
    kubectl::run(context.into_iter().chain(arguments).collect())
}
