//! Which program is meant.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use crate::{archive, curl, server, shell};

/// The first argument by which the programs are reached when skiff is called by its own name.
const SUBCOMMAND: &str = "sample-app";

/// The names under which the image has the programs.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ["bootcamp", "curl", "sh", "bash", "tar"].into_iter().chain(shell::TOOLS.iter().copied())
}

/// Runs the program that the process was called as: by the last part of `argv0` (`/bin/curl`), or as
/// `skiff sample-app curl …`. `args` are the arguments without `argv0`. `None` if none of the programs is meant. Call it
/// before any thread is started; it makes a runtime of its own.
pub fn dispatch(argv0: &str, args: &[OsString]) -> Option<ExitCode> {
    let called = Path::new(argv0).file_name()?.to_str()?;
    if let Some(code) = run(called, args) {
        return Some(code);
    }
    let [subcommand, program, args @ ..] = args else { return None };
    if subcommand != SUBCOMMAND {
        return None;
    }
    run(program.to_str()?, args)
}

fn run(program: &str, args: &[OsString]) -> Option<ExitCode> {
    let name = names().find(|name| *name == program)?;
    let code = match name {
        "bootcamp" => server::main(args),
        "curl" => curl::main(args),
        "tar" => archive::main(args),
        "sh" | "bash" => shell::main(name, args),
        tool => shell::run_tool(tool, args),
    };
    Some(ExitCode::from(code))
}

/// A runtime for one program: it has one thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(future))
}

/// Writes a line where errors go. An error there has nowhere to be told.
pub(crate) fn complain(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::dispatch;

    #[test]
    fn other_programs_are_not_ours() {
        assert!(dispatch("/usr/bin/skiff", &["start".into()]).is_none());
        assert!(dispatch("skiff", &["sample-app".into()]).is_none());
        assert!(dispatch("skiff", &["sample-app".into(), "start".into()]).is_none());
        assert!(dispatch("skiff", &["curl".into()]).is_none());
        assert!(dispatch("", &[]).is_none());
    }

    #[test]
    fn programs_are_found_by_name_and_by_argument() {
        let success = format!("{:?}", std::process::ExitCode::SUCCESS);
        for code in [dispatch("/bin/true", &[]), dispatch("skiff", &["sample-app".into(), "true".into()])] {
            assert_eq!(format!("{:?}", code.expect("it is ours")), success);
        }
        assert_ne!(format!("{:?}", dispatch("false", &[]).expect("it is ours")), success);
    }
}
