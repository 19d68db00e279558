//! Running a command inside a node (`skiff ssh`).

use std::io;
use std::os::fd::AsFd;
use std::process::ExitStatus;

use super::Node;
use crate::sys::enter;

impl Node {
    /// Runs a command in the node's namespaces with this process' standard streams (and so its terminal, if it has one), and
    /// waits for it. `environment` is all that it gets, `KEY=value`.
    ///
    /// # Errors
    /// The node does not run, or there is no such program.
    pub fn enter(&self, argv: &[String], environment: &[String]) -> io::Result<ExitStatus> {
        let not_running = || io::Error::new(io::ErrorKind::NotFound, format!("node {:?} does not run", self.name()));
        let pidfd = self.pidfd.as_ref().filter(|_| self.is_running()).ok_or_else(not_running)?;
        let (program, arguments) =
            argv.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no command is given"))?;
        let variables = environment.iter().filter_map(|variable| variable.split_once('='));
        #[allow(clippy::disallowed_methods, reason = "running a command is what this is for")]
        let mut command = std::process::Command::new(program);
        command.args(arguments).env_clear().envs(variables).current_dir("/");
        enter::prepare(&mut command, pidfd.as_fd())?;
        command.status()
    }
}
