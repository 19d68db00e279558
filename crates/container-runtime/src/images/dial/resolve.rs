//! Names to addresses: `/etc/hosts`, then the name servers of `/etc/resolv.conf`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{Sockets, io_text};

const DNS_PORT: u16 = 53;
/// Name servers that are asked; the C library's limit.
const SERVERS_MAX: usize = 3;
/// Largest datagram; larger answers come over TCP.
const DATAGRAM_BYTES_MAX: u16 = 1232;

/// The file of names that need no server.
#[derive(Debug, Default)]
pub(super) struct Hosts(Vec<(IpAddr, Vec<String>)>);

impl Hosts {
    pub(super) fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            Some((address, words.map(str::to_ascii_lowercase).collect()))
        };
        Self(text.lines().filter_map(line).collect())
    }

    pub(super) fn find(&self, host: &str) -> Vec<IpAddr> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.0.iter().filter(|(_, names)| names.contains(&host)).map(|(address, _)| *address).collect()
    }
}

/// Whom to ask, and how.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ResolverConfig {
    pub(super) servers: Vec<SocketAddr>,
    pub(super) search: Vec<String>,
    pub(super) ndots: usize,
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
}

impl ResolverConfig {
    /// `resolv.conf(5)`, with its defaults and limits.
    pub(super) fn parse(text: &str) -> Self {
        let mut config =
            Self { servers: Vec::new(), search: Vec::new(), ndots: 1, timeout: Duration::from_secs(5), attempts: 2 };
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    config.servers.extend(address.map(|address| SocketAddr::new(address, DNS_PORT)));
                }
                Some("search" | "domain") => config.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    for option in words {
                        match option.split_once(':').map(|(name, value)| (name, value.parse::<u32>())) {
                            Some(("ndots", Ok(ndots))) => config.ndots = ndots.min(15) as usize,
                            Some(("timeout", Ok(timeout))) => {
                                config.timeout = Duration::from_secs(timeout.clamp(1, 30).into());
                            }
                            Some(("attempts", Ok(attempts))) => config.attempts = attempts.clamp(1, 5),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        config.servers.truncate(SERVERS_MAX);
        if config.servers.is_empty() {
            config.servers.push(SocketAddr::from(([127, 0, 0, 1], DNS_PORT)));
        }
        config
    }

    /// The full names to try, in order.
    fn candidates(&self, host: &str) -> Vec<String> {
        if host.ends_with('.') {
            return vec![host.to_owned()];
        }
        let absolute = format!("{host}.");
        let searched = self.search.iter().map(|domain| format!("{host}.{}.", domain.trim_end_matches('.')));
        if host.matches('.').count() >= self.ndots {
            std::iter::once(absolute).chain(searched).collect()
        } else {
            searched.chain([absolute]).collect()
        }
    }
}

/// The host's addresses, IPv4 first, or the reason in Go's words.
pub(super) async fn lookup(sockets: &dyn Sockets, config: &ResolverConfig, host: &str) -> Result<Vec<IpAddr>, String> {
    let mut unanswered = None;
    for candidate in config.candidates(host) {
        let Ok(name) = Name::from_ascii(&candidate) else { return Err(format!("lookup {host}: no such host")) };
        let (v4, v6) =
            tokio::join!(ask(sockets, config, &name, RecordType::A), ask(sockets, config, &name, RecordType::AAAA));
        let mut addresses = Vec::new();
        for answer in [v4, v6] {
            match answer {
                Ok(found) => addresses.extend(found),
                Err(reason) => unanswered = Some(reason),
            }
        }
        if !addresses.is_empty() {
            return Ok(addresses);
        }
    }
    Err(format!("lookup {host}{}", unanswered.unwrap_or_else(|| ": no such host".into())))
}

/// Asks the servers in turn until one answers. That there is no such name is an answer, too.
async fn ask(
    sockets: &dyn Sockets,
    config: &ResolverConfig,
    name: &Name,
    kind: RecordType,
) -> Result<Vec<IpAddr>, String> {
    let mut failure = String::new();
    for _ in 0..config.attempts {
        for server in &config.servers {
            match timeout(config.timeout, exchange(sockets, *server, name, kind)).await {
                Ok(Ok(answer)) => match answer.metadata.response_code {
                    ResponseCode::NoError | ResponseCode::NXDomain => return Ok(addresses(&answer)),
                    _ => failure = format!(" on {server}: server misbehaving"),
                },
                Ok(Err(error)) => failure = format!(" on {server}: {}", io_text(&error)),
                Err(_) => failure = format!(" on {server}: i/o timeout"),
            }
        }
    }
    Err(failure)
}

fn addresses(answer: &Message) -> Vec<IpAddr> {
    let address = |data: &RData| match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    };
    answer.answers.iter().filter_map(|record| address(&record.data)).collect()
}

async fn exchange(
    sockets: &dyn Sockets,
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
) -> std::io::Result<Message> {
    let mut request = Message::query();
    request.metadata.recursion_desired = true;
    request.add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(DATAGRAM_BYTES_MAX);
    request.edns = Some(edns);
    let bytes = request.to_vec().map_err(std::io::Error::other)?;
    let socket = sockets.datagram(server).await?;
    socket.send(&bytes).await?;
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX.into()];
    let answer = loop {
        let count = socket.recv(&mut buffer).await?;
        // Anybody may send something: only the answer to this question counts.
        match Message::from_vec(&buffer[..count]) {
            Ok(answer) if answers(&answer, &request) => break answer,
            _ => {}
        }
    };
    if !answer.metadata.truncation {
        return Ok(answer);
    }
    let mut stream = sockets.connect(server).await?;
    stream.write_u16(u16::try_from(bytes.len()).expect("a question is short")).await?;
    stream.write_all(&bytes).await?;
    let mut buffer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut buffer).await?;
    let answer = Message::from_vec(&buffer).map_err(std::io::Error::other)?;
    if answers(&answer, &request) { Ok(answer) } else { Err(std::io::Error::other("an answer to another question")) }
}

fn answers(answer: &Message, request: &Message) -> bool {
    answer.metadata.id == request.metadata.id && answer.queries == request.queries
}
