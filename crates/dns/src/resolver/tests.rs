use std::net::Ipv4Addr;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::{Protocol, encode};

fn big(addresses: u32, payload: Option<u16>) -> Message {
    let name = Name::from_ascii("db.default.svc.cluster.local.").expect("a name");
    let mut message = Message::query().into_response();
    message.add_query(Query::query(name.clone(), RecordType::A));
    for number in 0..addresses {
        message.add_answer(Record::from_rdata(name.clone(), 30, RData::A(A(Ipv4Addr::from(number)))));
    }
    if let Some(payload) = payload {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        message.set_edns(edns);
    }
    message
}

fn sent(message: Message, protocol: Protocol) -> (usize, Message) {
    let bytes = encode(message, protocol);
    (bytes.len(), Message::from_vec(&bytes).expect("a message"))
}

#[test]
fn a_datagram_holds_what_the_client_takes() {
    // 47 bytes of header and question, 16 for each address, 11 for EDNS.
    let cases =
        [(20, None, 20, false), (100, None, 29, true), (100, Some(1232), 73, true), (50, Some(1232), 50, false)];
    for (addresses, payload, kept, truncated) in cases {
        let (length, reply) = sent(big(addresses, payload), Protocol::Datagram);
        assert!(length <= usize::from(payload.unwrap_or(512)));
        assert_eq!((reply.answers.len(), reply.metadata.truncation), (kept, truncated), "{addresses} for {payload:?}");
        assert_eq!(reply.edns.is_some(), payload.is_some());
    }
}

#[test]
fn a_stream_holds_all() {
    let (_, reply) = sent(big(1000, None), Protocol::Stream);
    assert_eq!(reply.answers.len(), 1000);
    assert!(!reply.metadata.truncation);
}

#[test]
fn additional_records_go_first() {
    let mut message = big(20, None);
    message.additionals = big(20, None).answers;
    let (_, reply) = sent(message, Protocol::Datagram);
    assert_eq!((reply.answers.len(), reply.additionals.len(), reply.metadata.truncation), (20, 0, false));
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
}
