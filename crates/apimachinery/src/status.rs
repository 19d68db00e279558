//! Errors as the API gives them: upstream's `metav1.Status`, with reason, code, details and causes
//! (`k8s.io/apimachinery/pkg/api/errors`).

use serde_json::{Value, json};

use crate::field::FieldError;

/// Why a request failed, in the word that clients switch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are upstream's StatusReason values")]
pub enum Reason {
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Expired,
    Invalid,
    ServerTimeout,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    ServiceUnavailable,
    /// No word: only the HTTP code tells.
    Unknown,
}

impl Reason {
    /// The word on the wire; empty for [`Reason::Unknown`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Gone => "Gone",
            Self::Expired => "Expired",
            Self::Invalid => "Invalid",
            Self::ServerTimeout => "ServerTimeout",
            Self::Timeout => "Timeout",
            Self::TooManyRequests => "TooManyRequests",
            Self::BadRequest => "BadRequest",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::InternalError => "InternalError",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::Unknown => "",
        }
    }

    /// The reason that `word` names.
    pub fn parse(word: &str) -> Self {
        const ALL: [Reason; 18] = [
            Reason::Unauthorized,
            Reason::Forbidden,
            Reason::NotFound,
            Reason::AlreadyExists,
            Reason::Conflict,
            Reason::Gone,
            Reason::Expired,
            Reason::Invalid,
            Reason::ServerTimeout,
            Reason::Timeout,
            Reason::TooManyRequests,
            Reason::BadRequest,
            Reason::MethodNotAllowed,
            Reason::NotAcceptable,
            Reason::RequestEntityTooLarge,
            Reason::UnsupportedMediaType,
            Reason::InternalError,
            Reason::ServiceUnavailable,
        ];
        ALL.into_iter().find(|r| r.as_str() == word).unwrap_or(Self::Unknown)
    }
}

/// One cause in a Status' details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// A machine-readable word such as `FieldValueInvalid`.
    pub reason: String,
    /// What is wrong.
    pub message: String,
    /// The field's path; empty if no field is meant.
    pub field: String,
}

/// A failed request, as the client sees it. Internal causes are logged where they happen and never put in `message`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The word that clients switch on.
    pub reason: Reason,
    /// The HTTP status code.
    pub code: u16,
    /// A sentence for people.
    pub message: String,
    /// The object's name, if one is meant.
    pub name: String,
    /// The API group in details.
    pub group: String,
    /// The resource (or kind, for Invalid) in details.
    pub kind: String,
    /// The object's uid, where a precondition names it.
    pub uid: String,
    /// The single faults.
    pub causes: Vec<Cause>,
    /// After how many seconds a client may try again; 0 for no hint.
    pub retry_after_seconds: u32,
    /// Where a list may go on although its revision is gone; empty if it may not.
    pub continue_token: String,
}

fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

impl ApiError {
    /// An error with a message and nothing else.
    pub fn new(reason: Reason, code: u16, message: impl Into<String>) -> Self {
        Self {
            reason,
            code,
            message: message.into(),
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds: 0,
            continue_token: String::new(),
        }
    }

    fn about(mut self, group: &str, resource: &str, name: &str) -> Self {
        self.group = group.to_owned();
        self.kind = resource.to_owned();
        self.name = name.to_owned();
        self
    }

    /// `pods "x" not found`.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", qualified(group, resource));
        Self::new(Reason::NotFound, 404, message).about(group, resource, name)
    }

    /// No such path: `the server could not find the requested resource`.
    pub fn path_not_found() -> Self {
        Self::new(Reason::NotFound, 404, "the server could not find the requested resource")
    }

    /// `pods "x" already exists`.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", qualified(group, resource));
        Self::new(Reason::AlreadyExists, 409, message).about(group, resource, name)
    }

    /// `Operation cannot be fulfilled on …: {why}`.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(group, resource));
        Self::new(Reason::Conflict, 409, message).about(group, resource, name)
    }

    /// The optimistic lock's conflict, in upstream's words.
    pub fn modified(group: &str, resource: &str, name: &str) -> Self {
        Self::conflict(
            group,
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// `Pod "x" is invalid: …` with one cause for each fault. `kind` is the kind, not the resource.
    pub fn invalid(group: &str, kind: &str, name: &str, faults: &[FieldError]) -> Self {
        let texts: Vec<String> = faults.iter().map(FieldError::to_string).collect();
        let list = match texts.as_slice() {
            [] => "<nil>".to_owned(),
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut error =
            Self::new(Reason::Invalid, 422, format!("{} \"{name}\" is invalid: {list}", qualified(group, kind)))
                .about(group, kind, name);
        error.causes = faults
            .iter()
            .map(|f| Cause { reason: f.kind.reason().to_owned(), message: f.body(), field: f.path.to_string() })
            .collect();
        error
    }

    /// `pods "x" is forbidden: {why}`.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let what = qualified(group, resource);
        let message = match (resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{what} is forbidden: {why}"),
            (false, false) => format!("{what} \"{name}\" is forbidden: {why}"),
        };
        Self::new(Reason::Forbidden, 403, message).about(group, resource, name)
    }

    /// `Unauthorized`.
    pub fn unauthorized() -> Self {
        Self::new(Reason::Unauthorized, 401, "Unauthorized")
    }

    /// The request itself is wrong.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, 400, message)
    }

    /// `the server does not allow this method on the requested resource`.
    pub fn method_not_allowed() -> Self {
        Self::new(Reason::MethodNotAllowed, 405, "the server does not allow this method on the requested resource")
    }

    /// The body's media type can't be read.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        Self::new(
            Reason::UnsupportedMediaType,
            415,
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
        )
    }

    /// No representation that the client accepts.
    pub fn not_acceptable(available: &[&str]) -> Self {
        Self::new(
            Reason::NotAcceptable,
            406,
            format!("only the following media types are accepted: {}", available.join(", ")),
        )
    }

    /// A resource version that is no longer available.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(Reason::Expired, 410, message)
    }

    /// The body is larger than the limit.
    pub fn too_large(limit_bytes: usize) -> Self {
        Self::new(Reason::RequestEntityTooLarge, 413, format!("Request entity too large: limit is {limit_bytes}"))
    }

    /// Try again later.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let mut error = Self::new(Reason::TooManyRequests, 429, message);
        error.retry_after_seconds = retry_after_seconds;
        error
    }

    /// Something of ours failed: `Internal error occurred: {what}`.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        let mut error = Self::new(Reason::InternalError, 500, format!("Internal error occurred: {what}"));
        error.causes = vec![Cause { reason: String::new(), message: what.to_string(), field: String::new() }];
        error
    }

    /// The server can't serve this now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Reason::ServiceUnavailable, 503, message)
    }

    /// The Status object.
    pub fn to_status(&self) -> Value {
        let mut details = serde_json::Map::new();
        for (key, text) in [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)] {
            if !text.is_empty() {
                details.insert(key.to_owned(), json!(text));
            }
        }
        if !self.causes.is_empty() {
            let causes = self.causes.iter().map(|c| {
                let mut cause = serde_json::Map::new();
                for (key, text) in [("reason", &c.reason), ("message", &c.message), ("field", &c.field)] {
                    if !text.is_empty() {
                        cause.insert(key.to_owned(), json!(text));
                    }
                }
                Value::Object(cause)
            });
            details.insert("causes".to_owned(), causes.collect());
        }
        if self.retry_after_seconds > 0 {
            details.insert("retryAfterSeconds".to_owned(), json!(self.retry_after_seconds));
        }
        let mut status = json!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.continue_token.is_empty() {
            status["metadata"]["continue"] = json!(self.continue_token);
        }
        if self.reason != Reason::Unknown {
            status["reason"] = json!(self.reason.as_str());
        }
        if !details.is_empty() {
            status["details"] = Value::Object(details);
        }
        status
    }

    /// Reads a Status object that a server sent; `code` is used where the body has none.
    pub fn from_status(status: &Value, code: u16) -> Self {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let details = &status["details"];
        let mut error = Self::new(
            Reason::parse(status["reason"].as_str().unwrap_or_default()),
            status["code"].as_u64().and_then(|c| u16::try_from(c).ok()).unwrap_or(code),
            text(&status["message"]),
        );
        error.name = text(&details["name"]);
        error.group = text(&details["group"]);
        error.kind = text(&details["kind"]);
        error.uid = text(&details["uid"]);
        error.retry_after_seconds =
            details["retryAfterSeconds"].as_u64().and_then(|s| u32::try_from(s).ok()).unwrap_or_default();
        error.causes = details["causes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|c| Cause { reason: text(&c["reason"]), message: text(&c["message"]), field: text(&c["field"]) })
            .collect();
        error
    }
}
