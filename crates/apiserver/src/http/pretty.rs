//! JSON for people: who asks with `?pretty=true`, with curl, wget or a browser, gets it indented (upstream:
//! `apiserver/pkg/endpoints/handlers/negotiation`).

use apimachinery::ApiError;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use hyper::body::Body as _;

use super::body::{Body, failure, whole};
use super::negotiate::Encoding;
use super::request::Query;

/// How the names of programs begin that people read the output of.
const READERS: [&str; 3] = ["curl", "Wget", "Mozilla/5.0"];

/// Whether a person will read the answer.
pub(super) fn is_wanted(query: &Query, headers: &HeaderMap) -> bool {
    match query.text("pretty") {
        "" => {
            let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
            READERS.iter().any(|reader| agent.starts_with(reader))
        }
        // What Go's ParseBool takes for true.
        given => matches!(given, "1" | "t" | "T" | "true" | "TRUE" | "True"),
    }
}

/// Indents an answer that is JSON and there as a whole.
pub(super) async fn indented(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|media_type| media_type == "application/json");
    let is_whole = response.body().size_hint().exact().is_some_and(|size| size > 0);
    if !is_json || !is_whole || headers.contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    match body.collect().await {
        Ok(collected) => {
            parts.headers.remove(CONTENT_LENGTH);
            Response::from_parts(parts, whole(indent(&collected.to_bytes())))
        }
        Err(error) => failure(&ApiError::internal(error), Encoding::Json),
    }
}

/// JSON as Go's `MarshalIndent` writes it, with two spaces a level. Only white space changes.
fn indent(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0, false, false);
    let mut bytes = json.trim_ascii().iter().copied().peekable();
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', 2 * depth));
    };
    while let Some(byte) = bytes.next() {
        if in_text {
            out.push(byte);
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'{' | b'[' => {
                out.push(byte);
                while bytes.next_if(u8::is_ascii_whitespace).is_some() {}
                if let Some(end) = bytes.next_if(|next| matches!(next, b'}' | b']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend(b": "),
            _ => {
                in_text = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_changes() {
        let json = br#"{"kind":"Pod","list":[1,{"a":"x, {\"y\": 1} \\"}],"none":{},"empty":[ ],"text":"a:b"}"#;
        let expected = r#"{
  "kind": "Pod",
  "list": [
    1,
    {
      "a": "x, {\"y\": 1} \\"
    }
  ],
  "none": {},
  "empty": [],
  "text": "a:b"
}"#;
        assert_eq!(String::from_utf8(indent(json)).expect("text"), expected);
        assert_eq!(indent(expected.as_bytes()), expected.as_bytes(), "what is indented stays");
    }

    #[test]
    fn people_are_known_by_their_programs() {
        let wanted = |query: &str, agent: &str| {
            let headers = HeaderMap::from_iter([(USER_AGENT, agent.parse().expect("a header"))]);
            is_wanted(&Query::parse(query), &headers)
        };
        assert!(wanted("", "curl/8.5.0"));
        assert!(wanted("pretty=true", "kubectl/v1.37.2"));
        assert!(!wanted("pretty=false", "curl/8.5.0"));
        assert!(!wanted("", "kubectl/v1.37.2"));
    }
}
