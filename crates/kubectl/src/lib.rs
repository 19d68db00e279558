//! The command line `kubectl` as a library: one file a command, printers, describers. It is an API client like any other
//! and works with every conformant cluster.

pub mod gotemplate;
mod gotext;
pub mod jsonpath;
