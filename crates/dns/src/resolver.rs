//! From message to message: what can be said at once is, the rest is asked of others.

use std::sync::Arc;

use component_base::Clock;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::Name;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::answer::{Answer, Reply, Zone, answer};
use crate::cache::Cache;
use crate::forward::Forwarder;
use crate::view::ClusterView;

/// Queries that wait for others at once; one holds about 70 KB while it waits. `max_concurrent` of kubeadm's CoreDNS.
const FORWARDS_MAX: usize = 1000;
/// The datagram that every client takes (RFC 1035).
const DATAGRAM_MIN: u16 = 512;
/// The largest datagram that is sent: what fits into an unfragmented packet everywhere (DNS flag day 2020).
const DATAGRAM_MAX: u16 = 1232;

/// How a reply travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// In one datagram: it may have to be truncated.
    Datagram,
    /// Whole.
    Stream,
}

/// What is to be done about a query.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is no query; an answer could go around in circles.
    Ignore,
    /// The reply.
    Done(Message),
    /// Others must be asked.
    Ask(Box<Pending>),
}

/// A query on its way to others.
#[derive(Debug)]
pub(crate) struct Pending {
    /// The reply as far as it is known.
    reply: Message,
    /// What is asked.
    query: Query,
    /// Whether the reply already holds aliases that lead there.
    alias: bool,
    /// Holds one of the places.
    _place: OwnedSemaphorePermit,
}

/// Answers messages.
pub(crate) struct Resolver {
    zone: Zone,
    view: Arc<dyn ClusterView>,
    forwarder: Option<Arc<dyn Forwarder>>,
    clock: Arc<dyn Clock>,
    cache: Cache,
    places: Arc<Semaphore>,
}

impl Resolver {
    pub(crate) fn new(
        zone: Zone,
        view: Arc<dyn ClusterView>,
        forwarder: Option<Arc<dyn Forwarder>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(FORWARDS_MAX));
        Self { zone, view, forwarder, clock, cache: Cache::default(), places }
    }

    /// Answers at once, or says what must be asked of others.
    pub(crate) fn begin(&self, bytes: &[u8]) -> Step {
        let request = match Message::from_vec(bytes) {
            Ok(request) if request.metadata.message_type == MessageType::Response => return Step::Ignore,
            Ok(request) => request,
            Err(_) => return malformed(bytes),
        };
        let mut reply = Message::response(request.metadata.id, request.metadata.op_code);
        reply.metadata.recursion_desired = request.metadata.recursion_desired;
        reply.metadata.recursion_available = self.forwarder.is_some();
        reply.metadata.checking_disabled = request.metadata.checking_disabled;
        reply.queries.clone_from(&request.queries);
        if let Some(theirs) = &request.edns {
            let mut edns = Edns::new();
            // What the client takes, kept here until the reply is encoded.
            edns.set_max_payload(theirs.max_payload().clamp(DATAGRAM_MIN, DATAGRAM_MAX));
            reply.set_edns(edns);
            if theirs.version() > 0 {
                return done(reply, ResponseCode::BADVERS);
            }
        }
        if request.metadata.op_code != OpCode::Query {
            return done(reply, ResponseCode::NotImp);
        }
        let [query] = &request.queries[..] else { return done(reply, ResponseCode::FormErr) };
        let serial = u32::try_from(self.clock.now().as_second()).unwrap_or(u32::MAX);
        match answer(query, &self.zone, serial, &*self.view) {
            Answer::Here(records) => {
                fill(&mut reply, records);
                Step::Done(reply)
            }
            Answer::Alias { reply: records, target } => {
                fill(&mut reply, records);
                self.ask(reply, query, Some(target))
            }
            Answer::Elsewhere => self.ask(reply, query, None),
        }
    }

    fn ask(&self, mut reply: Message, query: &Query, target: Option<Name>) -> Step {
        let alias = target.is_some();
        let mut query = query.clone();
        if let Some(target) = target {
            query.set_name(target);
        }
        if let Some(known) = self.cache.get(&query) {
            merge(&mut reply, known, alias);
            return Step::Done(reply);
        }
        if self.forwarder.is_none() {
            // An alias alone is a full answer of a server that asks nobody.
            return if alias { Step::Done(reply) } else { done(reply, ResponseCode::Refused) };
        }
        match self.places.clone().try_acquire_owned() {
            Ok(place) => Step::Ask(Box::new(Pending { reply, query, alias, _place: place })),
            Err(_) => {
                tracing::warn!(limit = FORWARDS_MAX, "too many forwarded queries at once, one is refused");
                done(reply, ResponseCode::ServFail)
            }
        }
    }

    /// Asks others and completes the reply.
    pub(crate) async fn finish(&self, pending: Box<Pending>) -> Message {
        let Pending { mut reply, query, alias, _place } = *pending;
        match self.forward(&reply, &query).await {
            Some(answer) => {
                self.cache.put(&query, &answer);
                merge(&mut reply, answer, alias);
            }
            None if alias => {}
            None => reply.metadata.response_code = ResponseCode::ServFail,
        }
        reply
    }

    async fn forward(&self, reply: &Message, query: &Query) -> Option<Message> {
        let forwarder = self.forwarder.as_ref()?;
        let mut request = Message::new(reply.metadata.id, MessageType::Query, OpCode::Query);
        request.metadata.recursion_desired = true;
        request.metadata.checking_disabled = reply.metadata.checking_disabled;
        request.add_query(query.clone());
        let mut edns = Edns::new();
        edns.set_max_payload(DATAGRAM_MAX);
        request.set_edns(edns);
        let request = request.to_vec().ok()?;
        match forwarder.forward(&request).await {
            Ok(bytes) => match Message::from_vec(&bytes) {
                Ok(answer) => Some(answer),
                Err(error) => {
                    tracing::debug!(name = %query.name(), error = %error, "an upstream answer is malformed");
                    None
                }
            },
            Err(error) => {
                tracing::debug!(name = %query.name(), error = %error, "a query could not be forwarded");
                None
            }
        }
    }
}

fn done(mut reply: Message, code: ResponseCode) -> Step {
    reply.metadata.response_code = code;
    Step::Done(reply)
}

/// A reply to what can't be read, if at least its id can and it is no reply itself.
fn malformed(bytes: &[u8]) -> Step {
    match bytes {
        [a, b, flags, ..] if bytes.len() >= 12 && flags & 0x80 == 0 => {
            Step::Done(Message::error_msg(u16::from_be_bytes([*a, *b]), OpCode::Query, ResponseCode::FormErr))
        }
        _ => Step::Ignore,
    }
}

fn fill(reply: &mut Message, records: Reply) {
    reply.metadata.authoritative = true;
    reply.metadata.response_code = records.code;
    reply.answers = records.answers;
    reply.authorities = records.authorities;
    reply.additionals = records.additionals;
    // Clients take the first address: each gets another first one. Aliases stay in front.
    if let Some(first) = reply.answers.iter().position(|record| !record.record_type().is_cname()) {
        let rest = &mut reply.answers[first..];
        rest.rotate_left(usize::from(reply.metadata.id) % rest.len());
    }
}

fn merge(reply: &mut Message, answer: Message, alias: bool) {
    reply.metadata.response_code = answer.metadata.response_code;
    // Only what we know ourselves is said with authority.
    reply.metadata.authoritative &= alias;
    reply.answers.extend(answer.answers);
    reply.authorities = answer.authorities;
    reply.additionals = answer.additionals;
}

/// The reply in wire format. In a datagram it has at most as many answers as the client takes, and says so.
pub(crate) fn encode(mut reply: Message, protocol: Protocol) -> Vec<u8> {
    let limit = match protocol {
        Protocol::Stream => usize::from(u16::MAX),
        Protocol::Datagram => usize::from(reply.edns.as_ref().map_or(DATAGRAM_MIN, Edns::max_payload)),
    };
    if let Some(edns) = &mut reply.edns {
        // What we take.
        edns.set_max_payload(DATAGRAM_MAX);
    }
    let bytes = wire(&reply);
    if bytes.len() <= limit {
        return bytes;
    }
    // Additional records are a courtesy; leaving them out is no truncation.
    reply.additionals.clear();
    let answers = std::mem::take(&mut reply.answers);
    // The largest number of answers that fits, by halving.
    let (mut fits, mut too_many) = (0, answers.len() + 1);
    while too_many - fits > 1 {
        let middle = fits.midpoint(too_many);
        reply.answers = answers[..middle].to_vec();
        if wire(&reply).len() <= limit {
            fits = middle;
        } else {
            too_many = middle;
        }
    }
    reply.metadata.truncation = fits < answers.len();
    reply.answers = answers[..fits].to_vec();
    if wire(&reply).len() > limit {
        reply = reply.truncate();
    }
    wire(&reply)
}

fn wire(reply: &Message) -> Vec<u8> {
    reply.to_vec().unwrap_or_else(|error| {
        tracing::warn!(error = %error, "a reply could not be encoded");
        let failed = Message::error_msg(reply.metadata.id, reply.metadata.op_code, ResponseCode::ServFail);
        failed.to_vec().unwrap_or_default()
    })
}

#[cfg(test)]
mod tests;
