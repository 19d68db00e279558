//! `curl` over plain HTTP: what a tutorial asks of it, with curl's messages and exit codes.

mod arguments;
mod transfer;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use container_runtime::{LocalSockets, TcpDial};

use crate::dispatch::{block_on, complain};
use arguments::{Command, Options};

/// Why a transfer failed: the message is curl's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("curl: ({code}) {message}")]
pub(crate) struct Failure {
    /// curl's exit code.
    pub(crate) code: u8,
    /// What happened.
    pub(crate) message: String,
}

impl Failure {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

const HELP: &str = "Usage: curl [options...] <url>...
 -d, --data <data>           HTTP POST data; @FILE reads it from a file
 -f, --fail                  Fail fast with no output on HTTP errors
 -I, --head                  Show document info only
 -H, --header <header>       Pass custom header to server
 -h, --help                  Get help for commands
 -i, --include               Include response headers in output
 -m, --max-time <seconds>    Maximum time allowed for transfer
 -o, --output <file>         Write to file instead of stdout
 -X, --request <method>      Specify request method to use
 -s, --silent                Silent mode
 -S, --show-error            Show error even when -s is used
 -V, --version               Show version number and quit
";

/// Runs `curl` with these arguments; gives its exit code, which is that of the last transfer that failed.
pub(crate) fn main(args: &[OsString]) -> u8 {
    let options = match arguments::parse(args) {
        Ok(Command::Transfer(options)) => options,
        Ok(Command::Help) => return print(HELP),
        Ok(Command::Version) => {
            return print(concat!("curl (skiff ", env!("CARGO_PKG_VERSION"), ")\nProtocols: http\n"));
        }
        Err(error) => {
            complain(&error);
            return 2;
        }
    };
    let dial = TcpDial::new(Arc::new(LocalSockets));
    let transfers = async {
        let mut code = 0;
        for url in &options.urls {
            let mut output = Output::new(&options);
            let result = transfer::fetch(url, &options, &dial, &mut output).await;
            if let Err(failure) = result.and_then(|()| output.finish()) {
                if !options.silent || options.show_error {
                    complain(&failure.to_string());
                }
                code = failure.code;
            }
        }
        code
    };
    block_on(transfers).unwrap_or_else(|error| {
        complain(&format!("curl: (2) Failed initialization: {error}"));
        2
    })
}

fn print(text: &str) -> u8 {
    if io::stdout().write_all(text.as_bytes()).is_ok() { 0 } else { 23 }
}

/// Where what comes is written. A file is made when its first byte comes.
enum Output {
    Stdout,
    Path(PathBuf),
    File(File),
}

impl Output {
    fn new(options: &Options) -> Self {
        options.output.clone().map_or(Self::Stdout, Self::Path)
    }

    fn open(&mut self) -> io::Result<()> {
        if let Self::Path(path) = self {
            *self = Self::File(File::create(path)?);
        }
        Ok(())
    }

    /// An empty body makes an empty file.
    fn finish(mut self) -> Result<(), Failure> {
        self.open().and_then(|()| self.flush()).map_err(transfer::write_failure)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open()?;
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout | Self::Path(_) => io::stdout().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout | Self::Path(_) => io::stdout().flush(),
        }
    }
}

#[cfg(test)]
mod tests;
