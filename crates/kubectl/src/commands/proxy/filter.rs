//! Which requests are passed on. Pure. A page that the user's browser shows must not reach the cluster by a name of its own.

use regex::Regex;

/// Accepts hosts, and paths but some, and methods but some.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) accept_paths: Vec<Regex>,
    pub(super) reject_paths: Vec<Regex>,
    pub(super) accept_hosts: Vec<Regex>,
    pub(super) reject_methods: Vec<Regex>,
}

/// Expressions with commas between them.
pub(super) fn expressions(text: &str) -> Result<Vec<Regex>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let parse = |one: &str| Regex::new(one).map_err(|error| format!("{one:?} is no regular expression: {error}"));
    text.split(',').map(parse).collect()
}

impl Filter {
    /// Whether a request to `host`, as its header names it, is passed on.
    pub(super) fn accepts(&self, method: &str, path: &str, host: &str) -> bool {
        let host = without_port(host);
        let any = |expressions: &[Regex], text: &str| expressions.iter().any(|expression| expression.is_match(text));
        !any(&self.reject_paths, path)
            && !any(&self.reject_methods, method)
            && any(&self.accept_paths, path)
            && any(&self.accept_hosts, host)
    }
}

/// `localhost` of `localhost:8001`. An address of version 6 keeps its brackets only where no port follows it, as with upstream.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
        }
        _ => host,
    }
}

/// The path below the API of a path below `prefix`, both beginning with a slash. `None` if it is not below it.
pub(super) fn below<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    if prefix.starts_with("/api") {
        return path.starts_with(prefix).then_some(path);
    }
    // The prefix' last slash is the path's first.
    path.strip_prefix(prefix.trim_end_matches('/')).filter(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_names_are_accepted_and_no_sessions() {
        let filter = Filter {
            accept_paths: expressions("^.*").expect("they are expressions"),
            reject_paths: expressions("^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach").expect("they are expressions"),
            accept_hosts: expressions(r"^localhost$,^127\.0\.0\.1$,^\[::1\]$").expect("they are expressions"),
            reject_methods: expressions("^PATCH$").expect("it is an expression"),
        };
        let get = |path: &str, host: &str| filter.accepts("GET", path, host);
        assert!(get("/version", "localhost:8001") && get("/version", "127.0.0.1") && get("/", "[::1]"));
        assert!(!get("/version", "evil.example") && !get("/version", "localhost.evil.example:8001"));
        assert!(!get("/api/v1/namespaces/default/pods/web/exec", "localhost"));
        assert!(!filter.accepts("PATCH", "/version", "localhost"));
        assert!(expressions("(").is_err());
    }

    #[test]
    fn the_prefix_is_taken_off_unless_it_is_the_apis_own() {
        assert_eq!(below("/", "/api/v1"), Some("/api/v1"));
        assert_eq!(below("/custom/", "/custom/api/v1"), Some("/api/v1"));
        assert_eq!(below("/custom/", "/customs/api"), None);
        assert_eq!(below("/api/", "/api/v1"), Some("/api/v1"));
        assert_eq!(below("/api/", "/apis"), None);
    }
}
