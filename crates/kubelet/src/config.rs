//! What the runtime is asked for: sandbox and container configurations, from the Pod's spec
//! (upstream: `pkg/kubelet/kuberuntime/*_linux.go`). Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;

use apimachinery::Quantity;
use cri::{
    Capabilities, ContainerConfig, ContainerId, ContainerMetadata, DnsConfig, Image, KeyValue, LinuxContainerResources,
    LinuxContainerSecurityContext, LinuxPodSandboxConfig, Mount, MountPropagation, NamespaceMode, NamespaceOptions,
    PodSandboxConfig, PodSandboxMetadata, PortMapping, Protocol, QosClass, SeccompProfile, SupplementalGroupsPolicy,
};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, SeccompProfile as SeccompSpec, VolumeMount};

use crate::names::{CONTAINER_NAME, POD_NAME, POD_NAMESPACE, POD_UID, hostname, name, namespace, uid};

/// The lowest CPU weight that the kernel takes.
const SHARES_MIN: u64 = 2;
/// The highest.
const SHARES_MAX: u64 = 262_144;
/// Period of CPU limits in microseconds.
const CPU_PERIOD_US: u64 = 100_000;
/// The least quota that the kernel takes, in microseconds.
const QUOTA_MIN_US: i64 = 1000;

/// How names are resolved in Pods.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterDns {
    pub(crate) server: String,
    pub(crate) domain: String,
    /// What the node itself uses.
    pub(crate) node: DnsConfig,
}

/// The Pod's quality of service class, which the API server computed.
pub(crate) fn qos(pod: &Pod) -> QosClass {
    match pod.status.as_ref().and_then(|s| s.qos_class.as_deref()) {
        Some("Guaranteed") => QosClass::Guaranteed,
        Some("Burstable") => QosClass::Burstable,
        _ => QosClass::BestEffort,
    }
}

fn amount(
    list: Option<&BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>>,
    name: &str,
) -> Option<Quantity> {
    list?.get(name)?.0.parse().ok()
}

fn labels(pod: &Pod) -> BTreeMap<String, String> {
    BTreeMap::from([
        (POD_NAME.to_owned(), name(pod).to_owned()),
        (POD_NAMESPACE.to_owned(), namespace(pod).to_owned()),
        (POD_UID.to_owned(), uid(pod).to_owned()),
    ])
}

fn namespaces(spec: &PodSpec) -> NamespaceOptions {
    let node = |flag: Option<bool>, else_: NamespaceMode| if flag == Some(true) { NamespaceMode::Node } else { else_ };
    let pid = if spec.share_process_namespace == Some(true) { NamespaceMode::Pod } else { NamespaceMode::Container };
    NamespaceOptions {
        network: node(spec.host_network, NamespaceMode::Pod),
        pid: node(spec.host_pid, pid),
        ipc: node(spec.host_ipc, NamespaceMode::Pod),
    }
}

/// The Pod's `resolv.conf` by its DNS policy.
pub(crate) fn dns(pod: &Pod, dns: &ClusterDns) -> DnsConfig {
    let Some(spec) = &pod.spec else { return DnsConfig::default() };
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let cluster = match policy {
        "ClusterFirst" => spec.host_network != Some(true),
        "ClusterFirstWithHostNet" => true,
        _ => false,
    };
    let mut config = if policy == "None" {
        DnsConfig::default()
    } else if cluster && !dns.server.is_empty() {
        let domain = &dns.domain;
        let mut searches = vec![format!("{}.svc.{domain}", namespace(pod)), format!("svc.{domain}"), domain.clone()];
        searches.extend(dns.node.searches.iter().cloned());
        DnsConfig { servers: vec![dns.server.clone()], searches, options: vec!["ndots:5".to_owned()] }
    } else {
        dns.node.clone()
    };
    if let Some(own) = &spec.dns_config {
        let add = |to: &mut Vec<String>, from: &Option<Vec<String>>| {
            for item in from.iter().flatten() {
                if !to.contains(item) {
                    to.push(item.clone());
                }
            }
        };
        add(&mut config.servers, &own.nameservers);
        add(&mut config.searches, &own.searches);
        for option in own.options.iter().flatten() {
            let option_name = option.name.clone().unwrap_or_default();
            config.options.retain(|o| o.split(':').next() != Some(option_name.as_str()));
            config.options.push(match &option.value {
                Some(value) => format!("{option_name}:{value}"),
                None => option_name,
            });
        }
    }
    config
}

/// The sandbox of a Pod.
pub(crate) fn sandbox(pod: &Pod, attempt: u32, log_directory: PathBuf, cluster_dns: &ClusterDns) -> PodSandboxConfig {
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let ports = containers.flat_map(|c| c.ports.iter().flatten());
    let port_mappings = ports
        .filter_map(|port| {
            let host_port = u16::try_from(port.host_port?).ok().filter(|p| *p > 0)?;
            Some(PortMapping {
                protocol: match port.protocol.as_deref() {
                    Some("UDP") => Protocol::Udp,
                    Some("SCTP") => Protocol::Sctp,
                    _ => Protocol::Tcp,
                },
                container_port: u16::try_from(port.container_port).ok()?,
                host_port,
                host_ip: port.host_ip.as_deref().and_then(|ip| ip.parse().ok()),
            })
        })
        .collect();
    let sysctls = spec.security_context.as_ref().and_then(|s| s.sysctls.as_ref());
    PodSandboxConfig {
        metadata: PodSandboxMetadata {
            name: name(pod).to_owned(),
            uid: uid(pod).to_owned(),
            namespace: namespace(pod).to_owned(),
            attempt,
        },
        hostname: hostname(pod),
        log_directory,
        dns_config: Some(dns(pod, cluster_dns)),
        port_mappings: if spec.host_network == Some(true) { Vec::new() } else { port_mappings },
        labels: labels(pod),
        annotations: BTreeMap::new(),
        runtime_handler: String::new(),
        linux: LinuxPodSandboxConfig {
            qos_class: qos(pod),
            resources: LinuxContainerResources::default(),
            namespace_options: namespaces(spec),
            sysctls: sysctls.into_iter().flatten().map(|s| (s.name.clone(), s.value.clone())).collect(),
            shm_size_bytes: None,
        },
    }
}

/// What a container's configuration is made from, beside its spec.
#[derive(Debug)]
pub(crate) struct ContainerInputs<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) container: &'a Container,
    pub(crate) attempt: u32,
    pub(crate) image: &'a Image,
    /// Whose processes it is to see.
    pub(crate) target: Option<ContainerId>,
    pub(crate) envs: Vec<KeyValue>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) log_path: PathBuf,
    pub(crate) node_memory_bytes: i64,
}

/// The configuration of a container. `Err` says why it can't be run (`CreateContainerConfigError`).
pub(crate) fn container(inputs: ContainerInputs<'_>) -> Result<ContainerConfig, String> {
    let ContainerInputs { pod, container, attempt, image, target, envs, mounts, log_path, node_memory_bytes } = inputs;
    let known: BTreeMap<String, String> = envs.iter().map(|kv| (kv.key.clone(), kv.value.clone())).collect();
    let expand = |list: &Option<Vec<String>>| -> Vec<String> {
        list.iter().flatten().map(|text| crate::env::expand(text, &known)).collect()
    };
    let mut all_labels = labels(pod);
    all_labels.insert(CONTAINER_NAME.to_owned(), container.name.clone());
    Ok(ContainerConfig {
        metadata: ContainerMetadata { name: container.name.clone(), attempt },
        image: image.id.clone(),
        user_specified_image: container.image.clone().unwrap_or_default(),
        command: expand(&container.command),
        args: expand(&container.args),
        working_dir: container.working_dir.clone().filter(|d| !d.is_empty()).map(PathBuf::from),
        envs,
        mounts,
        devices: Vec::new(),
        labels: all_labels,
        annotations: BTreeMap::new(),
        log_path: Some(log_path),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        stop_signal: container.lifecycle.as_ref().and_then(|l| l.stop_signal.clone()),
        target,
        resources: resources(pod, container, node_memory_bytes),
        security_context: security(pod, container, image)?,
    })
}

/// CPU weight from a request in thousandths of a core.
fn shares(milli_cpu: i64) -> u64 {
    let shares = u64::try_from(milli_cpu).unwrap_or(0) * 1024 / 1000;
    shares.clamp(SHARES_MIN, SHARES_MAX)
}

/// The limits of a container.
pub(crate) fn resources(pod: &Pod, container: &Container, node_memory_bytes: i64) -> LinuxContainerResources {
    let of = container.resources.as_ref();
    let (limits, requests) = (of.and_then(|r| r.limits.as_ref()), of.and_then(|r| r.requests.as_ref()));
    let cpu_limit = amount(limits, "cpu").map(|q| q.milli_value()).filter(|n| *n > 0);
    let cpu_request = amount(requests, "cpu").map(|q| q.milli_value()).or(cpu_limit).unwrap_or(0);
    let memory_limit = amount(limits, "memory").map(|q| q.value()).filter(|n| *n > 0);
    let memory_request = amount(requests, "memory").map(|q| q.value()).unwrap_or(0);
    LinuxContainerResources {
        cpu_period_us: cpu_limit.map(|_| CPU_PERIOD_US),
        cpu_quota_us: cpu_limit.map(|milli| (milli * CPU_PERIOD_US as i64 / 1000).max(QUOTA_MIN_US)),
        cpu_shares: Some(shares(cpu_request)),
        memory_limit_bytes: memory_limit,
        oom_score_adj: Some(oom_score_adj(pod, memory_request, node_memory_bytes)),
        ..LinuxContainerResources::default()
    }
}

/// Whom the kernel kills first when memory is short (upstream: `pkg/kubelet/qos/policy.go`).
fn oom_score_adj(pod: &Pod, memory_request: i64, node_memory_bytes: i64) -> i32 {
    let critical = pod.spec.as_ref().and_then(|s| s.priority).is_some_and(|p| p >= 2_000_000_000);
    match qos(pod) {
        _ if critical => -997,
        QosClass::Guaranteed => -997,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => {
            let score = 1000 - 1000 * memory_request / node_memory_bytes.max(1);
            i32::try_from(score.clamp(3, 999)).unwrap_or(999)
        }
    }
}

fn security(pod: &Pod, container: &Container, image: &Image) -> Result<LinuxContainerSecurityContext, String> {
    let own = container.security_context.as_ref();
    let of_pod = pod.spec.as_ref().and_then(|s| s.security_context.as_ref());
    let id = |value: Option<i64>| value.and_then(|n| u32::try_from(n).ok());
    let run_as_user = id(own.and_then(|s| s.run_as_user).or_else(|| of_pod.and_then(|s| s.run_as_user)));
    let run_as_group = id(own.and_then(|s| s.run_as_group).or_else(|| of_pod.and_then(|s| s.run_as_group)));
    let non_root = own.and_then(|s| s.run_as_non_root).or_else(|| of_pod.and_then(|s| s.run_as_non_root));
    if non_root == Some(true) {
        let meta = &pod.metadata;
        let [name, namespace, uid] = [&meta.name, &meta.namespace, &meta.uid].map(|o| o.as_deref().unwrap_or_default());
        let whose = format!("(pod: \"{name}_{namespace}({uid})\", container: {})", container.name);
        let image_user = image.config.user.split(':').next().unwrap_or_default();
        match (run_as_user, image_user) {
            (Some(0), _) => {
                return Err(format!("container's runAsUser breaks non-root policy {whose}"));
            }
            (Some(_), _) => {}
            (None, "" | "0" | "root") => {
                return Err(format!("container has runAsNonRoot and image will run as root {whose}"));
            }
            (None, text) if text.parse::<u32>().is_err() => {
                return Err(format!(
                    "container has runAsNonRoot and image has non-numeric user ({text}), cannot verify user is non-root {whose}"
                ));
            }
            _ => {}
        }
    }
    let privileged = own.and_then(|s| s.privileged) == Some(true);
    let capabilities = own.and_then(|s| s.capabilities.as_ref());
    let list = |caps: Option<&Vec<String>>| caps.cloned().unwrap_or_default();
    let capabilities = Capabilities {
        add: list(capabilities.and_then(|c| c.add.as_ref())),
        drop: list(capabilities.and_then(|c| c.drop.as_ref())),
    };
    let seccomp =
        own.and_then(|s| s.seccomp_profile.as_ref()).or_else(|| of_pod.and_then(|s| s.seccomp_profile.as_ref()));
    let mut groups: Vec<u32> = of_pod
        .and_then(|s| s.supplemental_groups.as_ref())
        .into_iter()
        .flatten()
        .filter_map(|g| u32::try_from(*g).ok())
        .collect();
    groups.extend(id(of_pod.and_then(|s| s.fs_group)));
    let unmasked = own.and_then(|s| s.proc_mount.as_deref()) == Some("Unmasked");
    // Root gains nothing by it, and privileged containers may have everything anyway.
    let no_new_privs = own.and_then(|s| s.allow_privilege_escalation) == Some(false);
    Ok(LinuxContainerSecurityContext {
        capabilities,
        privileged,
        run_as_user,
        run_as_username: None,
        run_as_group,
        supplemental_groups: groups,
        supplemental_groups_policy: match of_pod.and_then(|s| s.supplemental_groups_policy.as_deref()) {
            Some("Strict") => SupplementalGroupsPolicy::Strict,
            _ => SupplementalGroupsPolicy::Merge,
        },
        readonly_rootfs: own.and_then(|s| s.read_only_root_filesystem) == Some(true),
        no_new_privs,
        masked_paths: unmasked.then(Vec::new),
        readonly_paths: unmasked.then(Vec::new),
        seccomp: if privileged { SeccompProfile::Unconfined } else { seccomp_profile(seccomp) },
    })
}

fn seccomp_profile(profile: Option<&SeccompSpec>) -> SeccompProfile {
    match profile.map(|p| (p.type_.as_str(), p.localhost_profile.as_deref())) {
        Some(("RuntimeDefault", _)) => SeccompProfile::RuntimeDefault,
        Some(("Localhost", Some(path))) => {
            SeccompProfile::Localhost(PathBuf::from("/var/lib/kubelet/seccomp").join(path))
        }
        _ => SeccompProfile::Unconfined,
    }
}

/// How a mount's later mounts travel.
pub(crate) fn propagation(word: Option<&str>) -> MountPropagation {
    match word {
        Some("HostToContainer") => MountPropagation::HostToContainer,
        Some("Bidirectional") => MountPropagation::Bidirectional,
        _ => MountPropagation::Private,
    }
}

/// Whether what is mounted below a mount is to be read-only too, as far as the mount may say so.
pub(crate) fn recursive_read_only(mount: &VolumeMount) -> Result<bool, String> {
    let mode = mount.recursive_read_only.as_deref().unwrap_or("Disabled");
    if mode == "Disabled" {
        return Ok(false);
    }
    let refuse =
        |why: String| Err(format!("volume {:?} requested recursive read-only mode, but it is {why}", mount.name));
    if mount.read_only != Some(true) {
        return refuse("not read-only".to_owned());
    }
    match mount.mount_propagation.as_deref() {
        None | Some("None") => Ok(true),
        Some(propagation) => refuse(format!("not compatible with propagation {propagation:?}")),
    }
}

/// The text of the Pod's `/etc/hosts` (upstream: `managedHostsFileContent`).
pub(crate) fn hosts_file(pod: &Pod, pod_ip: &str, cluster_domain: &str) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\nfe00::\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    let spec = pod.spec.as_ref();
    let host = hostname(pod);
    match spec.and_then(|s| s.subdomain.as_deref()).filter(|s| !s.is_empty()) {
        Some(subdomain) => {
            let full = format!("{host}.{subdomain}.{}.svc.{cluster_domain}", namespace(pod));
            text.push_str(&format!("{pod_ip}\t{full}\t{host}\n"));
        }
        None => text.push_str(&format!("{pod_ip}\t{host}\n")),
    }
    let aliases = spec.and_then(|s| s.host_aliases.as_ref());
    for (index, alias) in aliases.into_iter().flatten().enumerate() {
        if index == 0 {
            text.push_str("\n# Entries added by HostAliases.\n");
        }
        let names = alias.hostnames.iter().flatten().cloned().collect::<Vec<_>>().join("\t");
        text.push_str(&format!("{}\t{names}\n", alias.ip));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::recursive_read_only;

    #[test]
    fn what_lies_below_a_mount_is_read_only_if_it_says_so() {
        let of = |mount: Value| recursive_read_only(&serde_json::from_value(mount).expect("a mount"));
        let refused = |why: &str| Err(format!("volume \"v\" requested recursive read-only mode, but it is {why}"));
        for (mount, expected) in [
            (json!({"name": "v", "mountPath": "/v", "readOnly": true}), Ok(false)),
            (json!({"name": "v", "mountPath": "/v", "readOnly": true, "recursiveReadOnly": "IfPossible"}), Ok(true)),
            (json!({"name": "v", "mountPath": "/v", "recursiveReadOnly": "Enabled"}), refused("not read-only")),
            (
                json!({"name": "v", "mountPath": "/v", "readOnly": true, "recursiveReadOnly": "Enabled",
                       "mountPropagation": "HostToContainer"}),
                refused("not compatible with propagation \"HostToContainer\""),
            ),
        ] {
            assert_eq!(of(mount.clone()), expected, "{mount}");
        }
    }
}
