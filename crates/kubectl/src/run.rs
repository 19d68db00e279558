//! From arguments to an exit code.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _};
use client::kubeconfig::Environment;
use component_base::{Clock, SystemClock};

use crate::cli::Cli;
use crate::context::{Context, Parts};
use crate::error::KubectlError;
use crate::printer::Printer;
use crate::{flags, help};

/// Runs kubectl. `arguments` come without the program's name. Makes a runtime of its own on this thread, so it must not
/// be called on one.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let printer = Printer::standard();
    let arguments: Vec<String> = arguments.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let world =
        World { printer: printer.clone(), clock: Arc::new(SystemClock), environment: Environment::of_process() };
    match run_in(world, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            printer.err(error.printed());
            ExitCode::from(error.code())
        }
    }
}

/// What a run touches.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) printer: Printer,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) environment: Environment,
}

/// Runs one command line in a world.
pub(crate) fn run_in(world: World, arguments: &[String]) -> Result<(), KubectlError> {
    let root = Cli::command();
    let normalized = flags::normalize(&root, arguments)?;
    if normalized.help || normalized.commands.is_empty() {
        return world.printer.out(help::text(&root, &normalized.commands));
    }
    let cli = match root.clone().try_get_matches_from(&normalized.arguments).and_then(|m| Cli::from_arg_matches(&m)) {
        Ok(cli) => cli,
        Err(error) => match error.kind() {
            // A group of commands without one of them tells what there is.
            ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                return Err(KubectlError::Exit { text: help::text(&root, &normalized.commands), code: 1 });
            }
            _ => return Err(argument_error(&root, &normalized.commands, &error)),
        },
    };
    if normalized.has_flag("record") {
        world.printer.err_line("Flag --record has been deprecated, --record will be removed in the future");
    }
    let command_path = std::iter::once("kubectl").chain(normalized.commands.iter().map(String::as_str));
    let context = Context::new(Parts {
        flags: cli.global,
        printer: world.printer,
        clock: world.clock,
        environment: world.environment,
        command_path: command_path.collect::<Vec<_>>().join(" "),
        cause: normalized.cause(),
        before_dash: normalized.before_dash,
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| KubectlError::new(format!("failed to start: {error}")))?;
    let outcome = runtime.block_on(cli.command.run(&context));
    let warnings = context.warnings();
    let as_errors = context.flags.warnings_as_errors;
    drop(context);
    // A read of the terminal that nobody waits for must not hold the process.
    runtime.shutdown_background();
    outcome?;
    match warnings {
        0 => Ok(()),
        _ if !as_errors => Ok(()),
        1 => Err(KubectlError::new("1 warning received")),
        many => Err(KubectlError::new(format!("{many} warnings received"))),
    }
}

/// What clap found, in pflag's and cobra's words.
fn argument_error(root: &clap::Command, commands: &[String], error: &clap::Error) -> KubectlError {
    let path = [&["kubectl".to_owned()], commands].concat().join(" ");
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let name = context(ContextKind::InvalidArg).unwrap_or_default();
    let long = name.trim_start_matches("--").split([' ', '=', '[']).next().unwrap_or_default().to_owned();
    let value = context(ContextKind::InvalidValue).unwrap_or_default();
    match error.kind() {
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            match flags::flag(root, commands, &long) {
                Some(arg) => flags::fault(commands, &flags::invalid_argument(arg, &value, &reason)),
                None => KubectlError::usage(&path, format!("invalid argument {value:?}: {reason}")),
            }
        }
        ErrorKind::MissingRequiredArgument => KubectlError::Message(format!("required flag(s) {long:?} not set")),
        _ => KubectlError::usage(&path, format!("unexpected arguments: {value}")),
    }
}

#[cfg(test)]
mod tests;
