//! A machine that is the node itself (`skiff server`, `skiff agent`).

use std::convert::Infallible;
use std::ffi::CString;
use std::time::Duration;

use super::NodeError;
use crate::init::{Daemon, Init};
use crate::sys::process::is_single_threaded;

/// A node without namespaces of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostNodeConfig {
    /// Its name.
    pub name: String,
    /// Path and arguments of the daemon. The path is executed at every start.
    pub daemon: Vec<String>,
    /// The daemon's environment, `KEY=value`, all of it.
    pub environment: Vec<String>,
    /// How long the daemon may take to end when asked to.
    pub drain: Duration,
}

/// Makes this process node init of the machine: a subreaper that keeps the daemon running until it gets SIGTERM or SIGINT.
/// Pods outlive it; the next one's daemon finds them by their sockets. Call it before the process has a second thread.
///
/// # Errors
/// The process has threads, or the daemon's words can't be passed on.
pub fn run_on_host(config: &HostNodeConfig) -> Result<Infallible, NodeError> {
    let invalid = |message: &str| NodeError::Invalid { name: config.name.clone(), message: message.into() };
    if !is_single_threaded() {
        return Err(NodeError::Threads);
    }
    if config.daemon.is_empty() {
        return Err(invalid("no daemon is given"));
    }
    let strings = |texts: &[String]| {
        let texts: Result<Vec<CString>, _> = texts.iter().map(|text| CString::new(text.as_str())).collect();
        texts.map_err(|_| invalid("an argument or variable of the daemon has a zero byte"))
    };
    let daemon = Daemon { argv: strings(&config.daemon)?, env: strings(&config.environment)?, drain: config.drain };
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| invalid(&format!("failed to become a subreaper: {error}")))?;
    Init::new(config.name.clone()).run(&daemon)
}
