//! Profiles from files (`Localhost`), in the OCI runtime format.

use serde::Deserialize;

use super::{Action, Comparison, Condition, Profile, Rule};

/// A profile can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error("malformed seccomp profile")]
    Malformed(#[from] serde_json::Error),
    #[error("seccomp profile uses {what} {name:?}, which is not supported")]
    Unsupported { what: &'static str, name: String },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    default_action: String,
    default_errno_ret: Option<u16>,
    #[serde(default)]
    syscalls: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Vec<Argument>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

fn action(name: &str, errno: Option<u16>) -> Result<Action, ProfileError> {
    const EPERM: u16 = 1;
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_ERRNO" => Action::Errno(errno.unwrap_or(EPERM)),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_LOG" => Action::Log,
        _ => return Err(ProfileError::Unsupported { what: "action", name: name.into() }),
    })
}

fn condition(argument: &Argument) -> Result<Condition, ProfileError> {
    if argument.index > 5 {
        return Err(ProfileError::Unsupported { what: "argument index", name: argument.index.to_string() });
    }
    let (comparison, value, mask) = match argument.op.as_str() {
        "SCMP_CMP_EQ" => (Comparison::Equal, argument.value, u64::MAX),
        "SCMP_CMP_NE" => (Comparison::NotEqual, argument.value, u64::MAX),
        "SCMP_CMP_LT" => (Comparison::Less, argument.value, u64::MAX),
        "SCMP_CMP_LE" => (Comparison::LessOrEqual, argument.value, u64::MAX),
        "SCMP_CMP_GT" => (Comparison::Greater, argument.value, u64::MAX),
        "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, argument.value, u64::MAX),
        // The mask is the first value, what has to remain the second.
        "SCMP_CMP_MASKED_EQ" => (Comparison::MaskedEqual, argument.value_two, argument.value),
        other => return Err(ProfileError::Unsupported { what: "comparison", name: other.into() }),
    };
    Ok(Condition { argument: argument.index, comparison, value, mask })
}

/// Reads a profile.
pub(crate) fn parse(json: &[u8]) -> Result<Profile, ProfileError> {
    let file: File = serde_json::from_slice(json)?;
    let rules = file.syscalls.into_iter().map(|entry| {
        Ok(Rule {
            action: action(&entry.action, entry.errno_ret.or(file.default_errno_ret))?,
            conditions: entry.args.iter().map(condition).collect::<Result<_, _>>()?,
            names: entry.names,
        })
    });
    Ok(Profile {
        rules: rules.collect::<Result<_, ProfileError>>()?,
        default: action(&file.default_action, file.default_errno_ret)?,
    })
}
