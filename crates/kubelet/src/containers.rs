//! The work on one Pod's sandbox, volumes and containers: each a future that the Pod's worker runs beside the others.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::resources::{CLUSTERTRUSTBUNDLES, CONFIGMAPS, PODS, RUNTIMECLASSES, SECRETS, SERVICEACCOUNTS};
use apimachinery::gotext::io_error;
use apimachinery::{ApiError, Object};
use client::{EventRecorder, EventType, ListOptions, ObjectReference, PatchKind, Target, WriteOptions};
use cri::{
    ContainerId, ContainerState, ContainerStatus, ContainerUpdate, ExecOutput, Image, ImageService, Keyring, Mount,
    PodSandboxId, PodSandboxStatus, RuntimeService,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Container, LifecycleHandler, Pod, Secret, VolumeProjection};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::certificates::Credentials;
use crate::config::{self, ContainerInputs};
use crate::env::{PodFacts, Sources, environment, service_variables};
use crate::ephemeral;
use crate::images::{self, ImageFailure, Wanted};
use crate::kubelet::Shared;
use crate::names;
use crate::probe::{HttpGet, port_number};
use crate::volumes::{self, Claimed, TrustBundles, VolumeFile, VolumePlan};

/// Where a container writes its last words, and how much of them is kept.
const TERMINATION_MESSAGE_MAX: usize = 4096;
/// How long the end of a Pod waits for Services to let go of it: many times what a busy machine takes.
const WITHDRAWAL_MAX: Duration = Duration::from_secs(2);
/// How long to wait after a failed sandbox or volume before the next try.
pub(crate) const SETUP_RETRY: Duration = Duration::from_secs(2);
/// The same for claims of which the worker is told when they change: a net, should that fail.
pub(crate) const FOLLOWED_RETRY: Duration = Duration::from_secs(60);
/// How much of a token's life passes before a new one is asked for (upstream: `pkg/kubelet/token`).
const TOKEN_LIFE_PERCENT: i64 = 80;
/// The oldest that a token becomes.
const TOKEN_LIFE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// API objects that a Pod refers to, read before they are needed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Referred {
    config_maps: BTreeMap<String, Arc<ConfigMap>>,
    secrets: BTreeMap<String, Arc<Secret>>,
    trust: TrustBundles,
    claimed: Claimed,
}

impl Sources for Referred {
    fn config_map(&self, name: &str) -> Option<Arc<ConfigMap>> {
        self.config_maps.get(name).cloned()
    }

    fn secret(&self, name: &str) -> Option<Arc<Secret>> {
        self.secrets.get(name).cloned()
    }

    fn trust(&self) -> &TrustBundles {
        &self.trust
    }
}

/// What a started container is.
#[derive(Debug, Clone)]
pub(crate) struct Started {
    pub(crate) status: ContainerStatus,
    pub(crate) image: Image,
}

/// Which run of a container is to be started, and where.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) sandbox: PodSandboxId,
    pub(crate) pod_ip: String,
    /// How often the container ran before.
    pub(crate) attempt: u32,
    /// Whose processes it is to see; only ephemeral containers have one.
    pub(crate) target: Option<ContainerId>,
}

/// Why a container did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StartFailure {
    pub(crate) reason: String,
    pub(crate) message: String,
    /// The image whose pull failed: pulls have a back-off of their own.
    pub(crate) pull: Option<String>,
    /// The container, if it was made.
    pub(crate) id: Option<ContainerId>,
}

impl StartFailure {
    pub(crate) fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into(), pull: None, id: None }
    }
}

/// Why there is no sandbox yet: the Event's reason and message, and how long to wait before the next try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetUpFailure {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) retry: Duration,
}

impl SetUpFailure {
    fn of_sandbox(why: String) -> Self {
        let message = format!("Failed to create pod sandbox: {why}");
        Self { reason: "FailedCreatePodSandBox", message, retry: SETUP_RETRY }
    }
}

impl From<ImageFailure> for StartFailure {
    fn from(failure: ImageFailure) -> Self {
        Self { reason: failure.reason.to_owned(), message: failure.message, pull: failure.pulled, id: None }
    }
}

/// One Pod's hands: what its worker's futures share.
#[derive(Clone)]
pub(crate) struct PodHands {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pod: Arc<Pod>,
    pub(crate) about: ObjectReference,
    /// The Pod's service account tokens.
    pub(crate) tokens: Arc<Mutex<Tokens>>,
    /// The Pod's keys and certificates.
    pub(crate) credentials: Credentials,
}

/// Images that are mounted as volumes, by the volume's name.
type VolumeImages = BTreeMap<String, Image>;

/// Tokens by audience and lifetime in seconds, each with the time from which on a new one is asked for.
pub(crate) type Tokens = BTreeMap<(Option<String>, i64), (String, Timestamp)>;

impl PodHands {
    fn runtime(&self) -> &Arc<dyn RuntimeService> {
        &self.shared.runtime
    }

    fn images(&self) -> &Arc<dyn ImageService> {
        &self.shared.images
    }

    pub(crate) fn recorder(&self) -> &EventRecorder {
        &self.shared.recorder
    }

    /// A reference to one of the Pod's containers.
    pub(crate) fn about_container(&self, container: &str) -> ObjectReference {
        let spec = self.pod.spec.as_ref();
        let init = spec.iter().flat_map(|s| s.init_containers.iter().flatten()).any(|c| c.name == container);
        let list = match spec {
            Some(spec) if ephemeral::is_ephemeral(spec, container) => "ephemeralContainers",
            _ if init => "initContainers",
            _ => "containers",
        };
        self.about.clone().field(format!("spec.{list}{{{container}}}"))
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.shared.config.root_directory.join("pods").join(names::uid(&self.pod))
    }

    pub(crate) fn volume_directory(&self, volume: &str) -> PathBuf {
        self.directory().join("volumes").join(volume)
    }

    pub(crate) fn log_directory(&self) -> PathBuf {
        let name = format!("{}_{}_{}", names::namespace(&self.pod), names::name(&self.pod), names::uid(&self.pod));
        self.shared.config.log_directory.join(name)
    }

    pub(crate) fn facts(&self, pod_ip: &str) -> PodFacts {
        PodFacts {
            node_name: self.shared.config.node_name.clone(),
            host_ip: self.shared.config.node_ip.clone(),
            pod_ip: pod_ip.to_owned(),
            node_allocatable: self.shared.config.facts.allocatable.clone(),
        }
    }

    /// Reads every ConfigMap, Secret and claim that the Pod names, and the trust bundles if it wants any.
    pub(crate) async fn referred(&self) -> Referred {
        let mut referred = Referred { claimed: self.claimed().await, ..Referred::default() };
        let (mut maps, mut secrets) = (Vec::new(), Vec::new());
        let value = serde_json::to_value(&self.pod.spec).unwrap_or_default();
        collect_names(&value, &mut maps, &mut secrets);
        let namespace = names::namespace(&self.pod);
        for name in maps {
            if let Ok(object) = self.shared.client.get(CONFIGMAPS, namespace, &name).await
                && let Ok(map) = object.typed::<ConfigMap>()
            {
                referred.config_maps.insert(name, map);
            }
        }
        for name in secrets {
            if let Ok(object) = self.shared.client.get(SECRETS, namespace, &name).await
                && let Ok(secret) = object.typed::<Secret>()
            {
                referred.secrets.insert(name, secret);
            }
        }
        if projects(&self.pod, |source| source.cluster_trust_bundle.is_some()) {
            referred.trust.salt = self.shared.trust_salt;
            let bundles = self.shared.client.list(CLUSTERTRUSTBUNDLES, "", &ListOptions::default()).await;
            let bundles = bundles.map(|list| list.items).unwrap_or_default();
            referred.trust.all = bundles.iter().filter_map(|bundle| bundle.typed().ok()).collect();
        }
        referred
    }

    /// Makes the Pod's volumes and its sandbox.
    pub(crate) async fn set_up(&self, attempt: u32) -> Result<PodSandboxStatus, SetUpFailure> {
        let referred = self.referred().await;
        if let Err(message) = self.write_volumes(&referred, "").await {
            // Who is told of the change needs no next try.
            let retry = if self.follow_claims(&referred.claimed) { FOLLOWED_RETRY } else { SETUP_RETRY };
            let reason = if message.starts_with("MapVolume.") { "FailedMapVolume" } else { "FailedMount" };
            return Err(SetUpFailure { reason, message, retry });
        }
        let log_directory = self.log_directory();
        let mut sandbox = config::sandbox(&self.pod, attempt, log_directory.clone(), &self.shared.config.cluster_dns());
        sandbox.runtime_handler =
            self.runtime_handler().await.map_err(|error| SetUpFailure::of_sandbox(error.to_string()))?;
        let made = self.shared.supervisor.blocking(move || std::fs::create_dir_all(&log_directory)).await;
        if let Some(Err(error)) = made {
            return Err(SetUpFailure::of_sandbox(format!("log directory: {}", io_error(&error))));
        }
        let made = self.runtime().run_pod_sandbox(sandbox).await;
        made.map_err(|error| SetUpFailure::of_sandbox(error.to_string()))
    }

    /// The runtime that the Pod's class names.
    async fn runtime_handler(&self) -> Result<String, ApiError> {
        let class = self.pod.spec.as_ref().and_then(|s| s.runtime_class_name.as_deref()).unwrap_or_default();
        if class.is_empty() {
            return Ok(String::new());
        }
        let class = self.shared.client.get(RUNTIMECLASSES, "", class).await?;
        Ok(class.value()["handler"].as_str().unwrap_or_default().to_owned())
    }

    /// Writes the files of all volumes; what is as it should be is left alone.
    pub(crate) async fn write_volumes(&self, referred: &Referred, pod_ip: &str) -> Result<(), String> {
        if let Some(why) = volumes::refusal(&referred.claimed) {
            return Err(why);
        }
        let facts = self.facts(pod_ip);
        let spec = self.pod.spec.as_ref();
        let group = spec.and_then(|s| s.security_context.as_ref()).and_then(|s| s.fs_group);
        let group = group.and_then(|g| u32::try_from(g).ok());
        for volume in spec.iter().flat_map(|s| s.volumes.iter().flatten()) {
            if volumes::is_claimed(volume) {
                if let Some(Ok(claimed)) = referred.claimed.get(&volume.name) {
                    self.set_up_claimed(&volume.name, claimed).await?;
                }
                continue;
            }
            let mut plan = volumes::plan(&self.pod, volume, &facts, referred)?;
            if let VolumePlan::Files { files, tokens, certificates, default_mode } = &mut plan {
                for certificate in certificates.iter() {
                    let pair = self.credential(&volume.name, certificate.source, &certificate.wanted).await;
                    let (key, chain) = pair
                        .map_err(|error| format!("MountVolume.SetUp failed for volume {:?} : {error}", volume.name))?;
                    let mode = volumes::secret_mode(&self.pod, *default_mode);
                    let made = certificate.files(&key, &chain).into_iter();
                    files.extend(made.map(|(path, content)| (path, VolumeFile { content, mode })));
                }
                for request in tokens.iter() {
                    let token = self.token(request).await.map_err(|error| {
                        format!(
                            "MountVolume.SetUp failed for volume {:?} : failed to fetch token: {error}",
                            volume.name
                        )
                    })?;
                    let mode = if group.is_some() { 0o640 } else { *default_mode };
                    files.insert(request.path.clone(), VolumeFile { content: token.into_bytes(), mode });
                }
            }
            let directory = self.volume_directory(&volume.name);
            let nanos = self.shared.clock.now().as_nanosecond();
            let done = self.shared.supervisor.blocking(move || volumes::set_up(&plan, &directory, group, nanos)).await;
            match done {
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    let why = io_error(&error);
                    return Err(format!("MountVolume.SetUp failed for volume {:?} : {why}", volume.name));
                }
                None => {
                    return Err(format!("MountVolume.SetUp failed for volume {:?} : the work panicked", volume.name));
                }
            }
        }
        Ok(())
    }

    /// The token that a volume shows; a new one when most of the old one's life is over.
    async fn token(&self, request: &volumes::TokenRequest) -> Result<String, String> {
        let key = (request.audience.clone(), request.seconds);
        let now = self.shared.clock.now();
        if let Some((token, _)) = self.tokens.lock().get(&key).filter(|(_, renew_at)| now < *renew_at) {
            return Ok(token.clone());
        }
        let token = self.new_token(request).await?;
        let life = SignedDuration::from_secs(request.seconds.saturating_mul(TOKEN_LIFE_PERCENT) / 100);
        let renew_at = now.saturating_add(life.min(TOKEN_LIFE_MAX)).unwrap_or(now);
        self.tokens.lock().insert(key, (token.clone(), renew_at));
        Ok(token)
    }

    async fn new_token(&self, request: &volumes::TokenRequest) -> Result<String, String> {
        let account = self.pod.spec.as_ref().and_then(|s| s.service_account_name.clone()).unwrap_or_default();
        let mut spec = json!({"expirationSeconds": request.seconds, "boundObjectRef": {
            "kind": "Pod", "apiVersion": "v1", "name": names::name(&self.pod), "uid": names::uid(&self.pod),
        }});
        if let Some(audience) = &request.audience {
            spec["audiences"] = json!([audience]);
        }
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let target = Target::object(SERVICEACCOUNTS, names::namespace(&self.pod), &account).subresource("token");
        let transport = self.shared.client.transport();
        let answer = transport.create(target, body, &WriteOptions::default()).await.map_err(|e| e.to_string())?;
        let token = Object::value(&answer)["status"]["token"].as_str().map(str::to_owned);
        token.ok_or_else(|| "the server sent no token".to_owned())
    }

    /// Merges `patch` into the Pod's status.
    pub(crate) async fn patch_status(&self, patch: Value) -> Result<Arc<Object>, ApiError> {
        let (namespace, name) = (names::namespace(&self.pod), names::name(&self.pod));
        self.shared.client.patch_status(PODS, namespace, name, PatchKind::Merge, patch).await
    }

    async fn keyring(&self) -> Keyring {
        let mut keyring = Keyring::default();
        let namespace = names::namespace(&self.pod);
        let secrets = self.pod.spec.iter().flat_map(|s| s.image_pull_secrets.iter().flatten());
        for reference in secrets {
            let Ok(object) = self.shared.client.get(SECRETS, namespace, &reference.name).await else { continue };
            let Ok(secret) = object.typed::<Secret>() else { continue };
            let data = |key: &str| secret.data.as_ref().and_then(|d| d.get(key)).map(|b| b.0.clone());
            let added = match (data(".dockerconfigjson"), data(".dockercfg")) {
                (Some(bytes), _) => keyring.add_docker_config_json(&bytes),
                (None, Some(bytes)) => keyring.add_dockercfg(&bytes),
                _ => Ok(()),
            };
            if let Err(error) = added {
                tracing::warn!(secret = %reference.name, error = %error, "an image pull secret can't be read");
            }
        }
        keyring
    }

    /// Pulls, makes and starts a container.
    pub(crate) async fn start(&self, container: &Container, run: &Run) -> Result<Started, StartFailure> {
        let about = self.about_container(&container.name);
        let warn = |reason: &str, text: String| self.recorder().event(about.clone(), EventType::Warning, reason, text);
        let keyring = self.keyring().await;
        let told = |failure: ImageFailure| {
            warn("Failed", format!("Error: {}", failure.reason));
            StartFailure::from(failure)
        };
        let volumes = self.volume_images(container, &keyring).await.map_err(told)?;
        let name = container.image.as_deref().unwrap_or_default();
        let wanted = Wanted { name, policy: container.image_pull_policy.as_deref() };
        let image = images::ensure(self.images(), self.recorder(), &about, wanted, &keyring).await.map_err(told)?;
        let configured = self.configure(container, &image, &volumes, run).await;
        let configured = configured.map_err(|message| {
            warn("Failed", format!("Error: {message}"));
            StartFailure::new("CreateContainerConfigError", message)
        })?;
        let id = self.runtime().create_container(&run.sandbox, configured).await.map_err(|error| {
            warn("Failed", format!("Error: {error}"));
            StartFailure::new("CreateContainerError", error.to_string())
        })?;
        self.recorder().event(about.clone(), EventType::Normal, "Created", "Container created");
        if let Err(error) = self.runtime().start_container(&id).await {
            warn("Failed", format!("Error: {error}"));
            return Err(StartFailure { id: Some(id), ..StartFailure::new("RunContainerError", error.to_string()) });
        }
        self.recorder().event(about.clone(), EventType::Normal, "Started", "Container started");
        let post_start = container.lifecycle.as_ref().and_then(|l| l.post_start.as_ref());
        if let Some(hook) = post_start
            && let Err(error) = self.hook(hook, container, &id, &run.pod_ip).await
        {
            warn("FailedPostStartHook", "PostStartHook failed".to_owned());
            tracing::debug!(container = %container.name, error, "the postStart hook failed");
            // It ends as any container that is killed, and is started again.
            self.stop(container, &id, self.grace(), &run.pod_ip, "FailedPostStartHook").await;
        }
        let status = self.runtime().container_status(&id).await;
        let status = status.map_err(|error| StartFailure::new("RunContainerError", error.to_string()))?;
        Ok(Started { status, image })
    }

    /// The images that `container` mounts, by the volume's name.
    async fn volume_images(&self, container: &Container, keyring: &Keyring) -> Result<VolumeImages, ImageFailure> {
        let mut images = VolumeImages::new();
        for volume in self.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            let mounted = container.volume_mounts.iter().flatten().any(|mount| mount.name == volume.name);
            let Some(source) = volume.image.as_ref().filter(|_| mounted) else { continue };
            let name = source.reference.as_deref().unwrap_or_default();
            let wanted = Wanted { name, policy: source.pull_policy.as_deref() };
            let image = images::ensure(self.images(), self.recorder(), &self.about, wanted, keyring).await?;
            images.insert(volume.name.clone(), image);
        }
        Ok(images)
    }

    /// Changes the limits of a container that runs to what `container` says. `memory_limit` is a limit that goes down:
    /// below what is used the kernel would kill.
    pub(crate) async fn update_resources(
        &self,
        container: &Container,
        id: &ContainerId,
        memory_limit: Option<u64>,
    ) -> Result<(), String> {
        if let Some(limit) = memory_limit {
            let stats = self.runtime().container_stats(id).await;
            let stats =
                stats.map_err(|_| format!("unable to read memory usage for pod {:?}", names::full_name(&self.pod)))?;
            let used = stats.memory.usage_bytes;
            if used >= limit {
                return Err(format!(
                    "cannot decrease memory limits: attempting to set container {:?} memory limit ({limit}) below current \
                     usage ({used})",
                    container.name
                ));
            }
        }
        let mut resources = config::resources(&self.pod, container, self.shared.config.facts.memory_bytes);
        // It is a property of processes, which have theirs.
        resources.oom_score_adj = None;
        let update = ContainerUpdate { resources };
        self.runtime().update_container_resources(id, update).await.map_err(|error| error.to_string())
    }

    async fn configure(
        &self,
        container: &Container,
        image: &Image,
        volumes: &VolumeImages,
        run: &Run,
    ) -> Result<cri::ContainerConfig, String> {
        let Run { pod_ip, attempt, target, .. } = run;
        let attempt = *attempt;
        let referred = self.referred().await;
        // Addresses are known only now; files that show them are written again.
        self.write_volumes(&referred, pod_ip).await?;
        let spec = self.pod.spec.as_ref();
        let own = spec.and_then(|s| s.enable_service_links) != Some(false);
        let services = self.shared.services.store().list();
        let services: Vec<_> = services.iter().filter_map(|s| s.typed().ok()).collect();
        let variables = service_variables(&services, names::namespace(&self.pod), own);
        let facts = self.facts(pod_ip);
        let envs = environment(&self.pod, container, variables, &facts, &referred)?;
        let mounts = self.mounts(container, run, &envs, volumes, &referred.claimed).await?;
        let mut config = config::container(ContainerInputs {
            pod: &self.pod,
            container,
            attempt,
            image,
            target: target.clone(),
            envs,
            mounts,
            log_path: PathBuf::from(&container.name).join(format!("{attempt}.log")),
            node_memory_bytes: self.shared.config.facts.memory_bytes,
        })?;
        config.devices = volumes::devices(container, &referred.claimed);
        let groups = volumes::groups(&referred.claimed, &config.security_context.supplemental_groups);
        config.security_context.supplemental_groups.extend(groups);
        Ok(config)
    }

    async fn mounts(
        &self,
        container: &Container,
        Run { pod_ip, attempt, .. }: &Run,
        envs: &[cri::KeyValue],
        images: &VolumeImages,
        claimed: &Claimed,
    ) -> Result<Vec<Mount>, String> {
        let spec = self.pod.spec.as_ref();
        let known = envs.iter().map(|kv| (kv.key.clone(), kv.value.clone())).collect();
        let mut mounts = Vec::new();
        let mut sub_paths = Vec::new();
        for mount in container.volume_mounts.iter().flatten() {
            let recursive_read_only = config::recursive_read_only(mount)
                .map_err(|why| format!("failed to resolve recursive read-only mode: {why}"))?;
            let volume = spec.and_then(|s| s.volumes.as_ref()).into_iter().flatten().find(|v| v.name == mount.name);
            let volume = volume
                .ok_or_else(|| format!("volume {:?} of the mount {:?} is not there", mount.name, mount.mount_path))?;
            let claimed = claimed.get(&mount.name).and_then(|claimed| claimed.as_ref().ok());
            let base = match (&volume.host_path, claimed) {
                (Some(host), _) => PathBuf::from(&host.path),
                (None, Some(claimed)) => claimed.path(),
                (None, None) => self.volume_directory(&mount.name),
            };
            let sub_path = match (&mount.sub_path_expr, &mount.sub_path) {
                (Some(expression), _) if !expression.is_empty() => crate::env::expand(expression, &known),
                (_, Some(path)) => path.clone(),
                _ => String::new(),
            };
            if sub_path.split('/').any(|part| part == "..") || sub_path.starts_with('/') {
                return Err(format!(
                    "the subPath {sub_path:?} of the mount {:?} leads out of its volume",
                    mount.mount_path
                ));
            }
            let image = images.get(&mount.name).map(|image| image.id.clone());
            if image.is_some() {
                let container_path = PathBuf::from(&mount.mount_path);
                let image_sub_path = PathBuf::from(sub_path);
                mounts.push(Mount { image, image_sub_path, container_path, readonly: true, ..Mount::default() });
                continue;
            }
            let read_only = claimed.is_some_and(|claimed| claimed.is_read_only());
            if !sub_path.is_empty() {
                sub_paths.push((mounts.len(), base.clone(), sub_path, read_only, mount.name.clone()));
            }
            mounts.push(Mount {
                host_path: base,
                container_path: PathBuf::from(&mount.mount_path),
                readonly: mount.read_only == Some(true) || read_only,
                recursive_read_only,
                propagation: config::propagation(mount.mount_propagation.as_deref()),
                ..Mount::default()
            });
        }
        let target = |path: &str| container.volume_mounts.iter().flatten().any(|m| m.mount_path == path);
        let host_network = spec.and_then(|s| s.host_network) == Some(true);
        let hosts = (!target("/etc/hosts") && !host_network)
            .then(|| config::hosts_file(&self.pod, pod_ip, &self.shared.config.cluster_domain));
        let termination =
            container.termination_message_path.clone().unwrap_or_else(|| "/dev/termination-log".to_owned());
        let directory = self.directory();
        let log = directory.join("containers").join(&container.name).join(attempt.to_string());
        let (hosts_path, log_path) = (directory.join("etc-hosts"), log);
        let (written_hosts, written_log) = (hosts_path.clone(), log_path.clone());
        let text = hosts.clone();
        let called = container.name.clone();
        let done = self.shared.supervisor.blocking(move || -> std::io::Result<Vec<(usize, PathBuf)>> {
            use std::os::unix::fs::PermissionsExt;
            let mut resolved = Vec::with_capacity(sub_paths.len());
            for (mount, base, sub_path, read_only, volume) in sub_paths {
                let path = volumes::resolve_sub_path(&base, &sub_path, read_only).map_err(|error| {
                    let what = format!("failed to prepare subPath for volumeMount {volume:?} of container {called:?}");
                    std::io::Error::other(format!("{what}: {}", io_error(&error)))
                })?;
                resolved.push((mount, path));
            }
            if let Some(parent) = written_log.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(&written_log, b"")?;
            std::fs::set_permissions(&written_log, std::fs::Permissions::from_mode(0o666))?;
            if let Some(text) = text {
                std::fs::write(&written_hosts, text)?;
            }
            Ok(resolved)
        });
        match done.await {
            Some(Ok(resolved)) => resolved.into_iter().for_each(|(mount, path)| mounts[mount].host_path = path),
            Some(Err(error)) => return Err(format!("failed to prepare the Pod's files: {}", io_error(&error))),
            None => return Err("failed to prepare the Pod's files: the work panicked".to_owned()),
        }
        if hosts.is_some() {
            mounts.push(Mount { host_path: hosts_path, container_path: "/etc/hosts".into(), ..Mount::default() });
        }
        mounts.push(Mount { host_path: log_path, container_path: termination.into(), ..Mount::default() });
        Ok(mounts)
    }

    /// The Pod's grace in seconds.
    pub(crate) fn grace(&self) -> u64 {
        let own = self.pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds).unwrap_or(30);
        let asked = self.pod.metadata.deletion_grace_period_seconds.unwrap_or(own);
        u64::try_from(asked).unwrap_or(0)
    }

    /// Runs the preStop hook and stops a container; the hook's time counts against the grace. A Pod that goes gets no new
    /// requests by then.
    pub(crate) async fn stop(
        &self,
        container: &Container,
        id: &ContainerId,
        grace_seconds: u64,
        pod_ip: &str,
        text: &str,
    ) {
        let about = self.about_container(&container.name);
        self.recorder().event(about.clone(), EventType::Normal, "Killing", text);
        let grace = Duration::from_secs(grace_seconds);
        let started = tokio::time::Instant::now();
        if grace_seconds > 0 {
            tokio::join!(self.pre_stop(container, id, grace, pod_ip), self.withdrawn(grace));
        }
        // Upstream gives two seconds more where the hook has eaten everything up.
        let least = if grace_seconds == 0 { Duration::ZERO } else { Duration::from_secs(2).min(grace) };
        let left = grace.saturating_sub(started.elapsed()).max(least);
        if let Err(error) = self.runtime().stop_container(id, left).await
            && !error.is_not_found()
        {
            tracing::warn!(container = %container.name, error = %error, "failed to stop a container");
        }
    }

    /// Runs the preStop hook of `container`, if it has one, for as long as the grace lasts.
    async fn pre_stop(&self, container: &Container, id: &ContainerId, grace: Duration, pod_ip: &str) {
        let hook = container.lifecycle.as_ref().and_then(|l| l.pre_stop.as_ref());
        let Some(hook) = hook else { return };
        match tokio::time::timeout(grace, self.hook(hook, container, id, pod_ip)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                let about = self.about_container(&container.name);
                self.recorder().event(about, EventType::Warning, "FailedPreStopHook", "PreStopHook failed");
            }
            Err(_) => tracing::debug!(container = %container.name, "the preStop hook took all of the grace"),
        }
    }

    /// Waits until a Pod that is being deleted gets no new requests.
    async fn withdrawn(&self, grace: Duration) {
        if self.pod.metadata.deletion_timestamp.is_none() {
            return;
        }
        let withdrawn = self.shared.traffic.withdrawn(names::uid(&self.pod));
        if tokio::time::timeout(WITHDRAWAL_MAX.min(grace), withdrawn).await.is_err() {
            tracing::warn!(pod = %names::full_name(&self.pod), "a Pod is stopped although Services may still lead to it");
        }
    }

    async fn hook(
        &self,
        hook: &LifecycleHandler,
        container: &Container,
        id: &ContainerId,
        pod_ip: &str,
    ) -> Result<(), String> {
        if let Some(exec) = &hook.exec {
            let argv = exec.command.clone().unwrap_or_default();
            let output: ExecOutput = self.runtime().exec_sync(id, &argv, None).await.map_err(|e| e.to_string())?;
            if output.exit_code != 0 {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(format!(
                    "Exec lifecycle hook ({argv:?}) for Container {:?} exited with {}: {said}",
                    container.name, output.exit_code
                ));
            }
            return Ok(());
        }
        if let Some(http) = &hook.http_get {
            let port = port_number(&http.port, container)?;
            let host = http.host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| pod_ip.to_owned());
            let path = http.path.clone().unwrap_or_else(|| "/".to_owned());
            let https = http.scheme.as_deref() == Some("HTTPS");
            let headers: Vec<(String, String)> =
                http.http_headers.iter().flatten().map(|h| (h.name.clone(), h.value.clone())).collect();
            let get = HttpGet { https, host: &host, port, path: &path, headers: &headers };
            return get.send(&*self.shared.dialer).await;
        }
        if let Some(sleep) = &hook.sleep {
            tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
        }
        Ok(())
    }

    /// What a container said at its end: its termination message, or the end of its log if it wants that.
    pub(crate) async fn last_words(&self, container: &Container, attempt: u32, failed: bool) -> String {
        let path = self.directory().join("containers").join(&container.name).join(attempt.to_string());
        let from_log = failed && container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        let log = self.log_directory().join(&container.name).join(format!("{attempt}.log"));
        let read = self.shared.supervisor.blocking(move || {
            let said = std::fs::read(&path).unwrap_or_default();
            if !said.is_empty() || !from_log {
                return String::from_utf8_lossy(&said[..said.len().min(TERMINATION_MESSAGE_MAX)]).into_owned();
            }
            crate::logs::last_lines(&log, 80, 2048)
        });
        read.await.unwrap_or_default()
    }

    /// Ends the sandbox and removes everything of the Pod.
    pub(crate) async fn tear_down(&self, sandbox: Option<&PodSandboxId>) {
        if let Some(id) = sandbox {
            for call in [self.runtime().stop_pod_sandbox(id).await, self.runtime().remove_pod_sandbox(id).await] {
                if let Err(error) = call
                    && !error.is_not_found()
                {
                    tracing::warn!(pod = %names::full_name(&self.pod), error = %error, "failed to remove a sandbox");
                }
            }
        }
        self.shared.news.forget(names::uid(&self.pod));
        let (directory, logs) = (self.directory(), self.log_directory());
        let removed = self.shared.supervisor.blocking(move || {
            volumes::remove(&directory)?;
            let _ = std::fs::remove_dir_all(&logs);
            Ok::<(), std::io::Error>(())
        });
        if let Some(Err(error)) = removed.await {
            tracing::warn!(pod = %names::full_name(&self.pod), error = %error, "failed to remove a Pod's files");
        }
    }
}

/// Whether a projected volume of the Pod has such a source.
pub(crate) fn projects(pod: &Pod, is: impl Fn(&VolumeProjection) -> bool) -> bool {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let mut sources = volumes.filter_map(|volume| volume.projected.as_ref()).flat_map(|p| p.sources.iter().flatten());
    sources.any(is)
}

/// The names of ConfigMaps and Secrets in a Pod's spec, wherever they can stand.
fn collect_names(value: &Value, maps: &mut Vec<String>, secrets: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_names(item, maps, secrets)),
        Value::Object(fields) => {
            for (key, field) in fields {
                let name = field["name"].as_str().or_else(|| field["secretName"].as_str());
                match (key.as_str(), name) {
                    ("configMap" | "configMapRef" | "configMapKeyRef", Some(name)) => maps.push(name.to_owned()),
                    ("secret" | "secretRef" | "secretKeyRef", Some(name)) => secrets.push(name.to_owned()),
                    _ => {}
                }
                collect_names(field, maps, secrets);
            }
        }
        _ => {}
    }
}

/// When a container began and ended, from the runtime's word.
pub(crate) fn times(status: &ContainerStatus) -> (Option<Timestamp>, Option<Timestamp>) {
    match &status.state {
        ContainerState::Created => (None, None),
        ContainerState::Running { started_at } => (Some(*started_at), None),
        ContainerState::Exited { started_at, finished_at, .. } => (*started_at, Some(*finished_at)),
    }
}
