//! A small shell and the tools it has built in, which can also be called by their own names.

mod tools;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;

use component_base::{Clock, SystemClock};
use deno_task_shell::parser::{self, SequentialList, SequentialListItem, SimpleCommand, Word};
use deno_task_shell::{
    ExecuteResult, KillSignal, ShellCommand, ShellCommandContext, ShellOptions, ShellPipeReader, ShellPipeWriter,
    ShellState, SignalKind, execute_with_pipes,
};
use tokio::signal::unix::SignalKind as UnixSignal;
use tokio::task::LocalSet;

use crate::dispatch::{block_on, complain};
use crate::server::hostname;

pub(crate) use tools::TOOLS;

/// The longest line of a script on standard input.
const LINE_MAX: usize = 1 << 20;
/// The exit code for a script that can't be read, as POSIX has it.
const SYNTAX_ERROR: u8 = 2;

/// What the shell is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Invocation {
    /// `-c TEXT`, or a file.
    Script { text: String, exit_on_error: bool },
    /// Lines from standard input.
    Lines { exit_on_error: bool },
}

/// Runs `sh [-e] [-c COMMANDS | FILE]`.
pub(crate) fn main(name: &str, args: &[OsString]) -> u8 {
    let invocation = match parse(args) {
        Ok(invocation) => invocation,
        Err(error) => {
            complain(&format!("{name}: {error}"));
            return SYNTAX_ERROR;
        }
    };
    run(name, |shell| async move {
        match invocation {
            Invocation::Script { text, exit_on_error } => {
                let mut shell = shell.with_errexit(exit_on_error);
                shell.script(&text).await
            }
            Invocation::Lines { exit_on_error } => {
                let mut shell = shell.with_errexit(exit_on_error);
                shell.lines().await
            }
        }
    })
}

/// Runs one of the [`TOOLS`].
pub(crate) fn run_tool(tool: &str, args: &[OsString]) -> u8 {
    let words = std::iter::once(tool.to_owned()).chain(args.iter().map(|arg| arg.to_string_lossy().into_owned()));
    let args: Vec<Word> = words.map(|word| Word::new_string(&word)).collect();
    let command = SimpleCommand { env_vars: Vec::new(), args };
    let item = SequentialListItem { is_async: false, ends_line: false, sequence: command.into() };
    run(tool, |mut shell| async move { shell.execute(SequentialList { items: vec![item] }).await })
}

fn run<F: Future<Output = u8>>(name: &str, work: impl FnOnce(Shell) -> F) -> u8 {
    let directory = match std::env::current_dir() {
        Ok(directory) => directory,
        Err(error) => {
            complain(&format!("{name}: failed to read the working directory: {error}"));
            return 1;
        }
    };
    let shell = Shell::new(name, std::env::vars_os().collect(), directory, Rc::new(SystemClock));
    block_on(LocalSet::new().run_until(work(shell))).unwrap_or_else(|error| {
        complain(&format!("{name}: failed to start: {error}"));
        1
    })
}

fn parse(args: &[OsString]) -> Result<Invocation, String> {
    let mut exit_on_error = false;
    let mut commands = false;
    let mut args = args.iter().map(|arg| arg.to_string_lossy().into_owned()).peekable();
    while let Some(letters) = args.next_if(|arg| arg.len() > 1 && arg.starts_with('-')) {
        for letter in letters[1..].chars() {
            match letter {
                'c' => commands = true,
                'e' => exit_on_error = true,
                _ => return Err(format!("option {letters}: is unknown; there are -c and -e")),
            }
        }
    }
    let operand = args.next();
    if args.next().is_some() {
        return Err("arguments for a script are not supported; write them into it".to_owned());
    }
    match operand {
        Some(text) if commands => Ok(Invocation::Script { text, exit_on_error }),
        Some(path) => {
            let text = std::fs::read_to_string(&path).map_err(|error| format!("failed to read {path}: {error}"))?;
            Ok(Invocation::Script { text, exit_on_error })
        }
        None if commands => Err("option -c: requires the commands".to_owned()),
        None => Ok(Invocation::Lines { exit_on_error }),
    }
}

/// A shell between two scripts.
struct Shell {
    name: String,
    state: ShellState,
    /// How the last line left the shell, if it did not exit.
    left: Rc<RefCell<Option<Left>>>,
    stdin: ShellPipeReader,
    stdout: ShellPipeWriter,
    stderr: ShellPipeWriter,
}

/// The command that ends every script and looks what it has changed: the library tells its caller only the exit code.
const LEAVE: &str = "\u{1}leave";

/// The state after a line, and its exit code.
struct Left {
    state: ShellState,
    code: u8,
}

struct Leave(Rc<RefCell<Option<Left>>>);

/// The exit code of the last command.
fn last_code(state: &ShellState) -> u8 {
    state.get_var("?".as_ref()).and_then(|code| code.to_str()?.parse().ok()).unwrap_or(0)
}

impl ShellCommand for Leave {
    fn execute(&self, context: ShellCommandContext) -> Pin<Box<dyn Future<Output = ExecuteResult>>> {
        let code = last_code(&context.state);
        self.0.replace(Some(Left { state: context.state, code }));
        // With another code, the library would send a signal to the state that was just kept.
        Box::pin(std::future::ready(ExecuteResult::from_exit_code(0)))
    }
}

impl Shell {
    fn new(name: &str, environment: HashMap<OsString, OsString>, directory: PathBuf, clock: Rc<dyn Clock>) -> Self {
        let left: Rc<RefCell<Option<Left>>> = Rc::default();
        let mut commands = tools::commands(&clock);
        commands.insert(LEAVE.to_owned(), Rc::new(Leave(left.clone())));
        let state = ShellState::new(environment, directory, commands, KillSignal::default());
        Self {
            name: name.to_owned(),
            state,
            left,
            stdin: ShellPipeReader::stdin(),
            stdout: ShellPipeWriter::stdout(),
            stderr: ShellPipeWriter::stderr(),
        }
    }

    fn with_errexit(mut self, enabled: bool) -> Self {
        self.state.set_shell_option(ShellOptions::ERREXIT, enabled);
        self
    }

    /// Runs a list of commands; gives the exit code.
    async fn execute(&mut self, list: SequentialList) -> u8 {
        let state = self.state.with_child_signal();
        let (stdin, stdout, stderr) = (self.stdin.clone(), self.stdout.clone(), self.stderr.clone());
        let code = execute_with_pipes(list, state, stdin, stdout, stderr).await;
        // As the kernel does with an exit code.
        u8::try_from(code & 0xff).unwrap_or(u8::MAX)
    }

    async fn script(&mut self, text: &str) -> u8 {
        // The parser refuses a list without commands.
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return 0;
        }
        match parser::parse(text) {
            Ok(list) => self.execute(list).await,
            Err(error) => {
                let _ = self.stderr.write_line(&format!("{}: {error}", self.name));
                SYNTAX_ERROR
            }
        }
    }

    /// Runs standard input line by line: what a line has changed, the next one sees.
    async fn lines(&mut self) -> u8 {
        let terminal = io::stdin().is_terminal();
        let mut code = 0;
        loop {
            if terminal {
                let _ = write!(io::stderr(), "{}", self.prompt());
            }
            let line = match read_line(io::stdin().as_fd()) {
                Ok(Some(line)) => line,
                Ok(None) => return code,
                Err(error) => {
                    complain(&format!("{}: failed to read standard input: {error}", self.name));
                    return 1;
                }
            };
            match self.line(&line).await {
                Flow::Next(next) => code = next,
                Flow::Exit(code) => return code,
            }
        }
    }

    /// Runs one line. SIGINT ends what it runs, not the shell.
    async fn line(&mut self, line: &str) -> Flow {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            return Flow::Next(0);
        }
        // The library's `exit` has 1 as its default; POSIX has the code of the last command.
        if line.trim() == "exit" {
            return Flow::Exit(last_code(&self.state));
        }
        let mut list = match parser::parse(line) {
            Ok(list) => list,
            Err(error) => {
                let _ = self.stderr.write_line(&format!("{}: {error}", self.name));
                return Flow::Next(SYNTAX_ERROR);
            }
        };
        let leave = SimpleCommand { env_vars: Vec::new(), args: vec![Word::new_string(LEAVE)] };
        list.items.push(SequentialListItem { is_async: false, ends_line: false, sequence: leave.into() });
        let state = self.state.with_child_signal();
        let kill = state.kill_signal().clone();
        let streams = (self.stdin.clone(), self.stdout.clone(), self.stderr.clone());
        let mut running = std::pin::pin!(execute_with_pipes(list, state, streams.0, streams.1, streams.2));
        let interrupt = tokio::signal::unix::signal(UnixSignal::interrupt());
        let mut interrupted = false;
        let code = match interrupt {
            Ok(mut interrupt) => loop {
                tokio::select! {
                    code = running.as_mut() => break code,
                    _ = interrupt.recv() => {
                        interrupted = true;
                        kill.send(SignalKind::SIGINT);
                    }
                }
            },
            Err(_) => running.await,
        };
        let code = u8::try_from(code & 0xff).unwrap_or(u8::MAX);
        match self.left.borrow_mut().take() {
            // After SIGINT, the signal of what was left has been sent; the shell's own one has not.
            Some(left) if !interrupted => {
                self.state = left.state;
                Flow::Next(left.code)
            }
            _ if interrupted => Flow::Next(code),
            _ => Flow::Exit(code),
        }
    }

    fn prompt(&self) -> String {
        let root = rustix::process::geteuid().is_root();
        let (user, end) = if root { ("root", '#') } else { ("user", '$') };
        format!("{user}@{}:{}{end} ", hostname(), self.state.cwd().display())
    }
}

/// What comes after a line.
#[derive(Debug, PartialEq, Eq)]
enum Flow {
    Next(u8),
    Exit(u8),
}

/// A line, read byte by byte: what follows it belongs to the commands that it runs. `None` at the end.
fn read_line(input: impl AsFd) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        match rustix::io::read(&input, &mut byte) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(_) if byte == *b"\n" => break,
            Ok(_) if line.len() == LINE_MAX => return Err(io::Error::other("the line is too long")),
            Ok(_) => line.push(byte[0]),
            // SIGINT at the prompt drops what was typed.
            Err(rustix::io::Errno::INTR) => line.clear(),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

#[cfg(test)]
mod tests;
