//! Request and response bodies.

use std::fmt::Write as _;

use apimachinery::ApiError;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::Value;

use super::negotiate::Encoding;

/// The largest request body, as upstream's: 3 MiB.
pub(crate) const BODY_MAX: usize = 3 << 20;

/// A response's body: whole, or as it comes.
pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// A body that is there already.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A body that comes in pieces.
pub(crate) fn streaming<S>(stream: S) -> Body
where
    S: futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Send + Sync + 'static,
{
    use futures_util::StreamExt;
    BodyExt::boxed(StreamBody::new(stream.map(|piece| piece.map(Frame::data))))
}

/// A response with a body of `media_type`.
pub(crate) fn response(status: StatusCode, media_type: &'static str, bytes: impl Into<Bytes>) -> Response<Body> {
    with_body(status, media_type, whole(bytes))
}

/// A response with any body.
pub(crate) fn with_body(status: StatusCode, media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// A JSON response. What says what it is comes first.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut text = header_first(value);
    text.push('\n');
    response(status, "application/json", text)
}

/// An object with its kind, version and metadata first, as Go's structs have them.
fn header_first(value: &Value) -> String {
    const FIRST: [&str; 3] = ["kind", "apiVersion", "metadata"];
    let Some(fields) = value.as_object() else { return value.to_string() };
    let first = FIRST.iter().filter_map(|name| fields.get_key_value(*name));
    let rest = fields.iter().filter(|(name, _)| !FIRST.contains(&name.as_str()));
    let mut text = String::new();
    // A Table may have megabytes of rows: each is written once, where it belongs.
    for (index, (name, value)) in first.chain(rest).enumerate() {
        let before = if index == 0 { '{' } else { ',' };
        let _ = write!(text, "{before}{}:{value}", Value::from(name.as_str()));
    }
    text.push_str(if text.is_empty() { "{}" } else { "}" });
    text
}

/// A response with a value.
pub(crate) fn with_value(encoding: Encoding, status: StatusCode, value: &Value) -> Response<Body> {
    match encoding {
        Encoding::Json => json(status, value),
        Encoding::Yaml => response(status, encoding.media_type(), apimachinery::yaml::to_yaml(value)),
    }
}

/// A failure, as a Status.
pub(crate) fn failure(error: &ApiError, encoding: Encoding) -> Response<Body> {
    let status = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = with_value(encoding, status, &error.to_status());
    if error.retry_after_seconds > 0 {
        response.headers_mut().insert("retry-after", HeaderValue::from(error.retry_after_seconds));
    }
    response
}

/// Takes a body that nobody wants to know. Where it is dropped instead while it is still being sent, HTTP/2 cancels the
/// stream, and the client may never see why it was refused.
pub(crate) async fn discard(body: Incoming) {
    let _ = read(body).await;
}

/// Reads a request's body, up to the limit.
pub(crate) async fn read(body: Incoming) -> Result<Bytes, ApiError> {
    match Limited::new(body, BODY_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(ApiError::too_large(BODY_MAX)),
        Err(error) => Err(ApiError::bad_request(format!("failed to read the request's body: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_says_what_it_is_comes_first() {
        let list = json!({"a \"b\"": [1, {"kind": "x"}], "metadata": {}, "kind": "T", "apiVersion": "v1"});
        let expected = r#"{"kind":"T","apiVersion":"v1","metadata":{},"a \"b\"":[1,{"kind":"x"}]}"#;
        assert_eq!(header_first(&list), expected);
        assert_eq!(header_first(&json!({})), "{}");
        assert_eq!(header_first(&json!(["x"])), r#"["x"]"#);
    }
}
