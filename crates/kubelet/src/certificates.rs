//! Certificates of Pods: a key that never leaves the node, a PodCertificateRequest for it, what a signer made of that, and a
//! new one before the old one ends (upstream: `pkg/kubelet/podcertificate`). What is decided here is pure.
//!
//! Absent: keys of the types RSA3072, RSA4096 and ECDSAP521, which `ring` does not make.

mod issue;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use api::resources::PODCERTIFICATEREQUESTS;
use client::{Informer, Informers};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use registry::pem;
use serde_json::Value;

use crate::news::PodNews;

/// How long after it should have been renewed a certificate is overdue.
const OVERDUE_AFTER: SignedDuration = SignedDuration::from_secs(600);

/// A request that was made, and the key that is with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) name: String,
    /// PEM.
    pub(crate) key: String,
}

/// A key and its certificates, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) key: String,
    pub(crate) chain: String,
    begin_refresh_at: Timestamp,
    not_after: Timestamp,
    told_overdue: bool,
    told_expired: bool,
}

/// How far one source of a volume is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing was asked for.
    #[default]
    New,
    /// A request is being made. What there was before is still good.
    Asking(Option<Issued>),
    /// A request waits for its signer.
    Waiting(Request, Option<Issued>),
    /// There is a certificate.
    Issued(Issued),
    /// The signer does not want: that is the end.
    Refused { denied: bool, reason: String, message: String },
}

/// What has become of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// Somebody has deleted it.
    Gone,
    Pending,
    Refused {
        denied: bool,
        reason: String,
        message: String,
    },
    Issued {
        chain: String,
        begin_refresh_at: Timestamp,
        not_after: Timestamp,
    },
}

/// What to say and do after a step.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Events: reason and message.
    pub(crate) told: Vec<(&'static str, String)>,
    /// Whether to make a new request.
    pub(crate) ask: bool,
}

fn seen(request: Option<&Value>) -> Seen {
    let Some(request) = request else { return Seen::Gone };
    let status = &request["status"];
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let time = |key: &str| status[key].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    for condition in status["conditions"].as_array().into_iter().flatten() {
        let (reason, message) = (text(condition, "reason"), text(condition, "message"));
        match condition["type"].as_str() {
            Some("Denied") => return Seen::Refused { denied: true, reason, message },
            Some("Failed") => return Seen::Refused { denied: false, reason, message },
            Some("Issued") => {
                let blocks = pem::blocks(status["certificateChain"].as_str().unwrap_or_default());
                // What stands between the blocks is left out.
                let chain = blocks.iter().map(|block| pem::encode(pem::CERTIFICATE, &block.bytes)).collect();
                if let (Some(begin_refresh_at), Some(not_after)) = (time("beginRefreshAt"), time("notAfter")) {
                    return Seen::Issued { chain, begin_refresh_at, not_after };
                }
            }
            _ => {}
        }
    }
    Seen::Pending
}

impl State {
    /// The request that waits.
    pub(crate) fn request(&self) -> Option<&str> {
        match self {
            Self::Waiting(request, _) => Some(&request.name),
            _ => None,
        }
    }

    /// One step on, given the request that waits as the server has it. `jitter` keeps Pods from renewing all at once.
    pub(crate) fn step(self, request: Option<&Value>, now: Timestamp, jitter: SignedDuration) -> (Self, Step) {
        let mut step = Step::default();
        let next = match self {
            Self::New => {
                step.ask = true;
                Self::Asking(None)
            }
            Self::Waiting(waiting, before) => match seen(request) {
                Seen::Pending => Self::Waiting(waiting, before.map(|issued| issued.remind(now, &mut step))),
                Seen::Gone => {
                    step.ask = true;
                    Self::Asking(before)
                }
                Seen::Refused { denied, reason, message } => {
                    let (kind, verb) = if denied { ("Denied", "was denied") } else { ("Failed", "failed") };
                    let namespace = request.and_then(|r| r["metadata"]["namespace"].as_str()).unwrap_or_default();
                    let text = format!(
                        "PodCertificateRequest {namespace}/{} {verb}, reason={reason:?}, message={message:?}",
                        waiting.name
                    );
                    step.told.push((kind, text));
                    Self::Refused { denied, reason, message }
                }
                Seen::Issued { chain, begin_refresh_at, not_after } => Self::Issued(Issued {
                    key: waiting.key,
                    chain,
                    begin_refresh_at: begin_refresh_at.checked_add(jitter).unwrap_or(begin_refresh_at),
                    not_after,
                    told_overdue: false,
                    told_expired: false,
                }),
            },
            Self::Issued(issued) if now >= issued.begin_refresh_at => {
                step.ask = true;
                Self::Asking(Some(issued.remind(now, &mut step)))
            }
            other => other,
        };
        (next, step)
    }

    /// The request was made, or could not be.
    pub(crate) fn asked(self, request: Option<Request>) -> Self {
        match (self, request) {
            (Self::Asking(before), Some(request)) => Self::Waiting(request, before),
            (Self::Asking(Some(issued)), None) => Self::Issued(issued),
            (Self::Asking(None), None) => Self::New,
            (other, _) => other,
        }
    }

    /// What the volume shows.
    pub(crate) fn bundle(&self) -> Result<(&str, &str), String> {
        match self {
            Self::Asking(Some(issued)) | Self::Waiting(_, Some(issued)) | Self::Issued(issued) => {
                Ok((&issued.key, &issued.chain))
            }
            Self::New | Self::Asking(None) | Self::Waiting(_, None) => {
                Err("credential bundle is not issued yet".to_owned())
            }
            Self::Refused { denied, reason, message } => {
                let word = if *denied { "denied" } else { "failed" };
                Err(format!("PodCertificateRequest was permanently {word}: reason={reason:?} message={message:?}"))
            }
        }
    }
}

impl Issued {
    /// Says once that the certificate is overdue, and once that it has expired.
    fn remind(mut self, now: Timestamp, step: &mut Step) -> Self {
        let overdue_at = self.begin_refresh_at.checked_add(OVERDUE_AFTER).unwrap_or(self.begin_refresh_at);
        if now > overdue_at && !self.told_overdue {
            self.told_overdue = true;
            step.told.push(("CertificateOverdueForRefresh", "PodCertificate refresh overdue".to_owned()));
        }
        if now > self.not_after && !self.told_expired {
            self.told_expired = true;
            step.told.push(("CertificateExpired", "PodCertificate expired".to_owned()));
        }
        self
    }
}

/// One Pod's certificates, by volume and place in it. Who writes and reads: the work on the Pod's volumes.
pub(crate) type Credentials = Arc<Mutex<BTreeMap<(String, usize), State>>>;

/// The requests of the node's Pods. Who writes: nobody; who reads: the work on volumes.
#[derive(Debug)]
pub(crate) struct PodCertificates {
    informers: Informers,
    node: String,
    /// Started by the first Pod that has a certificate.
    requests: OnceLock<Informer>,
    news: PodNews,
}

impl PodCertificates {
    pub(crate) fn new(informers: Informers, node: &str, news: PodNews) -> Self {
        Self { informers, node: node.to_owned(), requests: OnceLock::new(), news }
    }

    fn requests(&self) -> &Informer {
        self.requests.get_or_init(|| {
            let requests = self.informers.selected(PODCERTIFICATEREQUESTS, &format!("spec.nodeName={}", self.node));
            let news = self.news.clone();
            requests.on_change(move |change| {
                news.tell(change.object().value()["spec"]["podUID"].as_str().unwrap_or_default());
            });
            requests
        })
    }
}

#[cfg(test)]
mod tests;
