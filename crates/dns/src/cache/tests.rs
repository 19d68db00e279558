use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::{Cache, ENTRIES_MAX};

fn query(name: &str) -> Query {
    Query::query(Name::from_ascii(name).expect("a name"), RecordType::A)
}

fn reply(ttl: u32) -> Message {
    let mut message = Message::new(1, MessageType::Response, OpCode::Query);
    let name = Name::from_ascii("example.com.").expect("a name");
    message.add_answer(Record::from_rdata(name, ttl, RData::A(A::new(192, 0, 2, 1))));
    message
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_as_long_as_it_allows() {
    let cache = Cache::default();
    cache.put(&query("example.com."), &reply(10));
    tokio::time::advance(Duration::from_secs(4)).await;
    let known = cache.get(&query("EXAMPLE.com.")).expect("it is still kept");
    assert_eq!(known.answers[0].ttl, 6);
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(cache.get(&query("example.com.")), None);
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_kept_longer_than_thirty_seconds() {
    let cache = Cache::default();
    cache.put(&query("example.com."), &reply(86_400));
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(cache.get(&query("example.com.")), None);
}

#[tokio::test(start_paused = true)]
async fn absence_is_kept_as_long_as_the_soa_says() {
    let cache = Cache::default();
    let name = Name::from_ascii("example.com.").expect("a name");
    let mut absent = Message::error_msg(1, OpCode::Query, ResponseCode::NXDomain);
    cache.put(&query("a.example.com."), &absent);
    assert_eq!(cache.get(&query("a.example.com.")), None, "without a SOA it is not kept");
    let soa = SOA::new(name.clone(), name.clone(), 1, 1, 1, 1, 5);
    absent.add_authority(Record::from_rdata(name, 600, RData::SOA(soa)));
    cache.put(&query("a.example.com."), &absent);
    tokio::time::advance(Duration::from_secs(4)).await;
    assert!(cache.get(&query("a.example.com.")).is_some());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(cache.get(&query("a.example.com.")), None);
}

#[tokio::test(start_paused = true)]
async fn failures_are_not_kept() {
    let cache = Cache::default();
    cache.put(&query("example.com."), &Message::error_msg(1, OpCode::Query, ResponseCode::ServFail));
    cache.put(&query("example.com."), &reply(0));
    assert_eq!(cache.get(&query("example.com.")), None);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_answers_make_room() {
    let cache = Cache::default();
    for number in 0..=ENTRIES_MAX {
        cache.put(&query(&format!("n{number}.example.com.")), &reply(30));
    }
    assert_eq!(cache.get(&query("n0.example.com.")), None);
    assert!(cache.get(&query("n1.example.com.")).is_some());
    assert_eq!(cache.inner.lock().entries.len(), ENTRIES_MAX);
}

#[tokio::test(start_paused = true)]
async fn one_name_asked_forever_takes_no_room() {
    let cache = Cache::default();
    for _ in 0..3 * ENTRIES_MAX {
        cache.put(&query("example.com."), &reply(30));
    }
    assert!(cache.inner.lock().order.len() <= 2 * ENTRIES_MAX);
    assert!(cache.get(&query("example.com.")).is_some());
}
