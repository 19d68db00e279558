//! Names to addresses. A static executable has no resolver of the system's: `/etc/hosts` and the name servers of
//! `/etc/resolv.conf` are asked here, as far as the names of API servers need it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use apimachinery::gotext::io_error;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const DNS_PORT: u16 = 53;
/// Name servers that are asked; the C library's limit.
const SERVERS_MAX: usize = 3;
/// How long a server may take, and how often all are asked: `resolv.conf(5)`'s defaults.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPTS: usize = 2;
/// Without EDNS no answer is larger. An answer that is cut still holds addresses.
const DATAGRAM_BYTES_MAX: usize = 512;

/// The addresses of a host, or the reason in Go's words.
pub(super) async fn addresses(host: &str) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    // A missing file is an empty one, as for the system's resolver.
    let found = in_hosts(&tokio::fs::read_to_string("/etc/hosts").await.unwrap_or_default(), host);
    if !found.is_empty() {
        return Ok(found);
    }
    let resolv_conf = tokio::fs::read_to_string("/etc/resolv.conf").await.unwrap_or_default();
    let (servers, names) = plan(&resolv_conf, host);
    let mut failure = None;
    for name in names {
        let Ok(name) = Name::from_ascii(&name) else { continue };
        let (v4, v6) = tokio::join!(ask(&servers, &name, RecordType::A), ask(&servers, &name, RecordType::AAAA));
        let mut addresses = Vec::new();
        for answer in [v4, v6] {
            match answer {
                Ok(found) => addresses.extend(found),
                Err(reason) => failure = Some(reason),
            }
        }
        if !addresses.is_empty() {
            return Ok(addresses);
        }
    }
    Err(format!("lookup {host}{}", failure.unwrap_or_else(|| format!(" on {}: no such host", servers[0]))))
}

/// What the hosts file says; `localhost` needs no file.
pub(super) fn in_hosts(hosts: &str, host: &str) -> Vec<IpAddr> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let mut found = Vec::new();
    for line in hosts.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(&host)) {
            found.push(address);
        }
    }
    if found.is_empty() && (host == "localhost" || host.ends_with(".localhost")) {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    found
}

/// Whom to ask, and for which full names in turn.
pub(super) fn plan(resolv_conf: &str, host: &str) -> (Vec<SocketAddr>, Vec<String>) {
    let (mut servers, mut search, mut ndots) = (Vec::new(), Vec::new(), 1);
    for line in resolv_conf.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                servers.extend(address.map(|address| SocketAddr::new(address, DNS_PORT)));
            }
            Some("search" | "domain") => search = words.map(str::to_owned).collect(),
            Some("options") => {
                let number = |option: &str| option.strip_prefix("ndots:").and_then(|n| n.parse::<usize>().ok());
                ndots = words.find_map(number).unwrap_or(ndots);
            }
            _ => {}
        }
    }
    servers.truncate(SERVERS_MAX);
    if servers.is_empty() {
        servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, DNS_PORT)));
    }
    if host.ends_with('.') {
        return (servers, vec![host.to_owned()]);
    }
    let searched = search.iter().map(|domain: &String| format!("{host}.{}.", domain.trim_end_matches('.')));
    let absolute = std::iter::once(format!("{host}."));
    let names = if host.matches('.').count() >= ndots {
        absolute.chain(searched).collect()
    } else {
        searched.chain(absolute).collect()
    };
    (servers, names)
}

/// Asks the servers in turn until one answers. That there is no such name is an answer, too.
async fn ask(servers: &[SocketAddr], name: &Name, kind: RecordType) -> Result<Vec<IpAddr>, String> {
    let mut failure = String::new();
    for _ in 0..ATTEMPTS {
        for server in servers {
            match timeout(ANSWER_TIMEOUT, exchange(*server, name, kind)).await {
                Ok(Ok(answer)) => match answer.metadata.response_code {
                    ResponseCode::NoError | ResponseCode::NXDomain => return Ok(answered(&answer)),
                    _ => failure = format!(" on {server}: server misbehaving"),
                },
                Ok(Err(error)) => failure = format!(" on {server}: {}", io_error(&error)),
                Err(_) => failure = format!(" on {server}: i/o timeout"),
            }
        }
    }
    Err(failure)
}

fn answered(answer: &Message) -> Vec<IpAddr> {
    let address = |data: &RData| match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    };
    answer.answers.iter().filter_map(|record| address(&record.data)).collect()
}

async fn exchange(server: SocketAddr, name: &Name, kind: RecordType) -> std::io::Result<Message> {
    let mut request = Message::query();
    request.metadata.recursion_desired = true;
    request.add_query(Query::query(name.clone(), kind));
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(&request.to_vec().map_err(std::io::Error::other)?).await?;
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    loop {
        let count = socket.recv(&mut buffer).await?;
        // Anybody may send something: only the answer to this question counts.
        match Message::from_vec(&buffer[..count]) {
            Ok(answer) if answer.metadata.id == request.metadata.id && answer.queries == request.queries => {
                return Ok(answer);
            }
            _ => {}
        }
    }
}
