//! Help in upstream's layout, from the one definition of each command and flag.

use clap::{Arg, ArgAction, Command};

/// The commands as help groups them, in upstream's order. Those that are not defined are left out of help.
const GROUPS: [(&str, &[&str]); 8] = [
    ("Basic Commands (Beginner)", &["create", "expose", "run", "set"]),
    ("Basic Commands (Intermediate)", &["explain", "get", "edit", "delete"]),
    ("Deploy Commands", &["rollout", "scale", "autoscale"]),
    ("Cluster Management Commands", &["certificate", "cluster-info", "top", "cordon", "uncordon", "drain", "taint"]),
    (
        "Troubleshooting and Debugging Commands",
        &["describe", "logs", "attach", "exec", "port-forward", "proxy", "cp", "auth", "debug", "events"],
    ),
    ("Advanced Commands", &["diff", "apply", "patch", "replace", "wait", "kustomize"]),
    ("Settings Commands", &["label", "annotate", "completion"]),
    ("Other Commands", &["api-resources", "api-versions", "config", "kuberc", "plugin", "version", "options"]),
];

/// Where a command stands in upstream's order; suggestions come in it.
pub(crate) fn position(name: &str) -> usize {
    let all = GROUPS.iter().flat_map(|(_, names)| names.iter());
    all.into_iter().position(|known| *known == name).unwrap_or(usize::MAX)
}

/// The help of the command at the end of `path` below `root`.
pub(crate) fn text(root: &Command, path: &[String]) -> String {
    let mut command = root;
    for name in path {
        command = command.find_subcommand(name).unwrap_or(command);
    }
    if path.is_empty() { overview(root) } else { of(command, path) }
}

fn about(command: &Command) -> String {
    command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default()
}

fn short(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn overview(root: &Command) -> String {
    let mut out = format!("{}\n", about(root));
    for (title, names) in GROUPS {
        let known: Vec<&Command> = names.iter().filter_map(|name| root.find_subcommand(name)).collect();
        if known.is_empty() {
            continue;
        }
        out.push_str(&format!("\n{title}:\n"));
        for command in known {
            out.push_str(&format!("  {:<15} {}\n", command.get_name(), short(command)));
        }
    }
    out.push_str(
        "\nUsage:\n  kubectl [flags] [options]\n\n\
         Use \"kubectl <command> --help\" for more information about a given command.\n\
         Use \"kubectl options\" for a list of global command-line options (applies to all commands).\n",
    );
    out
}

fn of(command: &Command, path: &[String]) -> String {
    let name = path.join(" ");
    let mut out = format!("{}\n\n", about(command));
    let subcommands: Vec<&Command> = command.get_subcommands().collect();
    if !subcommands.is_empty() {
        out.push_str("Available Commands:\n");
        let width = subcommands.iter().map(|sub| sub.get_name().len()).max().unwrap_or_default();
        for sub in &subcommands {
            out.push_str(&format!("  {:<width$}   {}\n", sub.get_name(), short(sub)));
        }
        out.push('\n');
    }
    let flags = options(command);
    if !flags.is_empty() {
        out.push_str(&format!("Options:\n{flags}"));
    }
    let arguments = command.get_positionals().map(|arg| format!(" {}", placeholder(arg))).collect::<String>();
    let what = if subcommands.is_empty() { format!("{arguments} [flags] [options]") } else { " SUBCOMMAND".to_owned() };
    out.push_str(&format!("Usage:\n  kubectl {name}{what}\n\n"));
    if !subcommands.is_empty() {
        out.push_str(&format!("Use \"kubectl {name} <command> --help\" for more information about a given command.\n"));
    }
    out.push_str("Use \"kubectl options\" for a list of global command-line options (applies to all commands).\n");
    out
}

fn placeholder(arg: &Arg) -> String {
    arg.get_value_names().map(|names| names.join(" ")).unwrap_or_default()
}

/// The flags of a command with their defaults, as upstream lists them.
pub(crate) fn options(command: &Command) -> String {
    let mut flags: Vec<&Arg> =
        command.get_arguments().filter(|arg| arg.get_long().is_some() && !arg.is_hide_set()).collect();
    flags.sort_unstable_by_key(|arg| arg.get_long());
    let mut out = String::new();
    for arg in flags {
        let start = match arg.get_short() {
            Some(short) => format!("-{short}, "),
            None => String::new(),
        };
        let default = match (arg.get_action(), arg.get_default_values()) {
            (ArgAction::SetTrue, _) => "false".to_owned(),
            (ArgAction::Append, []) => "[]".to_owned(),
            (_, []) => "''".to_owned(),
            (_, values) => values.iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(","),
        };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let long = arg.get_long().unwrap_or_default();
        out.push_str(&format!("    {start}--{long}={default}:\n\t{help}\n\n"));
    }
    out
}
