//! A host, a node and its Pods, each a network namespace that ends with the test.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use cni::plan::{Address, NodeLink};
use cni::rtnetlink::RouteSocket;
use proxy::NodeFacts;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

pub(crate) const HOST_IP: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub(crate) const NODE_IP: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
/// Where every Pod listens.
pub(crate) const POD_PORT: u16 = 8080;
/// Refused and answered connections are decided in microseconds; this is for a machine that is very busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) type Namespace = Arc<File>;

pub(crate) struct Pod {
    pub(crate) ip: Ipv4Addr,
    pub(crate) namespace: Namespace,
    pub(crate) listener: TcpListener,
}

pub(crate) struct World {
    pub(crate) host: Namespace,
    pub(crate) node: Namespace,
    pub(crate) pods: Vec<Pod>,
}

fn create() -> Namespace {
    #[allow(deprecated, reason = "NEWNET touches this thread only")]
    rustix::thread::unshare(UnshareFlags::NEWNET).expect("unshare needs root");
    Arc::new(File::open("/proc/thread-self/ns/net").expect("the thread's network namespace"))
}

pub(crate) fn enter(namespace: &Namespace) {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
}

fn loopback_up(socket: &mut RouteSocket) {
    let loopback = socket.link("lo").expect("lo").index;
    socket.set_up(loopback).expect("lo up");
}

impl World {
    /// A host, a node and `pods` Pods with addresses 10.244.0.11 and following. The thread is then in the node.
    pub(crate) fn new(pods: u8) -> Self {
        let host = create();
        let mut host_socket = RouteSocket::open().expect("socket");
        loopback_up(&mut host_socket);
        let node = create();
        let mut node_socket = RouteSocket::open().expect("socket");
        let link = NodeLink {
            host_name: "node0".into(),
            bridge: None,
            host_addresses: vec![Address { ip: HOST_IP.into(), prefix: 24 }],
            node_addresses: vec![Address { ip: NODE_IP.into(), prefix: 24 }],
            mtu: None,
        };
        // Without a default route: that is the harder case for cluster IPs.
        let mut veth = cni::plan::node(&link);
        veth.inner.routes.clear();
        host_socket.create(&mut node_socket, node.as_fd(), &veth).expect("node link");
        node_socket.wait_until_operational("eth0", PATIENCE).expect("operational");
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("forwarding");
        let pods = (0..pods).map(|n| pod(&node, &mut node_socket, 11 + n)).collect();
        enter(&node);
        Self { host, node, pods }
    }

    pub(crate) fn facts() -> NodeFacts {
        NodeFacts {
            node_name: "here".into(),
            node_ip: NODE_IP,
            pod_cidr: "10.244.0.0/24".parse().expect("range"),
            service_cidr: "10.96.0.0/16".parse().expect("range"),
            zone: String::new(),
        }
    }

    /// Connects from a namespace; gives the number of the Pod that answered, and whom it saw.
    pub(crate) fn reach(&self, from: &Namespace, to: (Ipv4Addr, u16)) -> io::Result<(usize, IpAddr)> {
        let _client = connect(from, to)?;
        let mut polled: Vec<PollFd<'_>> =
            self.pods.iter().map(|pod| PollFd::new(&pod.listener, PollFlags::IN)).collect();
        let patience = Timespec::try_from(PATIENCE).expect("fits");
        poll(&mut polled, Some(&patience)).expect("poll");
        let answered = polled.iter().position(|fd| fd.revents().contains(PollFlags::IN)).expect("a Pod got it");
        let (_, peer) = self.pods[answered].listener.accept().expect("accept");
        Ok((answered, peer.ip()))
    }

    /// Whether a connection is refused, rather than left without an answer.
    pub(crate) fn is_refused(&self, from: &Namespace, to: (Ipv4Addr, u16)) -> bool {
        matches!(connect(from, to), Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

fn pod(node: &Namespace, node_socket: &mut RouteSocket, last: u8) -> Pod {
    let namespace = create();
    let mut inner = RouteSocket::open().expect("socket");
    let ip = Ipv4Addr::new(10, 244, 0, last);
    let veth = cni::plan::pod(&format!("sandbox{last}"), &[ip.into()], &[NODE_IP.into()], None);
    enter(node);
    node_socket.create(&mut inner, namespace.as_fd(), &veth).expect("pod link");
    enter(&namespace);
    inner.wait_until_operational("eth0", PATIENCE).expect("operational");
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, POD_PORT)).expect("bind");
    Pod { ip, namespace, listener }
}

/// Runs `work` on a thread in a namespace.
pub(crate) fn inside<T: Send>(namespace: &Namespace, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(namespace);
            work()
        });
        thread.join().expect("the thread does not panic")
    })
}

pub(crate) fn connect(from: &Namespace, to: (Ipv4Addr, u16)) -> io::Result<TcpStream> {
    inside(from, || TcpStream::connect_timeout(&SocketAddr::from(to), PATIENCE))
}
