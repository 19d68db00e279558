//! Names of images, as `distribution/reference` and the kubelet read them.

use std::fmt;

/// Longest `domain/path`; upstream's `NameTotalLengthMax`.
const NAME_BYTES_MAX: usize = 255;
/// Longest tag.
const TAG_BYTES_MAX: usize = 128;
/// Where names without a registry come from.
const DEFAULT_DOMAIN: &str = "docker.io";
/// Its other name, still in old configuration files.
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
/// Where names without an owner live on the default registry.
const OFFICIAL: &str = "library/";
const DEFAULT_TAG: &str = "latest";

/// A complete name: what the user left out is filled in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Registry with port: `docker.io`, `127.0.0.1:5000`.
    pub domain: String,
    /// Repository in the registry: `library/nginx`.
    pub path: String,
    /// Tag. Where there is neither tag nor digest, this is `latest`.
    pub tag: Option<String>,
    /// `sha256:…`. It decides where both are given.
    pub digest: Option<String>,
}

/// A name that no image can have; the texts are those of upstream's parser.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It does not follow the grammar.
    #[error("invalid reference format")]
    Format,
    /// Repositories are lower case.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// Domain and path together are too long.
    #[error("repository name must not be more than {NAME_BYTES_MAX} characters")]
    TooLong,
    /// It would be mistaken for an image id.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    /// The digest is of an unknown kind or has a wrong length.
    #[error("{0}")]
    Digest(&'static str),
}

impl Reference {
    /// Reads a name as a user writes it.
    ///
    /// # Errors
    /// See [`ReferenceError`].
    pub fn parse(name: &str) -> Result<Self, ReferenceError> {
        if is_hex(name, 64) {
            return Err(ReferenceError::LooksLikeId(name.into()));
        }
        let (domain, rest) = match name.split_once('/') {
            Some((first, rest)) if is_domain_like(first) => (first, rest.to_owned()),
            _ => (DEFAULT_DOMAIN, name.to_owned()),
        };
        let (domain, rest) = match domain {
            DEFAULT_DOMAIN | LEGACY_DEFAULT_DOMAIN if !rest.contains('/') => {
                (DEFAULT_DOMAIN, format!("{OFFICIAL}{rest}"))
            }
            LEGACY_DEFAULT_DOMAIN => (DEFAULT_DOMAIN, rest),
            _ => (domain, rest),
        };
        let (before, digest) = match rest.split_once('@') {
            Some((before, digest)) => (before, Some(digest)),
            None => (&rest[..], None),
        };
        let (path, tag) = match before.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (before, None),
        };
        if path.chars().any(char::is_uppercase) {
            return Err(ReferenceError::Uppercase(path.strip_prefix(OFFICIAL).unwrap_or(path).into()));
        }
        if !is_domain(domain) || !path.split('/').all(is_path_component) || !tag.is_none_or(is_tag) {
            return Err(ReferenceError::Format);
        }
        if domain.len() + 1 + path.len() > NAME_BYTES_MAX {
            return Err(ReferenceError::TooLong);
        }
        if let Some(digest) = digest {
            check_digest(digest)?;
        }
        let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| DEFAULT_TAG.to_owned()));
        Ok(Self { domain: domain.into(), path: path.into(), tag, digest: digest.map(str::to_owned) })
    }

    /// `domain/path`: what credentials are looked up by.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Whether the first part of a name is a registry and not an owner on the default one.
fn is_domain_like(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase)
}

fn is_domain(domain: &str) -> bool {
    let host = match domain.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
                return false;
            }
            host
        }
        _ => domain,
    };
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
    }
    host.split('.').all(|label| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    })
}

/// Letters and digits, between them one dot, one or two underscores, or any number of hyphens.
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    let separator = |run: &str| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-');
    component.starts_with(alphanumeric)
        && component.ends_with(alphanumeric)
        && component.split(alphanumeric).all(separator)
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_BYTES_MAX
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

fn check_digest(digest: &str) -> Result<(), ReferenceError> {
    let (algorithm, hex) = digest.split_once(':').ok_or(ReferenceError::Format)?;
    let digits = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(ReferenceError::Digest("unsupported digest algorithm")),
    };
    match hex.len() {
        _ if !hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) => {
            Err(ReferenceError::Format)
        }
        length if length != digits => Err(ReferenceError::Digest("invalid checksum digest length")),
        _ => Ok(()),
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests;
