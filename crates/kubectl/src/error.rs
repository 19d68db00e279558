//! What a command may end with, and how it is told: upstream's `cmdutil.CheckErr`, whose texts scripts know.

use apimachinery::{ApiError, Reason};
use client::RestError;
use client::kubeconfig::KubeconfigError;

/// A command did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KubectlError {
    /// `error: …` (or the text as it is, where it begins so).
    #[error("{0}")]
    Message(String),
    /// A text without `error: ` before it; nothing is printed where it is empty.
    #[error("{text}")]
    Exit {
        /// What is printed on standard error.
        text: String,
        /// The exit code.
        code: u8,
    },
    /// A request failed.
    #[error(transparent)]
    Request(#[from] RestError),
    /// The kubeconfig can't be used.
    #[error(transparent)]
    Config(#[from] KubeconfigError),
    /// Some of several things failed.
    #[error("{}", aggregate(.0))]
    Many(Vec<KubectlError>),
    /// Nobody reads the output any more: a success.
    #[error("the reader of the output is gone")]
    ReaderGone,
}

impl From<ApiError> for KubectlError {
    fn from(error: ApiError) -> Self {
        Self::Request(RestError::Api(error))
    }
}

/// Go's `Aggregate.Error`: the texts without doubles, in brackets where there are several.
fn aggregate(errors: &[KubectlError]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for text in errors.iter().map(ToString::to_string) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    match texts.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

impl KubectlError {
    /// A message that gets `error: ` before it.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::Message(text.into())
    }

    /// Upstream's `UsageErrorf`: the text, and where help is.
    pub(crate) fn usage(command_path: &str, text: impl std::fmt::Display) -> Self {
        Self::Message(format!("{text}\nSee '{command_path} -h' for help and examples"))
    }

    /// One error of several; `Ok` if there are none.
    pub(crate) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        if errors.contains(&Self::ReaderGone) {
            return Err(Self::ReaderGone);
        }
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Many(errors)),
        }
    }

    /// The API's error, if it is one.
    pub(crate) fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Request(error) => error.api(),
            _ => None,
        }
    }

    /// Whether the server said that there is no such object.
    pub(crate) fn is_not_found(&self) -> bool {
        self.api().is_some_and(|error| error.reason == Reason::NotFound)
    }

    /// Whether somebody else has changed the object meanwhile.
    pub(crate) fn is_conflict(&self) -> bool {
        self.api().is_some_and(|error| error.reason == Reason::Conflict)
    }

    /// Upstream's `AddSourceToErr`: `error when creating "x.yaml": …`.
    #[must_use]
    pub(crate) fn about_source(self, verb: &str, source: &str) -> Self {
        if source.is_empty() {
            return self;
        }
        let with = |text: &dyn std::fmt::Display| format!("error when {verb} {source:?}: {text}");
        match self {
            Self::Request(RestError::Api(mut error)) => {
                error.message = with(&error.message);
                error.into()
            }
            Self::ReaderGone => Self::ReaderGone,
            other => Self::Message(with(&other)),
        }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Exit { code, .. } => *code,
            Self::ReaderGone => 0,
            _ => 1,
        }
    }

    /// What is printed on standard error, with a line break at its end; may be empty.
    pub(crate) fn printed(&self) -> String {
        let text = match self {
            Self::Many(errors) => match errors.as_slice() {
                [one] => return one.printed(),
                many => many.iter().map(|error| error.line() + "\n").collect(),
            },
            Self::Request(RestError::Api(error)) if error.reason == Reason::Invalid => invalid(error),
            Self::Config(KubeconfigError::Invalid(faults)) => match faults.as_slice() {
                // One fault is told by itself, but for a context that is not there.
                [one] if one.starts_with("context was not found") => format!("Error in configuration: {one}"),
                [one] => format!("error: {one}"),
                many => many.iter().fold("Error in configuration: \n".to_owned(), |all, one| format!("{all}* {one}\n")),
            },
            Self::Exit { text, .. } => text.clone(),
            Self::ReaderGone => String::new(),
            Self::Message(text) if text.starts_with("error: ") => text.clone(),
            Self::Message(_) | Self::Config(_) | Self::Request(RestError::Invalid(_)) => match self.standard() {
                Some(text) => text,
                None => format!("error: {self}"),
            },
            Self::Request(_) => self.line(),
        };
        if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" }
    }

    /// One line of several errors: the standard text, else the error's own.
    fn line(&self) -> String {
        self.standard().unwrap_or_else(|| self.to_string())
    }

    /// Upstream's `StandardErrorMessage`.
    fn standard(&self) -> Option<String> {
        match self {
            Self::Request(RestError::Api(error)) => Some(match error.reason {
                Reason::Unauthorized => format!("error: You must be logged in to the server ({})", error.message),
                Reason::Unknown => format!("Error from server: {}", error.message),
                reason => format!("Error from server ({}): {}", reason.as_str(), error.message),
            }),
            Self::Request(RestError::Unreachable { authority, reason, .. }) => {
                Some(if reason.contains("connection refused") {
                    format!(
                        "The connection to the server {authority} was refused - did you specify the right host or port?"
                    )
                } else {
                    format!("Unable to connect to the server: {reason}")
                })
            }
            Self::Config(error @ KubeconfigError::Plugin(_)) => {
                Some(format!("Unable to connect to the server: {error}"))
            }
            _ => None,
        }
    }
}

/// How a refused object is told: kind, name and one line a fault.
fn invalid(error: &ApiError) -> String {
    let head = if !error.kind.is_empty() || !error.name.is_empty() {
        format!("The {} {:?} is invalid", error.kind, error.name)
    } else if error.causes.is_empty() && !error.message.is_empty() {
        return format!("The request is invalid: {}", error.message);
    } else {
        "The request is invalid".to_owned()
    };
    let mut faults: Vec<String> = Vec::new();
    for cause in &error.causes {
        let text = format!("{}: {}", cause.field, cause.message);
        if !faults.contains(&text) {
            faults.push(text);
        }
    }
    match faults.as_slice() {
        [] => head,
        [one] => format!("{head}: {one}"),
        many => many.iter().fold(format!("{head}: \n"), |all, one| format!("{all}* {one}\n")),
    }
}

#[cfg(test)]
mod tests;
