//! Credentials by registry: what pull secrets hold, found by upstream's rules (`pkg/credentialprovider/keyring.go`).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;

use super::{Auth, Secret};

/// Where credentials of the default registry are filed.
const DEFAULT_REGISTRY: &str = "index.docker.io";

/// Credentials, each filed under a registry with an optional path, whose host may have wild cards.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    entries: BTreeMap<String, Vec<Auth>>,
}

/// A pull secret that can't be read. What it holds is never shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// No JSON of the right shape.
    #[error("error occurred while trying to unmarshal json")]
    Json,
    /// An `auth` field that is no base64 of `username:password`.
    #[error("unable to parse auth field of {registry:?}, must be formatted as base64(username:password)")]
    AuthField {
        /// The entry.
        registry: String,
    },
}

#[derive(Deserialize)]
struct DockerConfigJson {
    #[serde(default)]
    auths: Option<BTreeMap<String, Entry>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    username: String,
    password: String,
    auth: String,
}

impl Keyring {
    /// Adds the data `.dockerconfigjson` of a secret of type `kubernetes.io/dockerconfigjson`.
    ///
    /// # Errors
    /// See [`KeyringError`]; nothing is added then.
    pub fn add_docker_config_json(&mut self, data: &[u8]) -> Result<(), KeyringError> {
        let config: DockerConfigJson = serde_json::from_slice(data).map_err(|_| KeyringError::Json)?;
        self.add(config.auths.unwrap_or_default())
    }

    /// Adds the data `.dockercfg` of a secret of type `kubernetes.io/dockercfg`.
    ///
    /// # Errors
    /// See [`KeyringError`]; nothing is added then.
    pub fn add_dockercfg(&mut self, data: &[u8]) -> Result<(), KeyringError> {
        self.add(serde_json::from_slice(data).map_err(|_| KeyringError::Json)?)
    }

    fn add(&mut self, entries: BTreeMap<String, Entry>) -> Result<(), KeyringError> {
        let mut read = Vec::with_capacity(entries.len());
        for (registry, entry) in entries {
            let (username, password) = match &entry.auth[..] {
                "" => (entry.username, entry.password),
                auth => decode(auth).ok_or_else(|| KeyringError::AuthField { registry: registry.clone() })?,
            };
            read.push((key(&registry), Auth::Basic { username, password: Secret(password) }));
        }
        for (key, auth) in read {
            self.entries.entry(key).or_default().push(auth);
        }
        Ok(())
    }

    /// The credentials to try for `repository` (`domain/path`), the most specific first; there may be several, so that they can be rotated.
    #[must_use]
    pub fn lookup(&self, repository: &str) -> Vec<Auth> {
        let found: Vec<_> = self
            .entries
            .iter()
            .rev()
            .filter(|(key, _)| matches(key, repository))
            .flat_map(|(_, auths)| auths)
            .cloned()
            .collect();
        if found.is_empty() && is_default_registry(repository) {
            return self.entries.get(DEFAULT_REGISTRY).cloned().unwrap_or_default();
        }
        found
    }
}

fn decode(auth: &str) -> Option<(String, String)> {
    let engine = if auth.trim().ends_with('=') { STANDARD } else { STANDARD_NO_PAD };
    let text = String::from_utf8(engine.decode(auth.trim()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.into(), password.into()))
}

/// Docker's clients treat `https://registry/v1/` and the registry alone as one.
fn key(registry: &str) -> String {
    let bare = registry.strip_prefix("https://").or_else(|| registry.strip_prefix("http://")).unwrap_or(registry);
    let bare = bare.split(['?', '#']).next().unwrap_or(bare);
    let (host, path) = split(bare);
    let path = match path.strip_prefix("/v1").or_else(|| path.strip_prefix("/v2")) {
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    };
    if path == "/" { host.into() } else { format!("{host}{path}") }
}

/// Host and path; the path begins with its slash.
fn split(name: &str) -> (&str, &str) {
    name.split_at(name.find('/').unwrap_or(name.len()))
}

/// Same port, as many labels, each matching; the path is a prefix.
fn matches(key: &str, repository: &str) -> bool {
    let ((key_host, key_path), (host, path)) = (split(key), split(repository));
    let ((key_name, key_port), (name, port)) = (split_port(key_host), split_port(host));
    let (key_labels, labels): (Vec<_>, Vec<_>) = (key_name.split('.').collect(), name.split('.').collect());
    key_port == port
        && key_labels.len() == labels.len()
        && path.starts_with(key_path)
        && key_labels.iter().zip(&labels).all(|(glob, label)| glob_matches(glob.as_bytes(), label.as_bytes()))
}

fn split_port(host: &str) -> (&str, &str) {
    match host.rsplit_once(':') {
        Some((name, port)) => match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            Some(address) => (address, port),
            None if !name.contains(':') => (name, port),
            None => (host, ""),
        },
        None => (host, ""),
    }
}

/// Go's `filepath.Match` on text without slashes.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    match (glob, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|skipped| glob_matches(rest, &text[skipped..])),
        ([b'?', rest @ ..], [_, text @ ..]) => glob_matches(rest, text),
        ([b'[', class @ ..], [byte, text @ ..]) => match class_matches(class, *byte) {
            Some((true, rest)) => glob_matches(rest, text),
            _ => false,
        },
        ([b'\\', literal, rest @ ..], [byte, text @ ..]) | ([literal, rest @ ..], [byte, text @ ..]) => {
            literal == byte && glob_matches(rest, text)
        }
        _ => false,
    }
}

/// Whether a class without its `[` has the byte, and what follows its `]`; none if it has no end.
fn class_matches(class: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match class {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    let mut first = true;
    loop {
        match rest {
            [b']', after @ ..] if !first => return Some((found != negated, after)),
            [low, b'-', high, after @ ..] if *high != b']' => {
                found |= (*low..=*high).contains(&byte);
                rest = after;
            }
            [single, after @ ..] => {
                found |= *single == byte;
                rest = after;
            }
            [] => return None,
        }
        first = false;
    }
}

fn is_default_registry(repository: &str) -> bool {
    match repository.split_once('/') {
        None => !repository.is_empty(),
        Some(("", _)) => false,
        Some(("docker.io" | DEFAULT_REGISTRY, _)) => true,
        Some((first, _)) => !first.contains(['.', ':']),
    }
}

#[cfg(test)]
mod tests;
