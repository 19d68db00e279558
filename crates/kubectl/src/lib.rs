//! The command line `kubectl` as a library: one file a command, printers, describers. It is an API client like any other
//! and works with every conformant cluster.

mod cli;
mod commands;
mod context;
pub mod describe;
mod discovery;
mod error;
mod flags;
pub mod gotemplate;
mod help;
mod merge;
mod output;
mod overrides;
mod pairs;
mod pods;
mod printer;
mod raw;
mod remote;
mod resource;
mod run;
mod terminal;
mod waiting;
mod watching;
mod write;

pub use run::run;

/// The version of upstream's kubectl whose behaviour this is.
const VERSION: &str = "v1.37.2";
/// As Go names it.
const ARCHITECTURE: &str = "amd64";
