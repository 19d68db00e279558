//! Switching a connection from HTTP to a protocol of streams: WebSocket (RFC 6455) or SPDY/3.1, which clients of Kubernetes
//! up to 1.29 speak (upstream: `k8s.io/streaming/pkg/httpstream`).

use apimachinery::{ApiError, Reason};
use base64::Engine as _;
use component_base::Shutdown;
use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::body::{Body, whole};

/// What RFC 6455 appends to the client's key.
const ACCEPT_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The name of SPDY in an upgrade.
const SPDY: &str = "SPDY/3.1";
/// Where clients of SPDY name the protocols that they speak over it.
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// The most bytes that a session says at once.
pub(crate) const CHUNK: usize = 32 << 10;

/// What a connection is switched to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    Spdy,
}

/// The protocols that are served over each transport, the best first.
pub(crate) struct Served {
    pub(crate) web_socket: &'static [&'static str],
    pub(crate) spdy: &'static [&'static str],
}

/// A request that asks for a switch, checked.
pub(crate) struct Upgrade {
    on_upgrade: OnUpgrade,
    headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) transport: Transport,
    /// The best of the protocols that both sides speak.
    pub(crate) protocol: &'static str,
}

impl Upgrade {
    /// Checks that `request` asks for a transport, with a protocol that is served.
    pub(crate) fn accept(mut request: Request<Incoming>, served: &Served) -> Result<Self, ApiError> {
        let headers = request.headers();
        let wanted = text(headers, &UPGRADE);
        let (transport, protocol, answer) = if wanted.eq_ignore_ascii_case("websocket") {
            let protocol = negotiate(headers, &SEC_WEBSOCKET_PROTOCOL, served.web_socket)?;
            (Transport::WebSocket, protocol, vec![(SEC_WEBSOCKET_ACCEPT, accept_key(headers)?)])
        } else if wanted.eq_ignore_ascii_case(SPDY) {
            (Transport::Spdy, negotiate(headers, &STREAM_PROTOCOL, served.spdy)?, Vec::new())
        } else {
            return Err(ApiError::bad_request("Upgrade request required"));
        };
        let (name, upgrade) = match transport {
            Transport::WebSocket => (SEC_WEBSOCKET_PROTOCOL, "websocket"),
            Transport::Spdy => (STREAM_PROTOCOL, SPDY),
        };
        let mut headers = vec![
            (CONNECTION, HeaderValue::from_static("Upgrade")),
            (UPGRADE, HeaderValue::from_static(upgrade)),
            (name, HeaderValue::from_static(protocol)),
        ];
        headers.extend(answer);
        Ok(Self { on_upgrade: hyper::upgrade::on(&mut request), headers, transport, protocol })
    }

    /// Answers the request with the switch, and then gives the connection to `session` until that or the server ends.
    #[allow(clippy::disallowed_methods, reason = "a session lives and ends with its connection, which is supervised")]
    pub(crate) fn switch<F>(
        self,
        shutdown: Shutdown,
        session: impl FnOnce(Upgraded) -> F + Send + 'static,
    ) -> Response<Body>
    where
        F: Future<Output = ()> + Send,
    {
        let Self { on_upgrade, headers, .. } = self;
        tokio::spawn(async move {
            let connection = match on_upgrade.await {
                Ok(connection) => connection,
                Err(error) => return tracing::debug!(error = %error, "the client did not switch protocols"),
            };
            tokio::select! {
                () = session(connection) => {}
                () = shutdown.requested() => {}
            }
        });
        let mut response = Response::new(whole(""));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().extend(headers);
        response
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The first of the served protocols that the client offers.
fn negotiate(
    headers: &HeaderMap,
    name: &HeaderName,
    served: &'static [&'static str],
) -> Result<&'static str, ApiError> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let offered: Vec<&str> =
        values.flat_map(|value| value.split(',').map(str::trim)).filter(|p| !p.is_empty()).collect();
    if offered.is_empty() {
        return Err(ApiError::bad_request(format!("unable to upgrade: header {name} does not exist in request")));
    }
    served.iter().find(|protocol| offered.contains(protocol)).copied().ok_or_else(|| {
        let message = format!(
            "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]",
            offered.join(" "),
            served.join(" ")
        );
        ApiError::new(Reason::Forbidden, 403, message)
    })
}

fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, ApiError> {
    let key = text(headers, &SEC_WEBSOCKET_KEY);
    if key.is_empty() {
        return Err(ApiError::bad_request("the WebSocket handshake has no Sec-WebSocket-Key"));
    }
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{ACCEPT_SUFFIX}").as_bytes());
    let accept = base64::prelude::BASE64_STANDARD.encode(hash);
    HeaderValue::from_str(&accept).map_err(ApiError::internal)
}
