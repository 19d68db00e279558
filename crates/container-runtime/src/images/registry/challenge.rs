//! `WWW-Authenticate`, and the encoding of what answers it.

use http::HeaderValue;

/// A login that a registry accepts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Challenge {
    /// User and password.
    Basic,
    /// A token from a token server.
    Bearer { realm: String, service: String, scope: String },
}

/// The challenges we can answer, tokens first.
pub(super) fn parse<'a>(headers: impl IntoIterator<Item = &'a HeaderValue>) -> Vec<Challenge> {
    let mut challenges: Vec<_> =
        headers.into_iter().filter_map(|header| header.to_str().ok()).filter_map(parse_one).collect();
    challenges.sort_by_key(|challenge| *challenge == Challenge::Basic);
    challenges
}

fn parse_one(header: &str) -> Option<Challenge> {
    let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service, mut scope) = (String::new(), String::new(), String::new());
    for (name, value) in parameters(rest) {
        match &name.to_ascii_lowercase()[..] {
            "realm" => realm = value,
            "service" => service = value,
            "scope" => scope = value,
            _ => {}
        }
    }
    (!realm.is_empty()).then_some(Challenge::Bearer { realm, service, scope })
}

/// `name=value` or `name="value"`, separated by commas.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',']);
    while let Some((name, after)) = rest.split_once('=') {
        let mut value = String::new();
        rest = if let Some(quoted) = after.trim_start().strip_prefix('"') {
            let mut chars = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((at, char)) = chars.next() {
                match char {
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    '\\' => value.extend(chars.next().map(|(_, char)| char)),
                    char => value.push(char),
                }
            }
            &quoted[end..]
        } else {
            let (plain, after) = after.split_once(',').unwrap_or((after, ""));
            value.push_str(plain.trim());
            after
        };
        found.push((name.trim().to_owned(), value));
        rest = rest.trim_start_matches([' ', ',']);
    }
    found
}

/// A URL's query.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{name}={}", encode(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// A form's body: the same encoding.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    query(fields)
}

fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests;
