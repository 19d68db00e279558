//! `registries.yaml`: mirrors, credentials and TLS of registries, in k3s' format and with its meaning.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use cri::{Auth, Reference, Secret};
use regex_lite::Regex;
use serde::Deserialize;

/// Applies to all registries without an entry of their own.
const WILDCARD: &str = "*";
/// Where the images of `docker.io` really are.
const DOCKER_HUB: &str = "registry-1.docker.io";
const API_ROOT: &str = "/v2";

/// How registries are reached.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    mirrors: BTreeMap<String, Mirror>,
    configs: BTreeMap<String, Config>,
}

/// A configuration that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistriesError {
    /// It is no YAML of the right shape.
    #[error("failed to read the registry configuration: {0}")]
    Yaml(String),
    /// An endpoint that is no URL.
    #[error("mirror {registry:?}: invalid endpoint {endpoint:?}: {reason}")]
    Endpoint {
        /// The mirror.
        registry: String,
        /// The endpoint.
        endpoint: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A rewrite that is no regular expression.
    #[error("mirror {registry:?}: invalid rewrite {pattern:?}: {reason}")]
    Rewrite {
        /// The mirror.
        registry: String,
        /// The pattern.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// A file that it names can't be read.
    #[error("registry {registry:?}: failed to read {path:?}: {source}")]
    File {
        /// The registry.
        registry: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[derive(Debug, Clone)]
struct Mirror {
    endpoints: Vec<Url>,
    rewrites: Vec<(Regex, String)>,
}

#[derive(Debug, Clone, Default)]
struct Config {
    auth: Option<Auth>,
    tls: Tls,
}

/// How a registry's certificate is checked, and which one is shown to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Tls {
    pub(super) insecure_skip_verify: bool,
    /// PEM; besides the usual authorities.
    pub(super) ca: Option<Vec<u8>>,
    /// PEM, with the key.
    pub(super) client: Option<(Vec<u8>, Secret)>,
}

/// The base of a registry's API.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Url {
    pub(super) https: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// Begins with a slash and does not end with one, or is empty.
    pub(super) path: String,
}

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (https, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err("the scheme is neither http nor https"),
            None => (true, text),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = split_port(authority);
        let port = match port {
            None => {
                if https {
                    443
                } else {
                    80
                }
            }
            Some(port) => port.parse().map_err(|_| "the port is no number")?,
        };
        if host.is_empty() || host.contains(['@', '?', '#', ' ']) {
            return Err("the host is missing or malformed");
        }
        Ok(Self { https, host: host.to_ascii_lowercase(), port, path: path.trim_end_matches('/').to_owned() })
    }

    /// `host`, or `host:port` where the port is not the scheme's.
    pub(super) fn authority(&self) -> String {
        let usual = if self.https { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// One place that an image may be pulled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// With the API's root.
    pub(super) url: Url,
    pub(super) repository: String,
    /// What mirrors are told about where the image is from.
    pub(super) namespace: Option<String>,
    pub(super) auth: Option<Auth>,
    pub(super) tls: Tls,
    /// Plain HTTP may be used if the endpoint does not speak TLS.
    pub(super) fall_back_to_http: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawRegistries {
    mirrors: Option<BTreeMap<String, Option<RawMirror>>>,
    configs: Option<BTreeMap<String, Option<RawConfig>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawMirror {
    endpoint: Option<Vec<String>>,
    rewrite: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawConfig {
    auth: Option<RawAuth>,
    tls: Option<RawTls>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawAuth {
    username: Option<String>,
    password: Option<String>,
    auth: Option<String>,
    identity_token: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawTls {
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    insecure_skip_verify: bool,
}

impl Registries {
    /// Reads a configuration, and with `read` the files that it names.
    ///
    /// # Errors
    /// See [`RegistriesError`].
    pub fn parse(yaml: &str, read: &dyn Fn(&std::path::Path) -> io::Result<Vec<u8>>) -> Result<Self, RegistriesError> {
        if yaml.trim().is_empty() {
            return Ok(Self::default());
        }
        let raw: RawRegistries =
            serde_saphyr::from_str(yaml).map_err(|error| RegistriesError::Yaml(error.to_string()))?;
        let mut registries = Self::default();
        for (registry, mirror) in raw.mirrors.unwrap_or_default() {
            let mirror = parse_mirror(&registry, mirror.unwrap_or_default())?;
            registries.mirrors.insert(registry, mirror);
        }
        for (registry, config) in raw.configs.unwrap_or_default() {
            let config = parse_config(&registry, config.unwrap_or_default(), read)?;
            registries.configs.insert(registry, config);
        }
        Ok(registries)
    }

    /// Where to pull an image from, in order: the registry's mirrors, or those of all registries, then the registry itself.
    /// `auth` are the pod's credentials: they go where the configuration has none.
    pub(super) fn endpoints(&self, reference: &Reference, auth: Option<&Auth>) -> Vec<Endpoint> {
        let mut endpoints = Vec::new();
        if let Some(mirror) = self.mirrors.get(&reference.domain).or_else(|| self.mirrors.get(WILDCARD)) {
            for url in &mirror.endpoints {
                let rewrite = mirror.rewrites.iter().find(|(pattern, _)| pattern.is_match(&reference.path));
                let repository = match rewrite {
                    Some((pattern, replacement)) => pattern.replace_all(&reference.path, replacement).into_owned(),
                    None => reference.path.clone(),
                };
                let mut url = url.clone();
                if url.path.is_empty() {
                    url.path = API_ROOT.into();
                }
                let namespace = Some(reference.domain.clone());
                endpoints.push(self.endpoint(url, &reference.domain, repository, namespace, auth));
            }
        }
        let host = if reference.domain == "docker.io" { DOCKER_HUB } else { &reference.domain };
        let (name, port) = split_port(host);
        let https = !is_loopback(name) || port == Some("443");
        if let Ok(url) = Url::parse(&format!("{}://{host}{API_ROOT}", if https { "https" } else { "http" })) {
            endpoints.push(self.endpoint(url, &reference.domain, reference.path.clone(), None, auth));
        }
        endpoints
    }

    fn endpoint(
        &self,
        mut url: Url,
        registry: &str,
        repository: String,
        namespace: Option<String>,
        auth: Option<&Auth>,
    ) -> Endpoint {
        let named = [url.authority(), format!("{}:{}", url.host, url.port), url.host.clone()];
        let named = named.iter().map(String::as_str).chain(namespace.is_none().then_some(registry));
        let config = named.into_iter().find_map(|name| self.configs.get(name)).cloned().unwrap_or_default();
        // Whoever says how the certificate is checked wants one to be checked, also on loopback.
        if config.tls.ca.is_some() || config.tls.client.is_some() {
            url.https = true;
        }
        Endpoint {
            fall_back_to_http: url.https && config.tls.insecure_skip_verify,
            url,
            repository,
            // The pod's own credentials are for the registry; the operator's word counts where there is one for a mirror.
            auth: match namespace {
                Some(_) => config.auth.or_else(|| auth.cloned()),
                None => auth.cloned().or(config.auth),
            },
            namespace,
            tls: config.tls,
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || literal.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn parse_mirror(registry: &str, raw: RawMirror) -> Result<Mirror, RegistriesError> {
    let endpoint = |endpoint: String| {
        Url::parse(&endpoint).map_err(|reason| RegistriesError::Endpoint {
            registry: registry.into(),
            endpoint,
            reason,
        })
    };
    let rewrite = |(pattern, replacement): (String, String)| match Regex::new(&pattern) {
        Ok(regex) => Ok((regex, replacement)),
        Err(error) => Err(RegistriesError::Rewrite { registry: registry.into(), pattern, reason: error.to_string() }),
    };
    Ok(Mirror {
        endpoints: raw.endpoint.unwrap_or_default().into_iter().map(endpoint).collect::<Result<_, _>>()?,
        rewrites: raw.rewrite.unwrap_or_default().into_iter().map(rewrite).collect::<Result<_, _>>()?,
    })
}

fn parse_config(
    registry: &str,
    raw: RawConfig,
    read: &dyn Fn(&std::path::Path) -> io::Result<Vec<u8>>,
) -> Result<Config, RegistriesError> {
    let read =
        |path: PathBuf| read(&path).map_err(|source| RegistriesError::File { registry: registry.into(), path, source });
    let tls = raw.tls.unwrap_or_default();
    let client = match (tls.cert_file, tls.key_file) {
        (Some(certificate), Some(key)) => {
            Some((read(certificate)?, Secret(String::from_utf8_lossy(&read(key)?).into_owned())))
        }
        _ => None,
    };
    let ca = tls.ca_file.map(read).transpose()?;
    Ok(Config {
        auth: raw.auth.and_then(parse_auth),
        tls: Tls { insecure_skip_verify: tls.insecure_skip_verify, ca, client },
    })
}

fn parse_auth(raw: RawAuth) -> Option<Auth> {
    use base64::Engine;
    if let Some(token) = raw.identity_token.filter(|token| !token.is_empty()) {
        return Some(Auth::IdentityToken(Secret(token)));
    }
    if let Some(auth) = raw.auth.filter(|auth| !auth.is_empty()) {
        let decoded = base64::engine::general_purpose::STANDARD.decode(auth.trim()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (username, password) = text.trim_end_matches('\0').split_once(':')?;
        return Some(Auth::Basic { username: username.into(), password: Secret(password.into()) });
    }
    let username = raw.username.filter(|username| !username.is_empty())?;
    Some(Auth::Basic { username, password: Secret(raw.password.unwrap_or_default()) })
}

#[cfg(test)]
mod tests;
