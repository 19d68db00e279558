//! The tools that the shell's library lacks.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;

use component_base::Clock;
use deno_task_shell::{ExecuteResult, ShellCommand, ShellCommandContext, ShellPipeReader, ShellPipeWriter, ShellState};
use jiff::Timestamp;

use crate::server::hostname;

/// Tools that are called by their own names, too: those of the library and ours.
pub(crate) const TOOLS: &[&str] = &[
    "cat", "cp", "date", "echo", "env", "false", "head", "hostname", "ls", "mkdir", "mv", "pwd", "rm", "sleep", "test",
    "true", "xargs",
];

/// What a tool is given.
struct Call<'a> {
    args: Vec<String>,
    state: &'a ShellState,
    clock: &'a dyn Clock,
}

/// A tool gives its output, or what is wrong with the arguments or the files.
type Function = fn(&Call<'_>) -> Result<String, String>;

struct Tool {
    name: &'static str,
    function: Function,
    clock: Rc<dyn Clock>,
}

/// Our tools, for the shell's table.
pub(super) fn commands(clock: &Rc<dyn Clock>) -> HashMap<String, Rc<dyn ShellCommand>> {
    let all: [(&'static str, Function); 4] = [("date", date), ("env", env), ("hostname", own_name), ("ls", ls)];
    let tool = |(name, function)| Rc::new(Tool { name, function, clock: clock.clone() }) as Rc<dyn ShellCommand>;
    let cat = ("cat".to_owned(), Rc::new(Cat) as Rc<dyn ShellCommand>);
    all.into_iter().map(|entry| (entry.0.to_owned(), tool(entry))).chain([cat]).collect()
}

/// The library's `cat` holds up all other commands of its pipeline: also those that should read what it writes.
struct Cat;

impl ShellCommand for Cat {
    fn execute(&self, mut context: ShellCommandContext) -> Pin<Box<dyn Future<Output = ExecuteResult>>> {
        let mut stderr = context.stderr.clone();
        let kill = context.state.kill_signal().clone();
        let cwd = context.state.cwd().clone();
        let mut args = std::mem::take(&mut context.args);
        if let Some(option) = args.iter().find(|arg| arg.len() > 1 && arg.to_string_lossy().starts_with('-')) {
            let _ = stderr.write_line(&format!("cat: {}: there are no options", option.display()));
            return Box::pin(std::future::ready(ExecuteResult::from_exit_code(1)));
        }
        if args.is_empty() {
            args.push("-".into());
        }
        let (stdin, stdout) = (context.stdin, context.stdout);
        Box::pin(async move {
            let copying = tokio::task::spawn_blocking(move || copy(&args, &cwd, &stdin, stdout));
            let faults = tokio::select! {
                faults = copying => faults.unwrap_or_else(|error| vec![error.to_string()]),
                signal = kill.wait_aborted() => return ExecuteResult::from_exit_code(signal.aborted_code()),
            };
            for fault in &faults {
                let _ = stderr.write_line(&format!("cat: {fault}"));
            }
            ExecuteResult::from_exit_code(i32::from(!faults.is_empty()))
        })
    }
}

/// Writes the files one after the other; gives what went wrong. A reader that has gone ends it without a word.
fn copy(args: &[OsString], cwd: &Path, stdin: &ShellPipeReader, stdout: ShellPipeWriter) -> Vec<String> {
    let mut faults = Vec::new();
    for arg in args {
        let reader = match arg.to_str() {
            Some("-") => Ok(stdin.clone()),
            _ => fs::File::open(cwd.join(arg)).map(ShellPipeReader::from_std),
        };
        match reader.and_then(|reader| reader.pipe_to_sender(stdout.clone())) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            Err(error) => faults.push(format!("{}: {error}", arg.display())),
        }
    }
    faults
}

impl ShellCommand for Tool {
    fn execute(&self, mut context: ShellCommandContext) -> Pin<Box<dyn Future<Output = ExecuteResult>>> {
        let args = context.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let call = Call { args, state: &context.state, clock: &*self.clock };
        let code = match (self.function)(&call) {
            Ok(text) => i32::from(context.stdout.write_all(text.as_bytes()).is_err()),
            Err(error) => {
                let _ = context.stderr.write_line(&format!("{}: {error}", self.name));
                1
            }
        };
        Box::pin(std::future::ready(ExecuteResult::from_exit_code(code)))
    }
}

fn env(call: &Call<'_>) -> Result<String, String> {
    if let Some(argument) = call.args.first() {
        return Err(format!("{argument}: running a program is not supported; write NAME=VALUE PROGRAM in sh"));
    }
    // `?` is how the shell's library keeps the last exit code.
    let mut lines: Vec<String> = call
        .state
        .env_vars()
        .iter()
        .filter(|(name, _)| *name != OsStr::new("?"))
        .map(|(name, value)| format!("{}={}\n", name.display(), value.display()))
        .collect();
    lines.sort();
    Ok(lines.concat())
}

fn own_name(call: &Call<'_>) -> Result<String, String> {
    match call.args.first() {
        Some(argument) => Err(format!("{argument}: the name can't be changed from here")),
        None => Ok(format!("{}\n", hostname())),
    }
}

/// Times are in UTC: there is no other time zone in the image.
fn date(call: &Call<'_>) -> Result<String, String> {
    let now = call.clock.now().to_zoned(jiff::tz::TimeZone::UTC);
    let format = match &call.args[..] {
        [] => "%a %b %e %H:%M:%S UTC %Y",
        [format] if format.starts_with('+') => &format[1..],
        [argument, ..] => return Err(format!("{argument}: only +FORMAT is supported")),
    };
    jiff::fmt::strtime::format(format, &now).map(|text| text + "\n").map_err(|error| format!("{format}: {error}"))
}

fn ls(call: &Call<'_>) -> Result<String, String> {
    let (mut all, mut long) = (false, false);
    let mut paths = Vec::new();
    for argument in &call.args {
        match argument.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            Some(letters) => {
                for letter in letters.chars() {
                    match letter {
                        'a' => all = true,
                        'l' => long = true,
                        _ => return Err(format!("-{letter}: there are the options -a and -l")),
                    }
                }
            }
            None => paths.push(argument.as_str()),
        }
    }
    if paths.is_empty() {
        paths.push(".");
    }
    let mut text = String::new();
    for (index, path) in paths.iter().enumerate() {
        let full = call.state.cwd().join(path);
        let failed = |error: std::io::Error| format!("{path}: {error}");
        let metadata = fs::metadata(&full).or_else(|_| fs::symlink_metadata(&full)).map_err(failed)?;
        if !metadata.is_dir() {
            text += &entry(path, &full, long).map_err(failed)?;
            continue;
        }
        if paths.len() > 1 {
            text += &format!("{}{path}:\n", if index > 0 { "\n" } else { "" });
        }
        let entries = fs::read_dir(&full).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let mut names: Vec<String> = entries.iter().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        if all {
            names.extend([".".to_owned(), "..".to_owned()]);
        } else {
            names.retain(|name| !name.starts_with('.'));
        }
        names.sort();
        for name in names {
            text += &entry(&name, &full.join(&name), long).map_err(failed)?;
        }
    }
    Ok(text)
}

fn entry(name: &str, path: &Path, long: bool) -> std::io::Result<String> {
    if !long {
        return Ok(format!("{name}\n"));
    }
    let metadata = fs::symlink_metadata(path)?;
    let kind = metadata.file_type();
    let letter = match () {
        () if kind.is_dir() => 'd',
        () if kind.is_symlink() => 'l',
        () if kind.is_socket() => 's',
        () if kind.is_fifo() => 'p',
        () if kind.is_char_device() => 'c',
        () if kind.is_block_device() => 'b',
        () => '-',
    };
    let permissions: String =
        (0..9).map(|bit| if metadata.mode() & (0o400 >> bit) != 0 { ['r', 'w', 'x'][bit % 3] } else { '-' }).collect();
    let target = if kind.is_symlink() { format!(" -> {}", fs::read_link(path)?.display()) } else { String::new() };
    let modified = Timestamp::from_second(metadata.mtime()).unwrap_or_default().strftime("%b %e %H:%M %Y").to_string();
    let (links, uid, gid, size) = (metadata.nlink(), metadata.uid(), metadata.gid(), metadata.len());
    Ok(format!("{letter}{permissions} {links:>4} {uid:<5} {gid:<5} {size:>10} {modified} {name}{target}\n"))
}
