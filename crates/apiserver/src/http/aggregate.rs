//! Requests to group versions that other API servers serve: passed on with the user's name in headers, once the user is
//! known here and may do it (upstream: `kube-aggregator/pkg/apiserver/handler_proxy.go`).

mod attributes;

use std::sync::Arc;
use std::time::Duration;

use apimachinery::UserInfo;
use component_base::Shutdown;
use futures_util::StreamExt;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, LOCATION, UPGRADE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::body::{Body, streaming, whole};
use super::proxy::{join, spawn, strip};
use super::request::{Query, percent_decode};
use crate::aggregation::{Aggregator, ApiService, identify};
use crate::authorization::Attributes;
use crate::server::ApiServer;

/// How long a server may take to say what it has: everybody's discovery waits for it.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(5);

/// A request for another server.
#[derive(Debug, Clone)]
pub(crate) struct RemoteRoute {
    /// What the authorizer is asked.
    pub(crate) attributes: Attributes,
    api_service: Arc<ApiService>,
    /// Whether it asks for the list of resources.
    discovers: bool,
}

impl RemoteRoute {
    /// The route of a request, if another server serves what its path names.
    pub(crate) fn find(aggregator: &Aggregator, method: &Method, path: &str, query: &Query) -> Option<Self> {
        // As the other server will read it, so that both ask their authorizers the same.
        let decoded = percent_decode(path);
        let parts: Vec<&str> = decoded.trim_matches('/').split('/').collect();
        let (group, version, rest) = match parts.as_slice() {
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            ["openapi", "v3", "apis", group, version] => (*group, *version, &[][..]),
            ["api", version, rest @ ..] => ("", *version, rest),
            _ => return None,
        };
        let api_service = aggregator.remote(group, version)?;
        let attributes = match rest {
            [] => Attributes { verb: method.as_str().to_lowercase(), path: path.to_owned(), ..Attributes::default() },
            rest => attributes::of_resource(method, group, version, rest, query),
        };
        Some(Self { attributes, api_service, discovers: rest.is_empty() && parts[0] != "openapi" })
    }
}

/// Passes a request on. What goes wrong on the way is told as upstream does, in plain text.
pub(crate) async fn pass_on(
    server: &ApiServer,
    route: &RemoteRoute,
    user: &UserInfo,
    mut request: Request<Incoming>,
    shutdown: Shutdown,
) -> Response<Body> {
    let aggregator = server.aggregator();
    if !route.api_service.is_available() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "service unavailable");
    }
    let remote = match aggregator.server_of(&route.api_service) {
        Ok(remote) => remote,
        Err(error) => {
            tracing::warn!(error, "the server of an APIService can't be found");
            return plain(StatusCode::SERVICE_UNAVAILABLE, "service unavailable");
        }
    };
    let switching = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let outgoing = match forwarded(request, &remote.address, user) {
        Ok(outgoing) => outgoing,
        Err(error) => return plain(StatusCode::SERVICE_UNAVAILABLE, &error),
    };
    let sending = aggregator.send(&remote, outgoing);
    let answer = match route.discovers {
        true => timeout(DISCOVERY_TIMEOUT, sending).await.unwrap_or_else(|_| Err("context deadline exceeded".into())),
        false => sending.await,
    };
    let mut response = match answer {
        Ok(response) => response,
        Err(error) => return plain(StatusCode::SERVICE_UNAVAILABLE, &error),
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(client_side) = switching
    {
        let server_side = hyper::upgrade::on(&mut response);
        spawn(shutdown, join(client_side, server_side));
        return response.map(|_| whole(bytes::Bytes::new()));
    }
    if response.status().is_redirection() && response.headers().contains_key(LOCATION) {
        let why = "the backend attempted to redirect this request, which is not permitted";
        return plain(StatusCode::BAD_GATEWAY, why);
    }
    strip(response.headers_mut());
    *response.version_mut() = http::Version::default();
    match route.attributes.verb.as_str() {
        "watch" => response.map(|body| until_shutdown(body, shutdown)),
        _ => response,
    }
}

/// A watch that ends with this server, as those of its own do, instead of breaking off.
fn until_shutdown(body: Body, shutdown: Shutdown) -> Body {
    let ended = Box::pin(async move { shutdown.requested().await });
    streaming(body.into_data_stream().take_until(ended))
}

/// The request as the other server gets it.
fn forwarded(request: Request<Incoming>, address: &str, user: &UserInfo) -> Result<Request<Body>, String> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let whole_path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    parts.uri = whole_path.parse().map_err(|_| "the path can't be passed on".to_owned())?;
    parts.version = http::Version::HTTP_11;
    for_another(&mut parts.headers, address, &path, user)?;
    Ok(Request::from_parts(parts, body.map_err(std::io::Error::other).boxed()))
}

/// Makes a request's headers fit for another server.
fn for_another(headers: &mut HeaderMap, address: &str, path: &str, user: &UserInfo) -> Result<(), String> {
    let (host, upgrade) = (headers.get(HOST).cloned(), headers.get(UPGRADE).cloned());
    strip(headers);
    // The credentials are for this server, and so is what the user impersonated.
    headers.remove(AUTHORIZATION);
    let impersonates = |name: &&HeaderName| name.as_str().starts_with("impersonate-");
    let names: Vec<HeaderName> = headers.keys().filter(impersonates).cloned().collect();
    for name in names {
        headers.remove(name);
    }
    identify(headers, user)?;
    let value = |text: &str| HeaderValue::from_str(text).map_err(|error| error.to_string());
    headers.insert(HOST, value(address)?);
    headers.insert(HeaderName::from_static("x-forwarded-uri"), value(path)?);
    headers.insert(HeaderName::from_static("x-forwarded-proto"), HeaderValue::from_static("https"));
    if let Some(host) = host {
        headers.insert(HeaderName::from_static("x-forwarded-host"), host);
    }
    if let Some(upgrade) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, upgrade);
    }
    Ok(())
}

/// What Go's `http.Error` sends.
fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let text = format!("{text}\n");
    let length = HeaderValue::from(text.len());
    let mut response = Response::new(whole(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_LENGTH, length);
    response
}

#[cfg(test)]
mod tests;
