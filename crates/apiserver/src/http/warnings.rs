//! The `Warning` headers of a response (upstream: `apiserver/pkg/endpoints/filters/warning.go`).

use std::collections::HashSet;

use http::header::HeaderValue;

/// The characters of all warnings; if there are more, each is cut.
const ALL_MAX: usize = 4 << 10;
/// The characters that are left of each then.
const CUT: usize = 256;

/// The headers for these sentences, each said once.
pub(super) fn headers(warnings: &[String]) -> Vec<HeaderValue> {
    let mut said = HashSet::new();
    let fresh: Vec<&str> = warnings.iter().map(String::as_str).filter(|w| !w.is_empty() && said.insert(*w)).collect();
    let length = |text: &str| text.chars().count();
    let limit = if fresh.iter().map(|text| length(text)).sum::<usize>() > ALL_MAX { CUT } else { ALL_MAX };
    let mut written = 0;
    let mut headers = Vec::new();
    for text in fresh {
        if written >= ALL_MAX {
            break;
        }
        let text: String = text.chars().take(limit).map(|c| if c.is_control() { ' ' } else { c }).collect();
        written += length(&text);
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        headers.extend(HeaderValue::from_bytes(format!("299 - \"{text}\"").as_bytes()));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(warnings: &[&str]) -> Vec<String> {
        let warnings: Vec<String> = warnings.iter().map(|text| (*text).to_owned()).collect();
        headers(&warnings).iter().map(|header| String::from_utf8_lossy(header.as_bytes()).into_owned()).collect()
    }

    #[test]
    fn each_is_said_once_and_quoted() {
        assert_eq!(texts(&["a", "b \"c\"\nd", "", "a"]), ["299 - \"a\"", "299 - \"b \\\"c\\\" d\""]);
        assert_eq!(texts(&["unknown field \"größe\""]), ["299 - \"unknown field \\\"größe\\\"\""]);
    }

    #[test]
    fn too_many_are_cut() {
        let long: Vec<String> = (0..30).map(|n| format!("{n:02}{}", "x".repeat(300))).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        let all = texts(&long);
        assert_eq!((all.len(), all[0].len()), (16, "299 - \"\"".len() + CUT));
    }
}
