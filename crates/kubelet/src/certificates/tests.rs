use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Request, State, Step};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn step(state: State, request: Option<&Value>, now: i64) -> (State, Step) {
    state.step(request, at(now), SignedDuration::from_secs(7))
}

fn request(name: &str) -> Request {
    Request { name: name.to_owned(), key: format!("key of {name}") }
}

fn with(condition: &str) -> Value {
    let chain = "leaf\n-----BEGIN CERTIFICATE-----\nAQI=\n-----END CERTIFICATE-----\nend";
    json!({"metadata": {"namespace": "dev"}, "status": {
        "certificateChain": chain, "beginRefreshAt": at(1000), "notAfter": at(5000),
        "conditions": [{"type": condition, "reason": "Why", "message": "because"}],
    }})
}

const CHAIN: &str = "-----BEGIN CERTIFICATE-----\nAQI=\n-----END CERTIFICATE-----\n";

fn issued() -> State {
    step(State::Waiting(request("a"), None), Some(&with("Issued")), 0).0
}

#[test]
fn a_certificate_is_asked_for_and_waited_for() {
    let (asking, said) = step(State::New, None, 0);
    assert!(said.ask);
    assert!(!step(asking.clone(), None, 0).1.ask, "it is asked for already");
    assert_eq!(asking.clone().asked(None), State::New, "that failed: again from the start");
    let waiting = asking.asked(Some(request("a")));
    assert_eq!(waiting.request(), Some("a"));
    let (waiting, said) = step(waiting, Some(&json!({})), 0);
    assert_eq!(said, Step::default());
    assert_eq!(waiting.bundle(), Err("credential bundle is not issued yet".to_owned()));
    assert!(step(waiting.clone(), None, 0).1.ask, "somebody has deleted the request");
    let (issued, said) = step(waiting, Some(&with("Issued")), 0);
    assert_eq!(said, Step::default());
    assert_eq!(issued.bundle(), Ok(("key of a", CHAIN)));
}

#[test]
fn it_is_renewed_in_time_and_the_old_one_shown_until_then() {
    assert_eq!(step(issued(), None, 1006).1, Step::default());
    let (asking, said) = step(issued(), None, 1007);
    assert_eq!(said, Step { ask: true, told: vec![] });
    assert_eq!(asking.bundle(), Ok(("key of a", CHAIN)));
    assert_eq!(asking.clone().asked(None), issued(), "that failed: what there is stays");
    let waiting = asking.asked(Some(request("b")));
    let (waiting, said) = step(waiting, Some(&json!({})), 1700);
    assert_eq!(said.told, [("CertificateOverdueForRefresh", "PodCertificate refresh overdue".to_owned())]);
    let (waiting, said) = step(waiting, Some(&json!({})), 5001);
    assert_eq!(said.told, [("CertificateExpired", "PodCertificate expired".to_owned())]);
    assert_eq!(waiting.bundle(), Ok(("key of a", CHAIN)));
    assert_eq!(step(waiting.clone(), Some(&json!({})), 5002).1, Step::default(), "it is said once");
    assert_eq!(step(waiting, Some(&with("Issued")), 5003).0.bundle(), Ok(("key of b", CHAIN)));
}

#[test]
fn a_refusal_is_for_good() {
    for (condition, verb, word) in [("Denied", "was denied", "denied"), ("Failed", "failed", "failed")] {
        let (refused, said) = step(State::Waiting(request("a"), None), Some(&with(condition)), 0);
        let text = format!("PodCertificateRequest dev/a {verb}, reason=\"Why\", message=\"because\"");
        assert_eq!(said.told, [(condition, text)]);
        let error = format!("PodCertificateRequest was permanently {word}: reason=\"Why\" message=\"because\"");
        assert_eq!(refused.bundle(), Err(error));
        assert_eq!(step(refused.clone(), None, 9999), (refused, Step::default()));
    }
}
