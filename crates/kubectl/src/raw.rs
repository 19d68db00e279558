//! `--raw`: requests as the user writes them (upstream: `kubectl/pkg/rawhttp`).

use std::io::Read as _;

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;

use crate::context::Context;
use crate::error::KubectlError;

/// Refuses what is no path of a URL.
pub(crate) fn check_path(path: &str) -> Result<(), KubectlError> {
    if path.starts_with('/') {
        return Ok(());
    }
    Err(KubectlError::new(format!("--raw must be a valid URL path: parse {path:?}: invalid URI for request")))
}

/// Refuses what is no single local file.
pub(crate) fn check_files(files: &[String], recursive: bool) -> Result<(), KubectlError> {
    let text = match files {
        [_, _, ..] => "--raw can only use a single local file or stdin",
        [file] if file.starts_with("http://") || file.starts_with("https://") => "--raw cannot read from a url",
        _ if recursive => "--raw and --recursive are mutually exclusive",
        _ => return Ok(()),
    };
    Err(KubectlError::new(text))
}

/// Sends a file, or nothing, and prints the answer.
pub(crate) async fn send(
    context: &Context,
    method: Method,
    path: &str,
    file: Option<&String>,
) -> Result<(), KubectlError> {
    let mut body = Vec::new();
    if let Some(file) = file {
        let read = match file.as_str() {
            "-" => std::io::stdin().read_to_end(&mut body),
            file => std::fs::File::open(file).and_then(|mut file| file.read_to_end(&mut body)),
        };
        read.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => KubectlError::new(format!("open {file}: no such file or directory")),
            _ => KubectlError::new(format!("read {file}: {error}")),
        })?;
    }
    let headers: &[_] = if body.is_empty() { &[] } else { &[(CONTENT_TYPE, "application/json")] };
    let mut stream = context.client()?.stream(method, path, headers, Bytes::from(body)).await?;
    while let Some(chunk) = stream.chunk().await? {
        context.printer.out(chunk)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_requests_have_a_path_and_at_most_one_local_file() {
        let files = |files: &[&str], recursive| {
            let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
            check_files(&files, recursive).map_err(|error| error.to_string())
        };
        assert_eq!(files(&[], false), Ok(()));
        assert_eq!(files(&["-"], false), Ok(()));
        assert_eq!(files(&["a", "b"], false), Err("--raw can only use a single local file or stdin".to_owned()));
        assert_eq!(files(&["https://a/b"], false), Err("--raw cannot read from a url".to_owned()));
        assert_eq!(files(&["a"], true), Err("--raw and --recursive are mutually exclusive".to_owned()));
        assert_eq!(check_path("/api"), Ok(()));
        let text = "error: --raw must be a valid URL path: parse \"api\": invalid URI for request\n";
        assert_eq!(check_path("api").unwrap_err().printed(), text);
    }
}
