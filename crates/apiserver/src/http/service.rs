//! The chain that every request goes through: who (authentication, impersonation), what (route), may they
//! (authorisation), then the verb; with an id for audit and metrics for all.

use std::sync::Arc;

use apimachinery::{ApiError, Reason, UserInfo};
use component_base::Shutdown;
use http::header::HeaderValue;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::aggregate::{RemoteRoute, pass_on};
use super::body::{Body, discard, failure};
use super::handler::{ResourceRequest, serve_path, serve_resource};
use super::negotiate::encoding_of_failures;
use super::pretty;
use super::request::{Query, Route};
use crate::authentication::impersonate;
use crate::server::ApiServer;

/// The header that names a request.
const AUDIT_ID: &str = "audit-id";

/// Serves one request on a connection whose client certificate named `certificate`.
pub(crate) async fn serve_request(
    server: Arc<ApiServer>,
    certificate: Option<Arc<UserInfo>>,
    shutdown: Shutdown,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let route = match RemoteRoute::find(server.aggregator(), &method, &path, &query) {
        Some(route) => Ok(Route::Remote(route)),
        None => Route::parse(&method, &path, &query, server.caches().catalog()),
    };
    let labels = Labels::of(&method, &route);
    // What others say is theirs to indent, and documents are for programs.
    let is_own = !matches!(route, Ok(Route::Remote(_))) && labels.0[0] != "CONNECT" && !path.starts_with("/openapi/");
    let for_people = is_own && pretty::is_wanted(&query, request.headers());
    let encoding = encoding_of_failures(request.headers());
    let id = HeaderValue::from_str(&server.engine().random().uuid()).ok();
    if let (Ok(Route::Remote(_)), Some(id)) = (&route, &id) {
        // What the other server writes down of the request has the same name there.
        request.headers_mut().insert(AUDIT_ID, id.clone());
    }
    let mut response = match handle(&server, certificate.as_ref(), shutdown, request, route, query).await {
        Ok(response) => response,
        Err(error) => failure(&error, encoding),
    };
    if for_people {
        response = pretty::indented(response).await;
    }
    if let Some(id) = id {
        response.headers_mut().insert(AUDIT_ID, id);
    }
    let code = response.status().as_str().to_owned();
    let [verb, group, version, resource, subresource] = labels.0.each_ref().map(String::as_str);
    server.metrics.requests.increment(&[verb, group, version, resource, subresource, &code]);
    if verb != "WATCH" && verb != "CONNECT" {
        let seconds = started.elapsed().as_secs_f64();
        server.metrics.seconds.observe(&[verb, group, version, resource, subresource], seconds);
    }
    response
}

async fn handle(
    server: &Arc<ApiServer>,
    certificate: Option<&Arc<UserInfo>>,
    shutdown: Shutdown,
    request: Request<Incoming>,
    route: Result<Route, ApiError>,
    query: Query,
) -> Result<Response<Body>, ApiError> {
    let (user, route) = match admit(server, certificate, &request, route) {
        Ok(admitted) => admitted,
        Err(error) => {
            discard(request.into_body()).await;
            return Err(error);
        }
    };
    match route {
        Route::Path(path) => serve_path(server, &shutdown, request.method(), &path, &query, request.headers()).await,
        Route::Remote(route) => Ok(pass_on(server, &route, &user, request, shutdown).await),
        Route::Resource(route) => {
            Ok(serve_resource(server, ResourceRequest { route, query, user, request, shutdown }).await)
        }
    }
}

/// Who asks, and for what, if they may.
fn admit(
    server: &ApiServer,
    certificate: Option<&Arc<UserInfo>>,
    request: &Request<Incoming>,
    route: Result<Route, ApiError>,
) -> Result<(Arc<UserInfo>, Route), ApiError> {
    let user = server.authenticator().authenticate(certificate, request.headers())?;
    let user = impersonate(user, request.headers(), server.authorizer())?;
    // Whoever may not know what exists learns nothing from a path that does not.
    let route = match route {
        Ok(route) => route,
        Err(error) if error.reason == Reason::NotFound => {
            let path = Route::Path(request.uri().path().to_owned());
            server.authorizer().check(&user, &path.attributes(request.method()))?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    server.authorizer().check(&user, &route.attributes(request.method()))?;
    Ok((user, route))
}

/// The label values of the request metrics.
struct Labels([String; 5]);

impl Labels {
    fn of(method: &Method, route: &Result<Route, ApiError>) -> Self {
        match route {
            Ok(Route::Resource(route)) => {
                let verb = match route.subresource.as_str() {
                    "exec" | "attach" | "portforward" | "proxy" | "log" => "CONNECT".to_owned(),
                    _ => match route.verb {
                        "create" => "POST".to_owned(),
                        "update" => "PUT".to_owned(),
                        other => other.to_uppercase(),
                    },
                };
                let resource = route.resource;
                Self([
                    verb,
                    resource.group.to_owned(),
                    resource.version.to_owned(),
                    resource.plural.to_owned(),
                    route.subresource.clone(),
                ])
            }
            // How its resources are called is the other server's matter, and a client's: any word may come.
            Ok(Route::Remote(route)) => {
                Self([route.attributes.verb.to_uppercase(), String::new(), String::new(), String::new(), String::new()])
            }
            _ => Self([method.as_str().to_owned(), String::new(), String::new(), String::new(), String::new()]),
        }
    }
}
