//! curl's command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Transfer(Options),
    Help,
    Version,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) urls: Vec<String>,
    pub(super) silent: bool,
    pub(super) show_error: bool,
    pub(super) include: bool,
    pub(super) head: bool,
    pub(super) fail: bool,
    pub(super) output: Option<PathBuf>,
    pub(super) method: Option<String>,
    /// Several are joined by `&`.
    pub(super) data: Vec<String>,
    /// `Name: value`; `Name:` leaves a header out that is sent otherwise.
    pub(super) headers: Vec<String>,
    pub(super) max_time: Option<Duration>,
}

/// The options: long name, letter, whether a value follows.
const OPTIONS: &[(&str, char, bool)] = &[
    ("data", 'd', true),
    ("fail", 'f', false),
    ("head", 'I', false),
    ("header", 'H', true),
    ("help", 'h', false),
    ("include", 'i', false),
    ("max-time", 'm', true),
    ("output", 'o', true),
    ("request", 'X', true),
    ("show-error", 'S', false),
    ("silent", 's', false),
    ("version", 'V', false),
];

fn refused(option: &str, why: &str) -> String {
    format!("curl: option {option}: {why}\ncurl: try 'curl --help' for more information")
}

/// The command, or what to say about the arguments.
pub(super) fn parse(args: &[OsString]) -> Result<Command, String> {
    let mut options = Options::default();
    let mut args = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    let mut only_urls = false;
    while let Some(arg) = args.next() {
        if only_urls || !arg.starts_with('-') || arg == "-" {
            options.urls.push(arg);
        } else if arg == "--" {
            only_urls = true;
        } else if let Some(name) = arg.strip_prefix("--") {
            let found = OPTIONS.iter().find(|(long, ..)| *long == name).ok_or_else(|| refused(&arg, "is unknown"))?;
            let value =
                if found.2 { Some(args.next().ok_or_else(|| refused(&arg, "requires parameter"))?) } else { None };
            if let Some(command) = options.set(found.1, value.unwrap_or_default(), &arg)? {
                return Ok(command);
            }
        } else {
            // Letters may stand together; the rest after one that takes a value is that value.
            let mut letters = arg[1..].chars();
            while let Some(letter) = letters.next() {
                let named = format!("-{letter}");
                let found = OPTIONS.iter().find(|(_, short, _)| *short == letter);
                let mut value = String::new();
                if found.ok_or_else(|| refused(&named, "is unknown"))?.2 {
                    value = letters.by_ref().collect();
                    if value.is_empty() {
                        value = args.next().ok_or_else(|| refused(&named, "requires parameter"))?;
                    }
                }
                if let Some(command) = options.set(letter, value, &named)? {
                    return Ok(command);
                }
            }
        }
    }
    if options.urls.is_empty() {
        return Err("curl: (2) no URL specified\ncurl: try 'curl --help' for more information".to_owned());
    }
    Ok(Command::Transfer(options))
}

impl Options {
    fn set(&mut self, letter: char, value: String, named: &str) -> Result<Option<Command>, String> {
        match letter {
            'd' => self.data.push(read_data(&value).map_err(|why| refused(named, &why))?),
            'f' => self.fail = true,
            'I' => self.head = true,
            'H' => self.headers.push(value),
            'h' => return Ok(Some(Command::Help)),
            'i' => self.include = true,
            'm' => {
                let seconds = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                self.max_time = Some(seconds.ok_or_else(|| refused(named, "expected a proper numerical parameter"))?);
            }
            // As with curl, `-` is where output goes anyway.
            'o' => self.output = Some(value).filter(|value| value != "-").map(PathBuf::from),
            'X' => self.method = Some(value),
            'S' => self.show_error = true,
            's' => self.silent = true,
            _ => return Ok(Some(Command::Version)),
        }
        Ok(None)
    }
}

/// `@FILE` is the content of that file without line ends, as in curl.
fn read_data(value: &str) -> Result<String, String> {
    let Some(path) = value.strip_prefix('@') else { return Ok(value.to_owned()) };
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("error encountered when reading {path}: {error}"))?;
    Ok(text.replace(['\r', '\n'], ""))
}
