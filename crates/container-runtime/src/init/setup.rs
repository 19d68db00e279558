//! Making a node's namespaces, from the inside.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use cni::Cidr;
use cni::egress::{Masquerade, masquerade, permit};
use cni::nftables::NftSocket;
use cni::plan::{self, NodeLink};
use cni::rtnetlink::RouteSocket;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::serve::{Init, permit_comment};
use crate::cgroups::{Entrances, Hierarchies};
use crate::sys::process::unshare;

/// What the launcher, outside, has prepared.
#[derive(Debug)]
pub(crate) struct Isolation {
    /// Opened in the host's network namespace.
    pub(crate) host_route: RouteSocket,
    /// Opened in the host's network namespace.
    pub(crate) host_nft: NftSocket,
    /// The host's network namespace.
    pub(crate) host_namespace: OwnedFd,
    /// The ways into the node's cgroup.
    pub(crate) entrances: Entrances,
    pub(crate) hierarchies: Hierarchies,
    pub(crate) link: NodeLink,
    pub(crate) pod_cidrs: Vec<Cidr>,
}

fn step<T, E: Into<Box<dyn std::error::Error>>>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| {
        let error = error.into();
        let mut text = format!("{what}: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    })
}

/// Furnishes the namespaces that this process was cloned into.
pub(crate) fn isolate(init: &mut Init, mut isolation: Isolation) -> Result<(), String> {
    step("enter the node's cgroup", isolation.entrances.enter())?;
    step("create a cgroup namespace", unshare(UnshareFlags::NEWCGROUP))?;
    step("set the host name", rustix::system::sethostname(init.node.as_bytes()).map_err(io::Error::from))?;
    step("mount the node's file systems", mounts(&isolation.hierarchies))?;
    let own: OwnedFd = step("open the node's network namespace", fs::File::open("/proc/self/ns/net"))?.into();
    let mut inner = step("open a netlink socket", RouteSocket::open())?;
    let veth = plan::node(&isolation.link);
    step("set up the node's link", isolation.host_route.create(&mut inner, own.as_fd(), &veth))?;
    step("forward packets", fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?;
    if isolation.pod_cidrs.iter().any(|cidr| cidr.network().is_ipv6()) {
        step("forward packets", fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1"))?;
    }
    init.namespaces = Some((isolation.host_namespace, own));
    step("set up the host's link", write_host_sysctls(init, &veth.outer.sysctls))?;
    // Pods leave the node with its address, and the node leaves the host with the host's.
    let table = format!("skiff-{}", init.node);
    let single = |ip: std::net::IpAddr| Cidr::new(ip, if ip.is_ipv4() { 32 } else { 128 });
    let sources: Vec<Cidr> = isolation.link.node_addresses.iter().filter_map(|address| single(address.ip)).collect();
    let except =
        isolation.link.host_addresses.iter().filter_map(|address| Cidr::new(address.ip, address.prefix)).collect();
    init.ranges.clone_from(&sources);
    step("masquerade the node", isolation.host_nft.commit(masquerade(&Masquerade { table, sources, except })))?;
    step("let the node's packets pass", permit(&mut isolation.host_nft, &permit_comment(&init.node), &init.ranges))?;
    init.host_nft = Some(isolation.host_nft);
    let pods =
        Masquerade { table: "skiff-egress".into(), sources: isolation.pod_cidrs.clone(), except: isolation.pod_cidrs };
    let mut nft = step("open a netlink socket", NftSocket::open())?;
    step("masquerade pods", nft.commit(masquerade(&pods)))?;
    // The table goes with its socket, and the socket with us.
    init.node_nft = Some(nft);
    Ok(())
}

fn write_host_sysctls(init: &Init, sysctls: &[(String, String)]) -> io::Result<()> {
    let Some((host, own)) = &init.namespaces else { return Ok(()) };
    move_into_link_name_space(host.as_fd(), Some(LinkNameSpaceType::Network))?;
    let written = sysctls.iter().try_for_each(|(file, value)| fs::write(Path::new("/proc/sys/net").join(file), value));
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))?;
    written
}

/// What the host mounts shows up here, nothing of ours shows up there, and containers may share later mounts with us.
fn mounts(hierarchies: &Hierarchies) -> io::Result<()> {
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)?;
    let plain = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "/proc", "proc", plain, None)?;
    mount("sysfs", "/sys", "sysfs", plain, None)?;
    let top = Path::new("/sys/fs/cgroup");
    if !hierarchies.v1.is_empty() {
        mount("tmpfs", top, "tmpfs", plain, c"mode=755")?;
    }
    for v1 in &hierarchies.v1 {
        fs::create_dir_all(&v1.mount)?;
        // Exactly the host's sets: the kernel refuses others.
        let options: Vec<String> = v1
            .controllers
            .iter()
            .map(|name| if name.contains('=') { format!("none,{name}") } else { name.clone() })
            .collect();
        let options = std::ffi::CString::new(options.join(","))?;
        mount("cgroup", &v1.mount, "cgroup", plain, options.as_c_str())?;
    }
    if let Some(unified) = hierarchies.unified() {
        fs::create_dir_all(unified)?;
        mount("cgroup2", unified, "cgroup2", plain, None)?;
        if hierarchies.v2.as_ref().is_some_and(|(_, controllers)| !controllers.is_empty()) {
            // A v2 group that hands controllers down has no processes of its own.
            let own = unified.join("init");
            fs::create_dir_all(&own)?;
            fs::write(own.join("cgroup.procs"), "0")?;
        }
    }
    Ok(())
}
