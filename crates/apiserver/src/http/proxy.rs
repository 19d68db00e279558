//! The `proxy` subresource of Pods and Services: a request is passed on to a port in the cluster's network
//! (upstream: `apimachinery/pkg/util/proxy`, `ResourceLocation` in `pkg/registry/core/{pod,service}`).
//!
//! Links in HTML pages that begin with a slash are made to lead through the proxy again.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use api::resources::{ENDPOINTSLICES, PODS, SERVICES};
use apimachinery::{ApiError, Reader, gotext};
use client::TlsSettings;
use component_base::Shutdown;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, LOCATION, UPGRADE,
};
use http::{HeaderName, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::body::{Body, whole, with_body};
use super::request::ResourceRoute;
use crate::server::ApiServer;

/// Headers that are about one connection, not about the request (RFC 9110, 7.6.1).
const OF_THE_CONNECTION: [&str; 6] = ["keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "expect"];

/// Attributes of HTML that hold links.
const LINKS: [&str; 9] = ["action", "background", "cite", "data", "formaction", "href", "longdesc", "poster", "src"];
/// The largest page whose links are rewritten.
const PAGE_MAX: usize = 8 << 20;

/// `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`.
struct Destination<'a> {
    https: bool,
    name: &'a str,
    port: &'a str,
}

impl<'a> Destination<'a> {
    fn parse(text: &'a str, kind: &str) -> Result<Self, ApiError> {
        let invalid = || ApiError::bad_request(format!("invalid {kind} request {text:?}"));
        let parts: Vec<&str> = text.split(':').collect();
        let (scheme, name, port) = match parts[..] {
            [name] => ("", name, ""),
            [name, port] => ("", name, port),
            [scheme, name, port] => (scheme, name, port),
            _ => return Err(invalid()),
        };
        let https = match scheme {
            "" | "http" => false,
            "https" => true,
            _ => return Err(invalid()),
        };
        if name.is_empty() { Err(invalid()) } else { Ok(Self { https, name, port }) }
    }
}

/// Passes a request on.
pub(crate) async fn serve(
    server: &Arc<ApiServer>,
    route: &ResourceRoute,
    request: Request<Incoming>,
    shutdown: Shutdown,
) -> Result<Response<Body>, ApiError> {
    let (destination, address) = match route.resource.plural {
        "pods" => {
            let destination = Destination::parse(&route.name, "pod")?;
            let address = of_pod(server, &route.namespace, &destination)?;
            (destination, address)
        }
        _ => {
            let destination = Destination::parse(&route.name, "service")?;
            let address = of_service(server, &route.namespace, &destination)?;
            (destination, address)
        }
    };
    let path = request.uri().path();
    if route.rest.is_empty() && !path.ends_with('/') && matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(with_slash(request.uri()));
    }
    let prefix = own_part(path).to_owned();
    let stream = server
        .node_connector()?
        .dial(address)
        .await
        .map_err(|error| unreachable(&gotext::dial_error(address, &error)))?;
    let stream: Box<dyn cri::DuplexStream> = match destination.https {
        // As upstream: whoever may use the proxy trusts what is behind it.
        true => {
            let settings = TlsSettings { insecure_skip_verify: true, ..TlsSettings::default() };
            let secured = client::secure(stream, &settings, destination.name).await;
            Box::new(secured.map_err(|error| unreachable(&error))?)
        }
        false => stream,
    };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    spawn(shutdown.clone(), async move {
        let _ = connection.with_upgrades().await;
    });
    let (outgoing, switching) = forwarded(request, address, &prefix)?;
    let mut response = sender.send_request(outgoing).await.map_err(|error| unreachable(&error))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(client_side) = switching
    {
        let server_side = hyper::upgrade::on(&mut response);
        spawn(shutdown, join(client_side, server_side));
        let (parts, _) = response.into_parts();
        return Ok(Response::from_parts(parts, whole(bytes::Bytes::new())));
    }
    let (mut parts, body) = response.into_parts();
    strip(&mut parts.headers);
    let location = parts.headers.get(LOCATION).and_then(|l| l.to_str().ok()).filter(|l| l.starts_with('/'));
    if let Some(rewritten) = location.and_then(|l| HeaderValue::from_str(&format!("{prefix}{l}")).ok()) {
        parts.headers.insert(LOCATION, rewritten);
    }
    let is_page = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|ty| ty.to_str().ok())
        .is_some_and(|ty| ty.split(';').next().is_some_and(|ty| ty.trim() == "text/html"));
    if !is_page || parts.headers.contains_key(CONTENT_ENCODING) {
        return Ok(Response::from_parts(parts, body.map_err(std::io::Error::other).boxed()));
    }
    let page = Limited::new(body, PAGE_MAX).collect().await.map_err(|error| unreachable(&error))?.to_bytes();
    let page = with_links(&String::from_utf8_lossy(&page), &prefix);
    parts.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(parts, whole(page)))
}

/// A page with its links rewritten.
fn with_links(page: &str, prefix: &str) -> String {
    let mut out = String::with_capacity(page.len());
    let mut rest = page;
    while let Some(at) = rest.find(['"', '\'']) {
        let (before, quoted) = rest.split_at(at + 1);
        out.push_str(before);
        let attribute = before[..at].trim_end().strip_suffix('=').map(str::trim_end).unwrap_or_default();
        let is_link = LINKS.iter().any(|link| {
            let name = attribute.len().checked_sub(link.len()).and_then(|from| attribute.get(from..));
            name.is_some_and(|name| name.eq_ignore_ascii_case(link))
        });
        if is_link && quoted.starts_with('/') && !quoted.starts_with("//") {
            out.push_str(prefix);
        }
        rest = quoted;
    }
    out.push_str(rest);
    out
}

/// The part of a path that names the proxy: `/api/v1/namespaces/NAMESPACE/pods/NAME/proxy`.
fn own_part(path: &str) -> &str {
    const SEGMENTS: usize = 7;
    let starts = path.char_indices().filter(|(at, c)| *c != '/' && (*at == 0 || path.as_bytes()[at - 1] == b'/'));
    let last = starts.map(|(at, _)| at).nth(SEGMENTS - 1).unwrap_or(path.len());
    let end = path[last..].find('/').map_or(path.len(), |length| last + length);
    &path[..end]
}

/// The answer to a request for the root that lacks its slash: links of the page behind it would lead nowhere.
fn with_slash(uri: &Uri) -> Response<Body> {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = with_body(StatusCode::MOVED_PERMANENTLY, "text/html; charset=utf-8", whole(bytes::Bytes::new()));
    if let Ok(location) = HeaderValue::from_str(&format!("{}/{query}", uri.path())) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn unreachable(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::unavailable(format!("error trying to reach service: {error}"))
}

fn of_pod(server: &ApiServer, namespace: &str, destination: &Destination<'_>) -> Result<SocketAddr, ApiError> {
    let pod = server.caches().get(PODS, namespace, destination.name);
    let pod = pod.ok_or_else(|| ApiError::not_found("", "pods", destination.name))?.value();
    let port = match destination.port {
        "" => {
            let ports = pod["spec"]["containers"].as_array().into_iter().flatten().flat_map(|c| c["ports"].as_array());
            let first = ports.flatten().next().and_then(|port| port["containerPort"].as_u64());
            first.unwrap_or(if destination.https { 443 } else { 80 })
        }
        text => text.parse().map_err(|_| ApiError::bad_request(format!("invalid port {text:?}")))?,
    };
    let refused = || ApiError::bad_request("address not allowed");
    let ip: IpAddr = pod["status"]["podIP"].as_str().and_then(|ip| ip.parse().ok()).ok_or_else(refused)?;
    if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
        return Err(refused());
    }
    Ok(SocketAddr::new(ip, u16::try_from(port).map_err(|_| refused())?))
}

/// A ready endpoint, chosen by chance.
fn of_service(server: &ApiServer, namespace: &str, destination: &Destination<'_>) -> Result<SocketAddr, ApiError> {
    let name = destination.name;
    let mut wanted = destination.port.to_owned();
    if let Ok(number) = destination.port.parse::<i64>() {
        let service = server.caches().get(SERVICES, namespace, name);
        let service = service.ok_or_else(|| ApiError::not_found("", "services", name))?.value();
        let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
        let port = ports
            .find(|port| port["port"].as_i64() == Some(number))
            .ok_or_else(|| ApiError::unavailable(format!("no service port {number} found for service {name:?}")))?;
        wanted = port["name"].as_str().unwrap_or_default().to_owned();
    }
    let slices = server.caches().list(ENDPOINTSLICES, namespace);
    let of_this = |slice: &Value| slice["metadata"]["labels"]["kubernetes.io/service-name"] == name;
    let mut found: Vec<SocketAddr> = Vec::new();
    for slice in slices.iter().map(|slice| slice.value()).filter(of_this) {
        let ports = slice["ports"].as_array().into_iter().flatten();
        let port = ports.filter(|p| p["name"].as_str().unwrap_or_default() == wanted).find_map(|p| p["port"].as_u64());
        let Some(port) = port.and_then(|port| u16::try_from(port).ok()) else { continue };
        let endpoints = slice["endpoints"].as_array().into_iter().flatten();
        let ready = endpoints.filter(|e| e["conditions"]["ready"] != false && e["targetRef"]["kind"] == "Pod");
        let addresses = ready.filter_map(|e| e["addresses"][0].as_str()?.parse::<IpAddr>().ok());
        found.extend(addresses.map(|ip| SocketAddr::new(ip, port)));
    }
    let count = u64::try_from(found.len()).unwrap_or(0);
    if count == 0 {
        return Err(ApiError::unavailable(format!("no endpoints available for service {name:?}")));
    }
    let at = usize::try_from(server.engine().random().below(count)).unwrap_or(0);
    Ok(found[at])
}

/// The request as the destination gets it, and the client's half of a switch of protocols, if it asks for one.
fn forwarded(
    mut request: Request<Incoming>,
    address: SocketAddr,
    prefix: &str,
) -> Result<(Request<Incoming>, Option<OnUpgrade>), ApiError> {
    let switching = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let host = request.headers().get(HOST).cloned();
    let path_and_query = request.uri().path_and_query().map_or("", |p| p.as_str());
    let rest = path_and_query.strip_prefix(prefix).unwrap_or_default();
    let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    let (mut parts, body) = request.into_parts();
    parts.uri = rest.parse().map_err(|_| ApiError::bad_request("the path can't be passed on"))?;
    parts.version = http::Version::HTTP_11;
    let upgrade = parts.headers.get(UPGRADE).cloned();
    strip(&mut parts.headers);
    // The credentials are for this server, not for what is behind it.
    parts.headers.remove(AUTHORIZATION);
    let header = |text: &str| HeaderValue::from_str(text).map_err(|error| ApiError::bad_request(error.to_string()));
    parts.headers.insert(HOST, header(&address.to_string())?);
    parts.headers.insert(HeaderName::from_static("x-forwarded-uri"), header(&format!("{prefix}{rest}"))?);
    parts.headers.insert(HeaderName::from_static("x-forwarded-proto"), HeaderValue::from_static("https"));
    if let Some(host) = host {
        parts.headers.insert(HeaderName::from_static("x-forwarded-host"), host);
    }
    if let Some(upgrade) = upgrade {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        parts.headers.insert(UPGRADE, upgrade);
    }
    Ok((Request::from_parts(parts, body), switching))
}

/// Takes away what concerns one connection.
pub(super) fn strip(headers: &mut http::HeaderMap) {
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
    headers.remove(CONNECTION);
    headers.remove(UPGRADE);
}

/// Carries bytes both ways until either side ends.
pub(super) async fn join(client_side: OnUpgrade, server_side: OnUpgrade) {
    if let (Ok(client_side), Ok(server_side)) = (client_side.await, server_side.await) {
        let (mut client_side, mut server_side) = (TokioIo::new(client_side), TokioIo::new(server_side));
        let _ = tokio::io::copy_bidirectional(&mut client_side, &mut server_side).await;
    }
}

#[allow(clippy::disallowed_methods, reason = "it lives and ends with the client's connection, which is supervised")]
pub(super) fn spawn(shutdown: Shutdown, work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(async move {
        tokio::select! {
            () = work => {}
            () = shutdown.requested() => {}
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{Destination, own_part, with_links};

    #[test]
    fn links_of_pages_lead_through_the_proxy() {
        let page = "<a href=\"/x\">/y</a><img SRC = '/z'><a href=\"//other/\"><a href=\"rel\"><p title=\"/no\">";
        let wanted = "<a href=\"/p/x\">/y</a><img SRC = '/p/z'><a href=\"//other/\"><a href=\"rel\"><p title=\"/no\">";
        assert_eq!(with_links(page, "/p"), wanted);
    }

    #[test]
    fn the_proxys_own_part_of_a_path_ends_with_its_name() {
        let own = "/api/v1/namespaces/proxy-1/pods/proxy/proxy";
        for rest in ["", "/", "/a/proxy/b", "//a"] {
            assert_eq!(own_part(&format!("{own}{rest}")), own);
        }
    }

    #[test]
    fn destinations_name_a_scheme_and_a_port_if_they_like() {
        let parsed = |text| Destination::parse(text, "pod").map(|d| (d.https, d.name.to_owned(), d.port.to_owned()));
        let is = |https, name: &str, port: &str| Ok((https, name.to_owned(), port.to_owned()));
        assert_eq!(parsed("web"), is(false, "web", ""));
        assert_eq!(parsed("web:8080"), is(false, "web", "8080"));
        assert_eq!(parsed("https:web:tls"), is(true, "web", "tls"));
        assert_eq!(parsed("http:web:"), is(false, "web", ""));
        for text in ["", "ftp:web:1", "a:b:c:d", ":80"] {
            assert!(parsed(text).is_err_and(|error| error.code == 400), "{text}");
        }
    }
}
