//! Paths as Go's `path` and upstream's `cp` handle them.

/// Without a slash at its end.
pub(super) fn strip_trailing_slash(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some(stripped) if !stripped.is_empty() => stripped,
        _ => path,
    }
}

/// Go's `path.Clean`: no doubled slashes, no `.`, and `..` only at the beginning of relative paths.
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// Go's `path.Base`.
pub(super) fn base(path: &str) -> String {
    match path.trim_end_matches('/') {
        "" if path.is_empty() => ".".to_owned(),
        "" => "/".to_owned(),
        path => path.rsplit('/').next().unwrap_or_default().to_owned(),
    }
}

/// Go's `path.Dir`.
pub(super) fn directory(path: &str) -> String {
    clean(path.rfind('/').map_or("", |at| &path[..=at]))
}

/// Go's `path.Join`.
pub(super) fn join(path: &str, element: &str) -> String {
    match (path, element) {
        ("", element) => clean(element),
        (path, "") => clean(path),
        (path, element) => clean(&format!("{path}/{element}")),
    }
}

/// Without what leads out of a directory at its beginning.
pub(super) fn strip_shortcuts(path: &str) -> &str {
    let mut path = path;
    while let Some(inner) = path.strip_prefix("../") {
        path = inner;
    }
    match path {
        "." | ".." => "",
        path => path.strip_prefix(['/', '\\']).unwrap_or(path),
    }
}

/// Whether `target` is `directory` or in it; both are clean.
pub(super) fn is_within(directory: &str, target: &str) -> bool {
    if directory == "." {
        return !target.starts_with('/') && target != ".." && !target.starts_with("../");
    }
    let rest = target.strip_prefix(strip_trailing_slash(directory));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || directory == "/")
}
