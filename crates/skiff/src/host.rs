//! What is read of the machine: its resources, its names, its routes, its resolver.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;

use cri::DnsConfig;
use kubelet::NodeFacts;

/// Pods that a node takes, as upstream's default.
const PODS_MAX: u32 = 110;

fn text(path: &str) -> String {
    fs::read_to_string(path).map(|t| t.trim().to_owned()).unwrap_or_default()
}

/// The node's resources and identity.
pub(crate) fn facts(machine_id: &str) -> NodeFacts {
    let memory_kib: i64 = text("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or(0);
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let disk = rustix::fs::statvfs("/var/lib").map_or(0, |s| s.f_blocks * s.f_frsize);
    let resources = BTreeMap::from([
        ("cpu".to_owned(), cpus.to_string()),
        ("memory".to_owned(), format!("{memory_kib}Ki")),
        ("pods".to_owned(), PODS_MAX.to_string()),
        ("ephemeral-storage".to_owned(), format!("{}Ki", disk / 1024)),
        ("hugepages-1Gi".to_owned(), "0".to_owned()),
        ("hugepages-2Mi".to_owned(), "0".to_owned()),
    ]);
    let release = text("/etc/os-release");
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
    NodeFacts {
        capacity: resources.clone(),
        allocatable: resources,
        memory_bytes: memory_kib * 1024,
        architecture: match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }
        .to_owned(),
        kernel_version: text("/proc/sys/kernel/osrelease"),
        os_image: pretty.trim_matches('"').to_owned(),
        machine_id: machine_id.to_owned(),
        boot_id: text("/proc/sys/kernel/random/boot_id"),
    }
}

/// How the machine resolves names.
pub(crate) fn resolver() -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text("/etc/resolv.conf").lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => config.servers.extend(words.next().map(str::to_owned)),
            Some("search") => config.searches = words.map(str::to_owned).collect(),
            Some("options") => config.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    config
}

/// The machine's IPv4 routes but the default one, as network and mask.
pub(crate) fn routes() -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let number = |field: &str| u32::from_str_radix(field, 16).ok().map(|n| Ipv4Addr::from(n.swap_bytes()));
    text("/proc/net/route")
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            Some((number(fields.get(1)?)?, number(fields.get(7)?)?))
        })
        .filter(|(_, mask)| !mask.is_unspecified())
        .collect()
}

/// Whether this process may make namespaces, links and mounts.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
