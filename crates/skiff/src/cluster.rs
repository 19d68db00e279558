//! A local cluster: where it is kept and which addresses it has. Chosen when it is first started, then kept.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use apiserver::ServiceCidr;
use serde::{Deserialize, Serialize};

use crate::host;

/// Where clusters are kept, unless `SKIFF_HOME` says otherwise.
const HOME: &str = "/var/lib/skiff";
/// Ports and networks are the machine's, whatever `SKIFF_HOME` is.
const START_LOCK: &str = "/run/skiff-start.lock";
/// The first port for an API server.
const API_PORT_FIRST: u16 = 6443;
/// Ports that are tried.
const API_PORTS: u16 = 100;
/// Addresses for Services of type LoadBalancer: the upper half of the node's link.
const LOAD_BALANCER_FIRST: u32 = 128;
/// How many.
const LOAD_BALANCER_COUNT: u32 = 120;

/// What is chosen once and kept in `cluster.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Version of this file; a newer one is refused.
    pub(crate) format: u32,
    /// The API server's port on 127.0.0.1.
    pub(crate) api_port: u16,
    /// The link between host and node, a /24: the host is .1, the node .2.
    pub(crate) link_network: Ipv4Addr,
}

/// The format that this version writes.
const FORMAT: u32 = 1;

/// A local cluster.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) profile: String,
    pub(crate) directory: PathBuf,
    pub(crate) settings: Settings,
}

/// Held while a cluster chooses its addresses and takes them, so that no two choose the same.
#[derive(Debug)]
pub(crate) struct Choosing {
    _lock: fs::File,
}

impl Choosing {
    /// Waits for other starts on this machine.
    pub(crate) fn begin() -> Result<Self> {
        let failed = || format!("failed to lock {START_LOCK}");
        loop {
            let lock = fs::File::create(START_LOCK).with_context(failed)?;
            // A lock of this process alone: what it forks does not hold it.
            rustix::fs::fcntl_lock(&lock, rustix::fs::FlockOperation::LockExclusive).with_context(failed)?;
            // Whoever had it may have removed the file, and the next one locks another.
            let held = lock.metadata().with_context(failed)?;
            if fs::metadata(START_LOCK).is_ok_and(|there| there.ino() == held.ino()) {
                return Ok(Self { _lock: lock });
            }
        }
    }

    /// Leaves no file behind.
    pub(crate) fn forget(self) -> Result<()> {
        fs::remove_file(START_LOCK).with_context(|| format!("failed to remove {START_LOCK}"))
    }
}

/// Where everything is kept.
pub(crate) fn home() -> PathBuf {
    std::env::var_os("SKIFF_HOME").map_or_else(|| PathBuf::from(HOME), PathBuf::from)
}

/// The machine's images, shared by all clusters.
pub(crate) fn images_directory(home: &Path) -> PathBuf {
    home.join("images")
}

impl Cluster {
    fn directory_of(profile: &str) -> Result<PathBuf> {
        let label = !profile.is_empty()
            && profile.len() <= 30
            && profile.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !profile.starts_with('-')
            && !profile.ends_with('-');
        if !label {
            bail!("{profile:?} is no name for a profile: use lower case letters, digits and '-', at most 30");
        }
        Ok(home().join("clusters").join(profile))
    }

    /// The cluster of `profile`, if it was ever started.
    pub(crate) fn find(profile: &str) -> Result<Option<Self>> {
        let directory = Self::directory_of(profile)?;
        Self::load(profile, directory)
    }

    /// The cluster in `directory`.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let profile = directory.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        Self::load(&profile, directory.to_owned())?
            .with_context(|| format!("there is no cluster in {}", directory.display()))
    }

    fn load(profile: &str, directory: PathBuf) -> Result<Option<Self>> {
        let path = directory.join("cluster.json");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
        };
        let settings: Settings = serde_json::from_str(&text).with_context(|| {
            format!("{} is damaged; delete the cluster with `skiff delete -p {profile}`", path.display())
        })?;
        if settings.format > FORMAT {
            bail!(
                "{} was written by a newer skiff (format {}, this one knows {FORMAT}); use that version",
                path.display(),
                settings.format
            );
        }
        Ok(Some(Self { profile: profile.to_owned(), directory, settings }))
    }

    /// The cluster of `profile`, with addresses chosen if it is new.
    pub(crate) fn find_or_create(profile: &str, api_port: Option<u16>) -> Result<Self> {
        if let Some(cluster) = Self::find(profile)? {
            if let Some(port) = api_port.filter(|port| *port != cluster.settings.api_port) {
                bail!(
                    "cluster {profile:?} has its API on port {}, not {port}; delete it first to choose another",
                    cluster.settings.api_port
                );
            }
            return Ok(cluster);
        }
        let directory = Self::directory_of(profile)?;
        if let Some(foreign) = fs::read_dir(&directory).into_iter().flatten().flatten().next() {
            bail!(
                "{} holds {:?} and no cluster.json, so it is not a cluster's; move it away, or choose another profile with -p",
                directory.display(),
                foreign.file_name()
            );
        }
        let others = all_settings();
        let api_port = match api_port {
            Some(port) => {
                check_port(port)?;
                port
            }
            None => free_port(&others).context("no port for the API server is free; name one with --api-port")?,
        };
        let link_network = free_network(profile, &others).context("no free network was found for the node's link")?;
        let settings = Settings { format: FORMAT, api_port, link_network };
        fs::create_dir_all(&directory).with_context(|| format!("failed to create {}", directory.display()))?;
        let path = directory.join("cluster.json");
        fs::write(&path, serde_json::to_vec_pretty(&settings)?)
            .with_context(|| format!("failed to write {}", path.display()))?;
        Ok(Self { profile: profile.to_owned(), directory, settings })
    }

    fn address(&self, host: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.settings.link_network) + host)
    }

    /// The host's address on the link.
    pub(crate) fn host_address(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// The node's address.
    pub(crate) fn node_address(&self) -> Ipv4Addr {
        self.address(2)
    }

    /// Where load balancers get their addresses.
    pub(crate) fn load_balancers(&self) -> controllers::Addresses {
        controllers::Addresses { first: self.address(LOAD_BALANCER_FIRST), count: LOAD_BALANCER_COUNT }
    }

    /// Where Pods get their addresses. It lies within the node's namespaces, so all clusters may have the same.
    pub(crate) fn pod_cidr(&self) -> &'static str {
        "10.244.0.0/24"
    }

    /// Where Services get their addresses.
    pub(crate) fn service_cidr(&self) -> ServiceCidr {
        ServiceCidr { base: Ipv4Addr::new(10, 96, 0, 0), prefix: 16 }
    }

    /// Where the API server listens on the host.
    pub(crate) fn api_address(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.settings.api_port)
    }

    /// Where it listens inside the node, for Pods.
    pub(crate) fn api_address_in_node(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.node_address()), 6443)
    }

    /// The cluster DNS' address among the Services.
    pub(crate) fn dns_address(&self) -> Ipv4Addr {
        self.service_cidr().address(10)
    }

    /// Where the cluster DNS listens in the node.
    pub(crate) fn dns_listener(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.node_address()), 53)
    }

    /// The node's name.
    pub(crate) fn node_name(&self) -> &str {
        &self.profile
    }

    /// The host's end of the link: at most 15 bytes, so long names are cut and told apart by a hash.
    pub(crate) fn link_name(&self) -> String {
        let plain = format!("sk-{}", self.profile);
        if plain.len() <= 15 {
            return plain;
        }
        let hash = self.profile.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        format!("sk-{:.6}{:06x}", self.profile, hash & 0x00ff_ffff)
    }

    pub(crate) fn pki_directory(&self) -> PathBuf {
        self.directory.join("pki")
    }

    pub(crate) fn node_directory(&self) -> PathBuf {
        self.directory.join("node")
    }

    /// Where the volumes of the class `standard` are.
    pub(crate) fn volumes_directory(&self) -> PathBuf {
        self.directory.join("volumes")
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.directory.join("skiff.log")
    }
}

fn check_port(port: u16) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) => Err(error).with_context(|| {
            format!("port {port} on 127.0.0.1 can't be used for the API server; choose another with --api-port")
        }),
    }
}

/// What all clusters of this machine have chosen, those that are stopped too.
fn all_settings() -> Vec<Settings> {
    let clusters = fs::read_dir(home().join("clusters")).into_iter().flatten().flatten();
    clusters
        .filter_map(|entry| serde_json::from_slice(&fs::read(entry.path().join("cluster.json")).ok()?).ok())
        .collect()
}

fn free_port(others: &[Settings]) -> Option<u16> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    (API_PORT_FIRST..API_PORT_FIRST + API_PORTS)
        .filter(|port| others.iter().all(|other| other.api_port != *port))
        .find(free)
}

/// A /24 that no route of the host touches and no other cluster has, beginning at a place that the profile's name gives.
fn free_network(profile: &str, others: &[Settings]) -> Option<Ipv4Addr> {
    let routes = host::routes();
    let start = profile.bytes().fold(0_u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b))) % 256;
    let candidates = (0..256).map(|n| Ipv4Addr::new(10, 88, u8::try_from((start + n) % 256).unwrap_or(0), 0));
    let touches = |candidate: Ipv4Addr, (network, mask): &(Ipv4Addr, Ipv4Addr)| {
        let narrow = u32::from(*mask) & 0xffff_ff00;
        u32::from(candidate) & narrow == u32::from(*network) & narrow
    };
    candidates
        .filter(|candidate| others.iter().all(|other| other.link_network != *candidate))
        .find(|candidate| !routes.iter().any(|route| touches(*candidate, route)))
}
