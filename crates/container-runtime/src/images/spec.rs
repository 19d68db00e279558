//! Manifests and configurations of images, as OCI and Docker write them: the fields that we use.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use cri::ImageConfig;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest as _, Sha256};

/// What we ask a registry for.
pub(super) const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const SCHEMA_1_PREFIX: &str = "application/vnd.docker.distribution.manifest.v1+";
pub(super) const OCI_MANIFEST: &str = MANIFEST_TYPES[1];
pub(super) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Layers that registries don't hold.
const FOREIGN_LAYERS: [&str; 2] = [
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
];

/// A SHA-256 digest, as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(super) struct Digest(String);

const SHA256: &str = "sha256:";

impl Digest {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self::from_hash(Sha256::digest(bytes).as_slice())
    }

    pub(super) fn from_hash(hash: &[u8]) -> Self {
        let mut text = String::from(SHA256);
        for byte in hash {
            text.push_str(&format!("{byte:02x}"));
        }
        Self(text)
    }

    /// None unless it is of the one kind that images use in practice, so that it can also be a file's name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix(SHA256)?;
        let digits = hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        (hex.len() == 64 && digits).then(|| Self(text.to_owned()))
    }

    pub(super) fn hex(&self) -> &str {
        &self.0[SHA256.len()..]
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("unsupported digest {text:?}")))
    }
}

/// Where a blob is, and what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: Digest,
    #[serde(default)]
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(super) fn is_foreign(&self) -> bool {
        FOREIGN_LAYERS.iter().any(|prefix| self.media_type.starts_with(prefix))
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Platform {
    pub(super) os: String,
    pub(super) architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) variant: String,
}

impl Platform {
    /// What this executable was built for, in Go's words.
    pub(super) fn current() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", ""),
            "x86" => ("386", ""),
            "aarch64" => ("arm64", "v8"),
            "arm" => ("arm", "v7"),
            "powerpc64" => ("ppc64le", ""),
            other => (other, ""),
        };
        Self { os: "linux".into(), architecture: architecture.into(), variant: variant.into() }
    }

    /// How well an image for `offered` runs here: the lower the better, none if not at all.
    fn distance(&self, offered: &Platform) -> Option<u32> {
        if (&offered.os, &offered.architecture) != (&self.os, &self.architecture) {
            return None;
        }
        let number = |variant: &str| variant.trim_start_matches('v').parse::<u32>().ok();
        match (number(&self.variant), number(&offered.variant)) {
            (_, None) => Some(100),
            (None, Some(wanted)) => Some(wanted),
            (Some(have), Some(wanted)) => have.checked_sub(wanted),
        }
    }

    /// The index's manifest that fits best.
    pub(super) fn choose<'a>(&self, manifests: &'a [Descriptor]) -> Option<&'a Descriptor> {
        let fits =
            manifests.iter().filter_map(|manifest| Some((self.distance(manifest.platform.as_ref()?)?, manifest)));
        let best = fits.min_by_key(|(distance, _)| *distance).map(|(_, manifest)| manifest);
        // Without platforms there is nothing to choose by.
        best.or_else(|| match manifests {
            [only] if only.platform.is_none() => Some(only),
            _ => None,
        })
    }
}

/// What a name in a registry leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Manifest {
    Image { config: Descriptor, layers: Vec<Descriptor> },
    Index { manifests: Vec<Descriptor> },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

impl Manifest {
    /// Reads a manifest or index; which it is, its content says.
    pub(super) fn parse(bytes: &[u8], content_type: &str) -> Result<Self, String> {
        let raw: RawManifest = serde_json::from_slice(bytes).map_err(|error| format!("invalid manifest: {error}"))?;
        let media_type = raw.media_type.as_deref().unwrap_or(content_type);
        if raw.schema_version == 1 || media_type.starts_with(SCHEMA_1_PREFIX) {
            return Err("the image has a manifest of Docker's schema 1, which is no longer supported; push it again with a current tool".into());
        }
        match (raw.manifests, raw.config) {
            (Some(manifests), None) => Ok(Self::Index { manifests }),
            (None, Some(config)) => Ok(Self::Image { config, layers: raw.layers.unwrap_or_default() }),
            (Some(_), Some(_)) => Err("invalid manifest: it is both an image and an index".into()),
            (None, None) => Err(format!("unsupported manifest media type {media_type:?}")),
        }
    }
}

/// An image's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Configuration {
    pub(super) architecture: String,
    pub(super) os: String,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) config: ContainerDefaults,
    pub(super) rootfs: RootFs,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RootFs {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) diff_ids: Vec<Digest>,
}

/// The part about containers. Go writes an empty list as `null`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct ContainerDefaults {
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: BTreeMap<String, Empty>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    env: Vec<String>,
    #[serde(deserialize_with = "text_or_list", skip_serializing_if = "Vec::is_empty")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "text_or_list", skip_serializing_if = "Vec::is_empty")]
    cmd: Vec<String>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    volumes: BTreeMap<PathBuf, Empty>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    working_dir: String,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    stop_signal: String,
}

/// The members of a set, as Go writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Empty {}

fn null_as_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Old tools write a single argument as text.
fn text_or_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum TextOrList {
        Text(String),
        List(Vec<String>),
    }
    Ok(match Option::deserialize(deserializer)? {
        None => Vec::new(),
        Some(TextOrList::Text(text)) => vec![text],
        Some(TextOrList::List(list)) => list,
    })
}

impl From<ContainerDefaults> for ImageConfig {
    fn from(from: ContainerDefaults) -> Self {
        Self {
            user: from.user,
            entrypoint: from.entrypoint,
            cmd: from.cmd,
            env: from.env,
            working_dir: from.working_dir,
            stop_signal: from.stop_signal,
            volumes: from.volumes.into_keys().collect(),
            labels: from.labels,
            exposed_ports: from.exposed_ports.into_keys().collect(),
        }
    }
}

impl From<ImageConfig> for ContainerDefaults {
    fn from(from: ImageConfig) -> Self {
        Self {
            user: from.user,
            exposed_ports: from.exposed_ports.into_iter().map(|port| (port, Empty {})).collect(),
            env: from.env,
            entrypoint: from.entrypoint,
            cmd: from.cmd,
            volumes: from.volumes.into_iter().map(|path| (path, Empty {})).collect(),
            working_dir: from.working_dir,
            labels: from.labels,
            stop_signal: from.stop_signal,
        }
    }
}

/// The names of a stack of layers: of each layer with all below it, so that the same layer on other ones is another.
pub(super) fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let next = match chain.last() {
            None => diff_id.clone(),
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
        };
        chain.push(next);
    }
    chain
}

#[cfg(test)]
mod tests;
