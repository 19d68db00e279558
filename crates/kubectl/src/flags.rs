//! Arguments as cobra and pflag read them. The flags themselves are defined once, as clap arguments; this module reads a
//! command line by their rules in upstream's way (flags anywhere, `-it`, `-n=x`, `--watch=false`, `--dry-run` with or
//! without a value), says what is wrong in upstream's words, and hands clap a command line that has one meaning.

pub(crate) mod values;

use clap::{Arg, ArgAction, Command};

use crate::error::KubectlError;

/// Flags of upstream's that are not served. Naming them gives an error that says so.
const UNSERVED_FLAGS: [&str; 17] = [
    "applyset",
    "cache-dir",
    "disable-compression",
    "force-conflicts",
    "kuberc",
    "kustomize",
    "log-flush-frequency",
    "match-server-version",
    "openapi-patch",
    "profile",
    "profile-output",
    "proxy-url",
    "prune",
    "prune-allowlist",
    "server-side",
    "vmodule",
    "windows-line-endings",
];

/// A command line that clap reads without a fault of form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Normalized {
    /// For clap: the program, global flags, commands, flags, `--`, positional arguments.
    pub(crate) arguments: Vec<String>,
    /// The names of the commands, the program's not among them.
    pub(crate) commands: Vec<String>,
    /// How many positional arguments stood before `--`, if it was there.
    pub(crate) before_dash: Option<usize>,
    /// Whether help was asked for.
    pub(crate) help: bool,
}

/// Flags whose values nobody should read later.
const CLASSIFIED: [&str; 2] = ["password", "token"];

impl Normalized {
    /// The flags, without their dashes, with a value where they have one.
    fn flags(&self) -> impl Iterator<Item = &str> {
        self.arguments
            .iter()
            .take_while(|argument| *argument != "--")
            .filter_map(|argument| argument.strip_prefix("--"))
    }

    /// Whether this flag was given.
    pub(crate) fn has_flag(&self, name: &str) -> bool {
        self.flags().any(|flag| flag.split('=').next() == Some(name))
    }

    /// The command as it was given, flags last (upstream: `genericclioptions.RecordFlags`).
    pub(crate) fn cause(&self) -> String {
        let mut cause =
            std::iter::once("kubectl").chain(self.commands.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        for argument in self.arguments.iter().skip_while(|argument| *argument != "--").skip(1) {
            cause.push_str(&format!(" {argument}"));
        }
        for flag in self.flags() {
            let (name, value) = flag.split_once('=').unwrap_or((flag, "true"));
            let value = if CLASSIFIED.contains(&name) { "CLASSIFIED" } else { value };
            cause.push_str(&format!(" --{name}={value}"));
        }
        cause
    }
}

/// Reads `arguments` by the definitions of `root`.
pub(crate) fn normalize(root: &Command, arguments: &[String]) -> Result<Normalized, KubectlError> {
    // `kubectl help get` is `kubectl get --help`.
    let about = first_word(root, root, arguments).filter(|at| arguments[*at] == "help");
    let (chain, rest) = match about {
        Some(at) => find(root, &[&arguments[..at], &arguments[at + 1..], &["--help".to_owned()]].concat()),
        None => find(root, arguments),
    };
    let commands: Vec<String> = chain[1..].iter().map(|command| command.get_name().to_owned()).collect();
    let leaf = chain.last().copied().unwrap_or(root);
    if let Some(word) = words_without_flags(root, leaf, &rest).first()
        && let [only] = commands.as_slice()
        && crate::commands::UNSERVED_WITHIN.contains(&(only.as_str(), word.as_str()))
    {
        return Err(unserved(&format!("{only} {word}")));
    }
    // A command with words of its own says what it does not know in its own words.
    if leaf.has_subcommands()
        && leaf.get_positionals().next().is_none()
        && let Some(unknown) = words_without_flags(root, leaf, &rest).first()
    {
        return Err(unknown_command(root, &commands, unknown));
    }
    let mut reader = Reader { root, leaf, global: Vec::new(), local: Vec::new(), positional: Vec::new(), help: false };
    let before_dash = reader.read(&rest).map_err(|text| fault(&commands, &text))?;
    let mut out = vec!["kubectl".to_owned()];
    out.extend(reader.global.into_iter().flat_map(Occurrence::written));
    out.extend(commands.iter().cloned());
    out.extend(reader.local.into_iter().flat_map(Occurrence::written));
    if !reader.positional.is_empty() {
        out.push("--".to_owned());
        out.extend(reader.positional);
    }
    Ok(Normalized { arguments: out, commands, before_dash, help: reader.help })
}

/// What is wrong with a flag. A 1 of `diff` would mean that there are differences.
pub(crate) fn fault(commands: &[String], text: &str) -> KubectlError {
    let path = [&["kubectl".to_owned()], commands].concat().join(" ");
    if commands == ["diff"] {
        return KubectlError::Exit { text: format!("{text}\nSee '{path} -h' for help and examples"), code: 2 };
    }
    KubectlError::Message(format!("{text}\nSee '{path} --help' for usage."))
}

/// The chain of commands that the arguments name, and the arguments without those names.
fn find<'a>(root: &'a Command, arguments: &[String]) -> (Vec<&'a Command>, Vec<String>) {
    let mut chain = vec![root];
    let mut rest = arguments.to_vec();
    loop {
        let command = *chain.last().unwrap_or(&root);
        let Some(at) = first_word(root, command, &rest) else { return (chain, rest) };
        let next = command.get_subcommands().find(|sub| sub.get_name() == rest[at] || has_alias(sub, &rest[at]));
        let Some(next) = next else { return (chain, rest) };
        rest.remove(at);
        chain.push(next);
    }
}

fn has_alias(command: &Command, name: &str) -> bool {
    command.get_all_aliases().any(|alias| alias == name)
}

/// Where the first argument stands that is neither a flag nor a flag's value.
fn first_word(root: &Command, command: &Command, arguments: &[String]) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = arguments.get(at) {
        if word == "--" {
            return None;
        }
        if !word.starts_with('-') {
            return (!word.is_empty()).then_some(at);
        }
        let takes_next = match word.strip_prefix("--") {
            Some(long) => !word.contains('=') && !lookup(root, command, long).is_some_and(has_no_option_value),
            None => {
                let mut letters = word.chars().skip(1);
                let letter = letters.next();
                letter.is_some()
                    && letters.next().is_none()
                    && !lookup_short(root, command, letter.unwrap_or_default()).is_some_and(has_no_option_value)
            }
        };
        at += if takes_next { 2 } else { 1 };
    }
    None
}

fn words_without_flags(root: &Command, command: &Command, arguments: &[String]) -> Vec<String> {
    first_word(root, command, arguments).map(|at| arguments[at].clone()).into_iter().collect()
}

fn named<'a>(command: &'a Command, long: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| {
        arg.get_long() == Some(long) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))
    })
}

fn lookup<'a>(root: &'a Command, command: &'a Command, long: &str) -> Option<&'a Arg> {
    named(command, long).or_else(|| named(root, long))
}

fn lookup_short<'a>(root: &'a Command, command: &'a Command, short: char) -> Option<&'a Arg> {
    let of = |command: &'a Command| command.get_arguments().find(|arg| arg.get_short() == Some(short));
    of(command).or_else(|| of(root))
}

/// Whether the flag may stand without a value (pflag's `NoOptDefVal`).
fn has_no_option_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue) || arg.get_num_args().is_some_and(|range| range.min_values() == 0)
}

/// One flag with its values.
#[derive(Debug)]
struct Occurrence {
    long: String,
    /// As messages name it: `-w, --watch`.
    switch: bool,
    repeats: bool,
    values: Vec<Option<String>>,
}

impl Occurrence {
    fn written(self) -> Vec<String> {
        let long = self.long;
        if self.switch {
            let on = self
                .values
                .last()
                .is_some_and(|last| last.as_deref().is_none_or(|text| values::boolean(text) == Ok(true)));
            return if on { vec![format!("--{long}")] } else { Vec::new() };
        }
        let write = |value: Option<String>| match value {
            Some(value) => format!("--{long}={value}"),
            None => format!("--{long}"),
        };
        if self.repeats {
            self.values.into_iter().map(write).collect()
        } else {
            self.values.into_iter().last().map(write).into_iter().collect()
        }
    }
}

struct Reader<'a> {
    root: &'a Command,
    leaf: &'a Command,
    global: Vec<Occurrence>,
    local: Vec<Occurrence>,
    positional: Vec<String>,
    help: bool,
}

impl<'a> Reader<'a> {
    fn read(&mut self, arguments: &[String]) -> Result<Option<usize>, String> {
        let mut words = arguments.iter().cloned().peekable();
        while let Some(word) = words.next() {
            if word == "--" {
                let before = self.positional.len();
                self.positional.extend(words);
                return Ok(Some(before));
            }
            if let Some(long) = word.strip_prefix("--") {
                self.long(&word, long, &mut words)?;
            } else if word.len() > 1 && word.starts_with('-') {
                self.shorts(&word[1..], &mut words)?;
            } else {
                self.positional.push(word);
                // What follows the first word of `exec POD COMMAND` is still read as flags, as upstream does.
            }
        }
        Ok(None)
    }

    fn long(&mut self, word: &str, text: &str, words: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(format!("error: bad flag syntax: {word}"));
        }
        let Some(arg) = lookup(self.root, self.leaf, name) else {
            if name == "help" {
                self.help = true;
                return Ok(());
            }
            if UNSERVED_FLAGS.contains(&name) {
                return Err(format!("error: the flag --{name} is not served by this kubectl"));
            }
            return Err(format!("error: unknown flag: --{name}"));
        };
        let value = match value {
            Some(value) => Some(value),
            None if has_no_option_value(arg) => None,
            None => Some(words.next().ok_or_else(|| format!("error: flag needs an argument: --{name}"))?),
        };
        self.set(arg, value)
    }

    fn shorts(&mut self, text: &str, words: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let after = &rest[letter.len_utf8()..];
            let Some(arg) = lookup_short(self.root, self.leaf, letter) else {
                if letter == 'h' {
                    self.help = true;
                    return Ok(());
                }
                if letter == 'k' {
                    return Err("error: the flag --kustomize is not served by this kubectl".to_owned());
                }
                return Err(format!("error: unknown shorthand flag: '{letter}' in -{text}"));
            };
            if let Some(value) = after.strip_prefix('=').filter(|_| rest.len() > 2) {
                return self.set(arg, Some(value.to_owned()));
            }
            if has_no_option_value(arg) {
                self.set(arg, None)?;
                rest = after;
            } else if !after.is_empty() {
                return self.set(arg, Some(after.to_owned()));
            } else {
                let value = words.next();
                let value = value.ok_or_else(|| format!("error: flag needs an argument: '{letter}' in -{text}"))?;
                return self.set(arg, Some(value));
            }
        }
        Ok(())
    }

    fn set(&mut self, arg: &'a Arg, value: Option<String>) -> Result<(), String> {
        let Some(long) = arg.get_long() else { return Ok(()) };
        let switch = matches!(arg.get_action(), ArgAction::SetTrue);
        if switch && let Some(text) = &value {
            values::boolean(text).map_err(|reason| invalid_argument(arg, text, &reason))?;
        }
        let is_local = self.leaf.get_arguments().any(|local| local.get_long() == Some(long));
        let list = if is_local { &mut self.local } else { &mut self.global };
        match list.iter_mut().find(|occurrence| occurrence.long == long) {
            Some(occurrence) => occurrence.values.push(value),
            None => list.push(Occurrence {
                long: long.to_owned(),
                switch,
                repeats: matches!(arg.get_action(), ArgAction::Append),
                values: vec![value],
            }),
        }
        Ok(())
    }
}

/// pflag's sentence for a value that a flag can't have.
pub(crate) fn invalid_argument(arg: &Arg, value: &str, reason: &str) -> String {
    let long = arg.get_long().unwrap_or_default();
    let name = match arg.get_short() {
        Some(short) => format!("-{short}, --{long}"),
        None => format!("--{long}"),
    };
    format!("error: invalid argument {value:?} for {name:?} flag: {reason}")
}

/// The flag of a command that has this long name.
pub(crate) fn flag<'a>(root: &'a Command, commands: &[String], long: &str) -> Option<&'a Arg> {
    let mut leaf = root;
    for name in commands {
        leaf = leaf.find_subcommand(name)?;
    }
    lookup(root, leaf, long)
}

fn unserved(command: &str) -> KubectlError {
    KubectlError::new(format!("the command \"kubectl {command}\" is not served by this kubectl"))
}

fn unknown_command(root: &Command, commands: &[String], word: &str) -> KubectlError {
    let path = [&["kubectl".to_owned()], commands].concat().join(" ");
    match commands {
        [] => {
            if crate::commands::UNSERVED.contains(&word) {
                return unserved(word);
            }
            let mut text = format!("unknown command {word:?} for \"kubectl\"");
            let known = root.get_subcommands().map(Command::get_name).chain(crate::commands::UNSERVED);
            let mut near: Vec<&str> = known.filter(|name| is_near(word, name)).collect();
            near.sort_unstable_by_key(|name| crate::help::position(name));
            if !near.is_empty() {
                text.push_str("\n\nDid you mean this?\n");
                near.iter().for_each(|name| text.push_str(&format!("\t{name}\n")));
            }
            KubectlError::new(text)
        }
        // `create` is a command itself and says so in its own words.
        [only] if only == "create" => KubectlError::usage(&path, format!("Unexpected args: [{word}]")),
        _ => KubectlError::usage(&path, format!("unknown command {word:?}")),
    }
}

/// Cobra's measure of a slip: two edits at most, or a beginning of the name.
fn is_near(word: &str, name: &str) -> bool {
    let (word, name) = (word.to_lowercase(), name.to_lowercase());
    edits(&word, &name) <= 2 || name.starts_with(&word)
}

fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
