//! `KEY=VALUE` and `KEY-` arguments behind the resources that they change.

use crate::error::KubectlError;

/// Parts resources from the pairs that follow them.
pub(crate) fn split(arguments: &[String], what: &str) -> Result<(Vec<String>, Vec<String>), KubectlError> {
    let (mut resources, mut pairs) = (Vec::new(), Vec::new());
    for argument in arguments {
        let is_pair =
            (argument.contains('=') && !argument.starts_with('=')) || (argument.ends_with('-') && argument != "-");
        if is_pair {
            pairs.push(argument.clone());
        } else if pairs.is_empty() {
            resources.push(argument.clone());
        } else {
            return Err(KubectlError::new(format!(
                "all resources must be specified before {what} changes: {argument}"
            )));
        }
    }
    Ok((resources, pairs))
}

/// What pairs set and take out.
pub(crate) type Changes = (Vec<(String, String)>, Vec<String>);

/// Reads pairs; `removes`: `KEY-` is understood.
pub(crate) fn parse(pairs: &[String], what: &str, removes: bool) -> Result<Changes, KubectlError> {
    let (mut set, mut removed, mut invalid) = (Vec::<(String, String)>::new(), Vec::new(), Vec::new());
    for pair in pairs {
        match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                set.retain(|(known, _)| known != key);
                set.push((key.to_owned(), value.to_owned()));
            }
            _ => match pair.strip_suffix('-').filter(|key| removes && !key.is_empty()) {
                Some(key) => removed.push(key.to_owned()),
                None => invalid.push(pair.as_str()),
            },
        }
    }
    if invalid.is_empty() {
        return Ok((set, removed));
    }
    Err(KubectlError::new(format!("invalid {what} format: {}", invalid.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn resources_come_first() {
        assert_eq!(split(&words("pod a x=1 y-"), "label").unwrap(), (words("pod a"), words("x=1 y-")));
        let error = split(&words("x=1 pod"), "label").unwrap_err();
        assert_eq!(error.to_string(), "all resources must be specified before label changes: pod");
    }

    #[test]
    fn pairs() {
        let (set, removed) = parse(&words("a=1 b=c=d c-"), "image", true).unwrap();
        assert_eq!(set, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "c=d".to_owned())]);
        assert_eq!(removed, ["c"]);
        assert_eq!(parse(&words("x c-"), "image", false).unwrap_err().to_string(), "invalid image format: x, c-");
    }
}
