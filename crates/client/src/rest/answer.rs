//! What the server answered.

use apimachinery::{ApiError, Reason};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::RestError;
use super::connections::hyper_text;

/// The largest answer that is read as a whole: a list of 100,000 Pods of 3 KiB, with room.
const BODY_BYTES_MAX: usize = 512 << 20;
/// The longest line of a stream: an object can't be larger than the server's limit for requests (3 MiB), with room.
const LINE_BYTES_MAX: usize = 16 << 20;

/// A whole answer, its status 2xx.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> Result<Value, RestError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| RestError::Invalid(format!("couldn't get version/kind; json parse error: {error}")))
    }
}

/// An answer that is read as it comes. Dropping it ends the request.
#[derive(Debug)]
pub struct Streaming {
    head: http::response::Parts,
    body: Incoming,
    deadline: Option<Instant>,
    /// What a failure looks like, but for its reason.
    failure: RestError,
    /// What has come and not been taken by [`Streaming::line`].
    buffer: BytesMut,
}

impl Streaming {
    pub(super) fn new(response: hyper::Response<Incoming>, deadline: Option<Instant>, failure: RestError) -> Self {
        let (head, body) = response.into_parts();
        Self { head, body, deadline, failure, buffer: BytesMut::new() }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    fn failed(&self, why: String) -> RestError {
        let mut failure = self.failure.clone();
        if let RestError::Unreachable { reason, .. } = &mut failure {
            *reason = why;
        }
        failure
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// The connection breaks, or the time is over.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RestError> {
        if !self.buffer.is_empty() {
            return Ok(Some(self.buffer.split().freeze()));
        }
        self.receive().await
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, RestError> {
        loop {
            let frame = match self.deadline {
                Some(deadline) => match timeout_at(deadline, self.body.frame()).await {
                    Ok(frame) => frame,
                    Err(_) => {
                        let why =
                            "net/http: request canceled (Client.Timeout or context cancellation while reading body)";
                        return Err(self.failed(why.to_owned()));
                    }
                },
                None => self.body.frame().await,
            };
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    // Trailers say nothing here.
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => return Err(self.failed(hyper_text(&error))),
            }
        }
    }

    /// The next line without its end, as watches send their events; `None` at the end.
    ///
    /// # Errors
    /// As [`Streaming::chunk`], and a line that is too long.
    pub async fn line(&mut self) -> Result<Option<Bytes>, RestError> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(searched + at + 1);
                line.truncate(searched + at);
                return Ok(Some(line.freeze()));
            }
            searched = self.buffer.len();
            if searched > LINE_BYTES_MAX {
                return Err(self.failed(format!("a line of the answer is longer than {LINE_BYTES_MAX} bytes")));
            }
            match self.receive().await? {
                Some(data) => self.buffer.extend_from_slice(&data),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Ok(Some(self.buffer.split().freeze())),
            }
        }
    }

    /// Reads the rest.
    ///
    /// # Errors
    /// As [`Streaming::chunk`], and a body that is too large.
    pub async fn collect(mut self) -> Result<Response, RestError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(self.failed(format!("the answer is larger than {BODY_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status: self.head.status, headers: self.head.headers, body: body.freeze() })
    }

    /// The error that an answer with another status than 2xx is.
    pub(super) async fn into_error(self, method: &Method) -> RestError {
        match self.collect().await {
            Ok(response) => RestError::Api(api_error(&response, method)),
            Err(error) => error,
        }
    }

    /// The error of an answer that refuses to switch protocols: a Status is one, and any other text is the reason, in the
    /// words of client-go's upgraders.
    pub(super) async fn into_upgrade_error(self) -> RestError {
        let response = match self.collect().await {
            Ok(response) => response,
            Err(error) => return error,
        };
        status_error(&response).map_or_else(
            || {
                let reason = String::from_utf8_lossy(&response.body);
                RestError::Invalid(format!("unable to upgrade connection: {}", reason.trim()))
            },
            RestError::Api,
        )
    }
}

/// The error that a Status object says.
fn status_error(response: &Response) -> Option<ApiError> {
    let status: Value = serde_json::from_slice(&response.body).ok()?;
    (status["kind"] == "Status").then(|| ApiError::from_status(&status, response.status.as_u16()))
}

/// A Status object, or what client-go makes of any other answer (`errors.NewGenericServerResponse`).
pub(super) fn api_error(response: &Response, method: &Method) -> ApiError {
    if let Some(error) = status_error(response) {
        return error;
    }
    let code = response.status.as_u16();
    let body = String::from_utf8_lossy(&response.body).trim().to_owned();
    let (reason, message) = match code {
        409 if *method == Method::POST => (Reason::AlreadyExists, "the server reported a conflict"),
        409 => (Reason::Conflict, "the server reported a conflict"),
        404 => (Reason::NotFound, "the server could not find the requested resource"),
        400 => (Reason::BadRequest, "the server rejected our request for an unknown reason"),
        401 => (Reason::Unauthorized, "the server has asked for the client to provide credentials"),
        403 => (Reason::Forbidden, body.as_str()),
        405 => (Reason::MethodNotAllowed, "the server does not allow this method on the requested resource"),
        406 => (Reason::NotAcceptable, body.as_str()),
        415 => (Reason::UnsupportedMediaType, body.as_str()),
        422 => (Reason::Invalid, "the server rejected our request due to an error in our request"),
        503 => (Reason::ServiceUnavailable, "the server is currently unable to handle the request"),
        504 => (
            Reason::Timeout,
            "the server was unable to return a response in the time allotted, but may still be processing the request",
        ),
        429 => {
            (Reason::TooManyRequests, "the server has received too many requests and has asked us to try again later")
        }
        500.. => {
            let message = format!("an error on the server ({body:?}) has prevented the request from succeeding");
            return ApiError::new(Reason::InternalError, code, message);
        }
        _ => (Reason::Unknown, "the server responded with the status code but did not return more information"),
    };
    ApiError::new(reason, code, message)
}

/// The texts in one `Warning` header: `299 - "text"`, more of them after commas (RFC 7234, 5.5).
pub(super) fn warnings(header: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = header.trim();
    while let Some(after) = rest.strip_prefix("299 ") {
        let Some((_, quoted)) = after.split_once('"') else { break };
        let (mut text, mut chars, mut end) = (String::new(), quoted.char_indices(), None);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
                '"' => {
                    end = Some(at + 1);
                    break;
                }
                c => text.push(c),
            }
        }
        let Some(end) = end else { break };
        texts.push(text);
        rest = quoted[end..].trim_start_matches([',', ' ']);
    }
    texts
}
