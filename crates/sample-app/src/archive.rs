//! `tar`, as much of it as `kubectl cp` needs: creating and extracting archives, from and to files and standard streams.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::dispatch::complain;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Arguments {
    extract: bool,
    create: bool,
    /// `-` for standard input or output.
    file: String,
    /// Where it works.
    directory: Option<String>,
    /// Times of extraction, not of the archive.
    forget_times: bool,
    /// As the archive has them, less the umask.
    forget_permissions: bool,
    paths: Vec<String>,
}

/// `tar {-c|-x} [-m] [-f FILE] [-C DIRECTORY] [PATH …]`.
pub(crate) fn main(args: &[OsString]) -> u8 {
    let words: Vec<String> = args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let done = parse(&words).and_then(|arguments| run(&arguments));
    match done {
        Ok(()) => 0,
        Err(text) => {
            complain(&format!("tar: {text}"));
            2
        }
    }
}

fn parse(words: &[String]) -> Result<Arguments, String> {
    let mut arguments = Arguments { file: "-".to_owned(), ..Arguments::default() };
    let mut words = words.iter().enumerate();
    while let Some((index, word)) = words.next() {
        let missing = |option: char| format!("option -{option} wants a value");
        match word.as_str() {
            "--no-same-permissions" => arguments.forget_permissions = true,
            // Files belong to whoever extracts them anyway.
            "--no-same-owner" => {}
            // The first word may leave out the dash.
            bundle if (bundle.starts_with('-') && bundle.len() > 1) || (index == 0 && !bundle.is_empty()) => {
                for option in bundle.trim_start_matches('-').chars() {
                    match option {
                        'c' => arguments.create = true,
                        'x' => arguments.extract = true,
                        'm' => arguments.forget_times = true,
                        'f' => arguments.file.clone_from(words.next().ok_or_else(|| missing('f'))?.1),
                        'C' => arguments.directory = Some(words.next().ok_or_else(|| missing('C'))?.1.clone()),
                        other => return Err(format!("unknown option -- '{other}'; this one knows c, x, m, f and C")),
                    }
                }
            }
            path => arguments.paths.push(path.to_owned()),
        }
    }
    match (arguments.create, arguments.extract) {
        (true, true) => Err("You may not specify more than one of 'c' and 'x'".to_owned()),
        (false, false) => Err("You must specify one of 'c' and 'x'".to_owned()),
        (true, false) if arguments.paths.is_empty() => Err("Cowardly refusing to create an empty archive".to_owned()),
        (false, true) if !arguments.paths.is_empty() => {
            Err("this one extracts whole archives, and no members".to_owned())
        }
        _ => Ok(arguments),
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let file = arguments.file.as_str();
    let of_file = |error: io::Error| format!("{file}: {error}");
    let directory = Path::new(arguments.directory.as_deref().unwrap_or("."));
    if arguments.create {
        let output: Box<dyn Write> = match file {
            "-" => Box::new(io::stdout().lock()),
            path => Box::new(File::create(path).map_err(of_file)?),
        };
        return create(arguments, directory, output);
    }
    let input: Box<dyn Read> = match file {
        "-" => Box::new(io::stdin().lock()),
        path => Box::new(File::open(path).map_err(of_file)?),
    };
    let mut archive = tar::Archive::new(input);
    archive.set_preserve_mtime(!arguments.forget_times);
    archive.set_preserve_permissions(!arguments.forget_permissions);
    archive.unpack(directory).map_err(|error| error.to_string())
}

fn create(arguments: &Arguments, directory: &Path, output: Box<dyn Write>) -> Result<(), String> {
    let mut archive = tar::Builder::new(output);
    archive.follow_symlinks(false);
    for path in &arguments.paths {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => format!("{path}: Cannot stat: No such file or directory"),
            _ => format!("{path}: {error}"),
        };
        let source = directory.join(path);
        // Names in an archive are relative, wherever the files are.
        let name = path.trim_start_matches('/');
        let name = if name.is_empty() { "." } else { name };
        let is_directory = std::fs::symlink_metadata(&source).map_err(failed)?.is_dir();
        let added = match is_directory {
            true => archive.append_dir_all(name, &source),
            false => archive.append_path_with_name(&source, name),
        };
        added.map_err(failed)?;
    }
    let mut output = archive.into_inner().map_err(|error| error.to_string())?;
    output.flush().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
