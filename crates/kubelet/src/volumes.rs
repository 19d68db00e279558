//! A Pod's volumes: emptyDir, hostPath, images, those of claims, and those that show objects of the API (configMap, secret,
//! downwardAPI, projected with service account tokens, trust anchors and certificates).
//!
//! Files of API objects are written into a fresh timestamped directory that a symbolic link `..data` then leads to, so
//! that a reader sees all of the old or all of the new (upstream: `pkg/volume/util/atomic_writer.go`).

mod claims;
mod ownership;
mod removal;
mod sub_path;
mod trust;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use apimachinery::gotext;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Pod, PodCertificateProjection, Volume};

pub(crate) use claims::{Claimed, VolumesInUse, devices, groups, refusal};
pub(crate) use removal::remove;
pub(crate) use sub_path::resolve as resolve_sub_path;
pub(crate) use trust::TrustBundles;

use crate::env::{PodFacts, Sources, pod_field, resource_field};

/// A service account token that a projected volume wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRequest {
    pub(crate) audience: Option<String>,
    pub(crate) seconds: i64,
    pub(crate) path: String,
}

/// A certificate that a projected volume wants.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WantedCertificate {
    /// Which of the volume's sources it is.
    pub(crate) source: usize,
    pub(crate) wanted: PodCertificateProjection,
}

impl WantedCertificate {
    /// The files with a key and its certificates.
    pub(crate) fn files(&self, key: &str, chain: &str) -> Vec<(String, Vec<u8>)> {
        let wanted = &self.wanted;
        let both = format!("{key}{chain}");
        let all = [
            (&wanted.credential_bundle_path, both.as_str()),
            (&wanted.key_path, key),
            (&wanted.certificate_chain_path, chain),
        ];
        let named = all.into_iter().filter_map(|(path, text)| Some((path.clone()?, text.as_bytes().to_vec())));
        named.filter(|(path, _)| !path.is_empty()).collect()
    }
}

/// A file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VolumeFile {
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
}

/// What a volume is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum VolumePlan {
    /// An empty directory, in memory if `memory`, at most `limit_bytes` large.
    EmptyDir { memory: bool, limit_bytes: Option<u64> },
    /// A path of the node, checked against `kind` (`Directory`, `FileOrCreate` …).
    HostPath { path: PathBuf, kind: String },
    /// An image, which the runtime mounts in each container that wants it.
    Image,
    /// Files by relative path; tokens and certificates are to be added.
    Files {
        files: BTreeMap<String, VolumeFile>,
        tokens: Vec<TokenRequest>,
        certificates: Vec<WantedCertificate>,
        default_mode: u32,
    },
}

const DEFAULT_MODE: i32 = 0o644;

/// Whether a volume is that of a claim.
pub(crate) fn is_claimed(volume: &Volume) -> bool {
    volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some()
}

/// What `volume` is made of. `Err` says what is missing, as the Event `FailedMount` does.
pub(crate) fn plan(pod: &Pod, volume: &Volume, facts: &PodFacts, sources: &dyn Sources) -> Result<VolumePlan, String> {
    let failed = |why: String| format!("MountVolume.SetUp failed for volume {:?} : {why}", volume.name);
    if let Some(empty) = &volume.empty_dir {
        let limit = empty.size_limit.as_ref().and_then(|q| q.0.parse::<apimachinery::Quantity>().ok());
        return Ok(VolumePlan::EmptyDir {
            memory: empty.medium.as_deref() == Some("Memory"),
            limit_bytes: limit.and_then(|q| u64::try_from(q.value()).ok()).filter(|n| *n > 0),
        });
    }
    if let Some(host) = &volume.host_path {
        return Ok(VolumePlan::HostPath {
            path: PathBuf::from(&host.path),
            kind: host.type_.clone().unwrap_or_default(),
        });
    }
    if volume.image.is_some() {
        return Ok(VolumePlan::Image);
    }
    let mut files = Files::default();
    if let Some(source) = &volume.config_map {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        files.config_map(&source.name, source.items.as_deref(), source.optional, mode, sources).map_err(failed)?;
        return Ok(files.plan(mode));
    }
    if let Some(source) = &volume.secret {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let name = source.secret_name.as_deref().unwrap_or_default();
        files.secret(name, source.items.as_deref(), source.optional, mode, sources).map_err(failed)?;
        return Ok(files.plan(mode));
    }
    if let Some(source) = &volume.downward_api {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        files.downward(pod, source.items.as_deref(), mode, facts).map_err(failed)?;
        return Ok(files.plan(mode));
    }
    if let Some(projected) = &volume.projected {
        let mode = projected.default_mode.unwrap_or(DEFAULT_MODE);
        for (at, source) in projected.sources.iter().flatten().enumerate() {
            if let Some(map) = &source.config_map {
                files.config_map(&map.name, map.items.as_deref(), map.optional, mode, sources).map_err(failed)?;
            }
            if let Some(secret) = &source.secret {
                files.secret(&secret.name, secret.items.as_deref(), secret.optional, mode, sources).map_err(failed)?;
            }
            if let Some(downward) = &source.downward_api {
                files.downward(pod, downward.items.as_deref(), mode, facts).map_err(failed)?;
            }
            if let Some(token) = &source.service_account_token {
                files.tokens.push(TokenRequest {
                    audience: token.audience.clone().filter(|a| !a.is_empty()),
                    seconds: token.expiration_seconds.unwrap_or(3600),
                    path: token.path.clone(),
                });
            }
            if let Some(bundle) = &source.cluster_trust_bundle {
                let content = sources.trust().anchors(bundle).map_err(failed)?;
                let file = VolumeFile { content, mode: secret_mode(pod, mode_of(mode)) };
                files.files.insert(bundle.path.clone(), file);
            }
            if let Some(certificate) = &source.pod_certificate {
                files.certificates.push(WantedCertificate { source: at, wanted: certificate.clone() });
            }
        }
        return Ok(files.plan(mode));
    }
    Err(failed("this type of volume is not served yet; README.md lists those that are".to_owned()))
}

#[derive(Default)]
struct Files {
    files: BTreeMap<String, VolumeFile>,
    tokens: Vec<TokenRequest>,
    certificates: Vec<WantedCertificate>,
}

/// The mode of certificates and trust anchors: where the Pod has a group, that may read them and nobody else.
pub(crate) fn secret_mode(pod: &Pod, default_mode: u32) -> u32 {
    let context = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    if context.is_some_and(|context| context.fs_group.is_some()) { 0o600 } else { default_mode }
}

fn mode_of(mode: i32) -> u32 {
    u32::try_from(mode).unwrap_or(0o644)
}

impl Files {
    fn plan(self, default_mode: i32) -> VolumePlan {
        let Self { files, tokens, certificates } = self;
        VolumePlan::Files { files, tokens, certificates, default_mode: mode_of(default_mode) }
    }

    fn keys(
        &mut self,
        what: &str,
        data: &BTreeMap<String, Vec<u8>>,
        items: Option<&[KeyToPath]>,
        optional: bool,
        default_mode: i32,
    ) -> Result<(), String> {
        let Some(items) = items.filter(|items| !items.is_empty()) else {
            for (key, content) in data {
                let file = VolumeFile { content: content.clone(), mode: mode_of(default_mode) };
                self.files.insert(key.clone(), file);
            }
            return Ok(());
        };
        for item in items {
            let Some(content) = data.get(&item.key) else {
                if optional {
                    continue;
                }
                return Err(format!("{what} references non-existent config key: {}", item.key));
            };
            let mode = mode_of(item.mode.unwrap_or(default_mode));
            self.files.insert(item.path.clone(), VolumeFile { content: content.clone(), mode });
        }
        Ok(())
    }

    fn config_map(
        &mut self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: i32,
        sources: &dyn Sources,
    ) -> Result<(), String> {
        let optional = optional == Some(true);
        let Some(map) = sources.config_map(name) else {
            return if optional { Ok(()) } else { Err(format!("configmap {name:?} not found")) };
        };
        let text = map.data.iter().flatten().map(|(k, v)| (k.clone(), v.clone().into_bytes()));
        let binary = map.binary_data.iter().flatten().map(|(k, v): (&String, &ByteString)| (k.clone(), v.0.clone()));
        self.keys("configmap", &text.chain(binary).collect(), items, optional, mode)
    }

    fn secret(
        &mut self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: i32,
        sources: &dyn Sources,
    ) -> Result<(), String> {
        let optional = optional == Some(true);
        let Some(secret) = sources.secret(name) else {
            return if optional { Ok(()) } else { Err(format!("secret {name:?} not found")) };
        };
        let data = secret.data.iter().flatten().map(|(k, v)| (k.clone(), v.0.clone()));
        self.keys("secret", &data.collect(), items, optional, mode)
    }

    fn downward(
        &mut self,
        pod: &Pod,
        items: Option<&[DownwardAPIVolumeFile]>,
        mode: i32,
        facts: &PodFacts,
    ) -> Result<(), String> {
        for item in items.unwrap_or_default() {
            let text = if let Some(field) = &item.field_ref {
                pod_field(pod, &field.field_path, facts)?
            } else if let Some(resource) = &item.resource_field_ref {
                let name = resource.container_name.as_deref().unwrap_or_default();
                let container = pod.spec.as_ref().and_then(|s| s.containers.iter().find(|c| c.name == name));
                let container = container.ok_or_else(|| format!("no container called {name:?} in the Pod"))?;
                let divisor = resource.divisor.as_ref().map(|q| q.0.as_str()).unwrap_or_default();
                resource_field(container, &resource.resource, divisor, facts)?
            } else {
                continue;
            };
            let mode = mode_of(item.mode.unwrap_or(mode));
            self.files.insert(item.path.clone(), VolumeFile { content: text.into_bytes(), mode });
        }
        Ok(())
    }
}

/// Carries out a plan. Gives the path on the node that containers mount.
pub(crate) fn set_up(plan: &VolumePlan, directory: &Path, group: Option<u32>, now_nanos: i128) -> io::Result<PathBuf> {
    match plan {
        VolumePlan::EmptyDir { memory, limit_bytes } => {
            if !directory.exists() {
                std::fs::DirBuilder::new().recursive(true).mode(0o777).create(directory)?;
                if *memory {
                    mount_memory(directory, *limit_bytes)?;
                }
                std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777))?;
            }
            own(directory, group, true)?;
            Ok(directory.to_owned())
        }
        VolumePlan::HostPath { path, kind } => {
            check_host_path(path, kind)?;
            Ok(path.clone())
        }
        VolumePlan::Image => Ok(directory.to_owned()),
        VolumePlan::Files { files, .. } => {
            write_atomically(directory, files, group, now_nanos)?;
            Ok(directory.to_owned())
        }
    }
}

fn mount_memory(directory: &Path, limit_bytes: Option<u64>) -> io::Result<()> {
    let size = limit_bytes.map(|bytes| format!("size={bytes}")).unwrap_or_default();
    let options = std::ffi::CString::new(size)?;
    let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
    rustix::mount::mount("tmpfs", directory, "tmpfs", flags, Some(options.as_c_str())).map_err(io::Error::from)
}

/// Gives a path to the Pod's group: readable, and with the set-group-id bit on directories so that new files follow.
fn own(path: &Path, group: Option<u32>, writable: bool) -> io::Result<()> {
    let Some(group) = group else { return Ok(()) };
    std::os::unix::fs::chown(path, None, Some(group))?;
    let metadata = std::fs::metadata(path)?;
    let mut mode = metadata.permissions().mode() | if writable { 0o660 } else { 0o440 };
    if metadata.is_dir() {
        mode |= 0o2110;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o7777))
}

fn check_host_path(path: &Path, kind: &str) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let wrong =
        |what: &str| io::Error::other(format!("hostPath type check failed: {} is not a {what}", path.display()));
    let failed = |verb: &str, error: &io::Error| {
        io::Error::other(format!("{verb} {}: {}", path.display(), gotext::io_error(error)))
    };
    let found = std::fs::metadata(path);
    match kind {
        // As containerd does, a directory is made where there is nothing.
        "" | "DirectoryOrCreate" if found.is_err() => {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path);
            made.map_err(|error| failed("mkdir", &error))
        }
        "" => Ok(()),
        "FileOrCreate" if found.is_err() => {
            std::fs::File::create(path).map(|_| ()).map_err(|error| failed("open", &error))
        }
        "Directory" | "DirectoryOrCreate" => {
            found.ok().filter(|m| m.is_dir()).map(|_| ()).ok_or_else(|| wrong("directory"))
        }
        "File" | "FileOrCreate" => found.ok().filter(|m| m.is_file()).map(|_| ()).ok_or_else(|| wrong("file")),
        "Socket" => found.ok().filter(|m| m.file_type().is_socket()).map(|_| ()).ok_or_else(|| wrong("socket file")),
        "CharDevice" => {
            found.ok().filter(|m| m.file_type().is_char_device()).map(|_| ()).ok_or_else(|| wrong("character device"))
        }
        "BlockDevice" => {
            found.ok().filter(|m| m.file_type().is_block_device()).map(|_| ()).ok_or_else(|| wrong("block device"))
        }
        other => Err(io::Error::other(format!("{other:?} is an invalid hostPath type"))),
    }
}

/// Writes `files` below `directory` so that a reader never sees a mixture. Does nothing if they are there already.
pub(crate) fn write_atomically(
    directory: &Path,
    files: &BTreeMap<String, VolumeFile>,
    group: Option<u32>,
    now_nanos: i128,
) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    own(directory, group, false)?;
    let data = directory.join("..data");
    let current = std::fs::read_link(&data).ok();
    if current.as_ref().is_some_and(|name| same(&directory.join(name), files)) {
        return Ok(());
    }
    let name = format!("..{now_nanos}");
    let fresh = directory.join(&name);
    std::fs::DirBuilder::new().mode(0o755).create(&fresh)?;
    own(&fresh, group, false)?;
    for (path, file) in files {
        let target = fresh.join(path);
        if let Some(parent) = target.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        }
        std::fs::write(&target, &file.content)?;
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(file.mode))?;
        own(&target, group, false)?;
    }
    let next = directory.join("..data_tmp");
    let _ = std::fs::remove_file(&next);
    symlink(&name, &next)?;
    std::fs::rename(&next, &data)?;
    // What users see are links through `..data`, one for each first step of a path.
    let first = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let wanted: std::collections::BTreeSet<String> = files.keys().map(|path| first(path)).collect();
    for name in &wanted {
        let link = directory.join(name);
        if std::fs::symlink_metadata(&link).is_err() {
            symlink(Path::new("..data").join(name), &link)?;
        }
    }
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !wanted.contains(&name) {
            std::fs::remove_file(entry.path())?;
        }
    }
    if let Some(old) = current {
        let _ = std::fs::remove_dir_all(directory.join(old));
    }
    Ok(())
}

fn same(directory: &Path, files: &BTreeMap<String, VolumeFile>) -> bool {
    fn count(directory: &Path) -> usize {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|e| if e.path().is_dir() { count(&e.path()) } else { 1 }).sum()
    }
    count(directory) == files.len()
        && files.iter().all(|(path, file)| std::fs::read(directory.join(path)).is_ok_and(|c| c == file.content))
}

#[cfg(test)]
mod tests;
