//! One request, from its parsed route to its response.

use std::sync::Arc;

use apimachinery::{ApiError, FieldError, FieldPath, Object, Reader, Resource, UserInfo};
use bytes::Bytes;
use client::{ObjectList, PatchKind};
use component_base::Shutdown;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT, WARNING};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::body::{Body, discard, failure, json as json_response, read, response, streaming, with_body, with_value};
use super::discovery::Discovery;
use super::health::health;
use super::negotiate::{Encoding, Form, Shape, encoding_of_failures, negotiate};
use super::options::{delete_options_of, dry_run, field_validation, list_options};
use super::request::{Query, ResourceRoute};
use super::table::{IncludeObject, columns, metadata_only, row, table};
use super::watch::{WatchFormat, lines, watch_end};
use super::{connect, discovery};
use crate::catalog::KindRules;
use crate::engine::{Configuration, FieldValidation, RequestContext};
use crate::server::ApiServer;

/// The media type of Kubernetes' protobuf.
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// The media type of a configuration that is applied.
const APPLY: &str = "application/apply-patch+yaml";
/// The most characters of a manager's name.
const FIELD_MANAGER_MAX: usize = 128;

/// A request to a resource.
pub(crate) struct ResourceRequest {
    pub(crate) route: ResourceRoute,
    pub(crate) query: Query,
    pub(crate) user: Arc<UserInfo>,
    pub(crate) request: Request<Incoming>,
    pub(crate) shutdown: Shutdown,
}

/// Serves a request to a resource; failures become Status responses.
pub(crate) async fn serve_resource(server: &Arc<ApiServer>, request: ResourceRequest) -> Response<Body> {
    let mut context = RequestContext::of(request.user.clone());
    let encoding = encoding_of_failures(request.request.headers());
    let served = dispatch(server, &mut context, request).await;
    let mut response = served.unwrap_or_else(|error| failure(&error, encoding));
    for warning in super::warnings::headers(&context.warnings) {
        response.headers_mut().append(WARNING, warning);
    }
    response
}

async fn dispatch(
    server: &Arc<ApiServer>,
    context: &mut RequestContext,
    request: ResourceRequest,
) -> Result<Response<Body>, ApiError> {
    let ResourceRequest { route, query, request, shutdown, .. } = request;
    if matches!(route.subresource.as_str(), "exec" | "attach" | "portforward" | "log" | "proxy") {
        return connect::serve(server, context, &route, &query, request, shutdown).await;
    }
    let form = match form_of(server, context, &route, &query, request.headers()) {
        Ok(form) => form,
        Err(error) => {
            discard(request.into_body()).await;
            return Err(error);
        }
    };
    let engine = server.engine();
    let target = route.target();
    match route.verb {
        "get" => {
            let object = engine.get(target).await?;
            one(server, &route, &query, form, StatusCode::OK, &object)
        }
        "list" => {
            let page = engine.list(target, &list_options(&query)?).await?;
            many(server, &route, &query, form, &page)
        }
        "watch" => watch(server, &route, &query, form, shutdown).await,
        "create" => {
            let body = object_body(context, request).await?;
            let object = server.create(context, target, body).await?;
            one(server, &route, &query, form, StatusCode::CREATED, &object)
        }
        "update" => {
            let body = object_body(context, request).await?;
            let (object, created) = engine.update(context, target, body).await?;
            let status = if created { StatusCode::CREATED } else { StatusCode::OK };
            one(server, &route, &query, form, status, &object)
        }
        "patch" => {
            if media_type(request.headers()) == APPLY {
                let bytes = read(request.into_body()).await?;
                let (object, created) = apply(server, context, &route, &query, &bytes).await?;
                let status = if created { StatusCode::CREATED } else { StatusCode::OK };
                return one(server, &route, &query, form, status, &object);
            }
            let kind = patch_kind(request.headers());
            let bytes = read(request.into_body()).await?;
            let kind = kind?;
            let patch = parse_body(&bytes)?;
            let object = engine.patch(context, target, kind, &patch).await?;
            one(server, &route, &query, form, StatusCode::OK, &object)
        }
        "delete" => {
            let bytes = read(request.into_body()).await?;
            let options = delete_options_of(&parse_optional(&bytes)?, &query)?;
            context.dry_run = options.dry_run;
            let deleted = engine.delete(context, target, &options).await?;
            if deleted.removed {
                let meta = deleted.object.meta();
                let mut details = json!({"name": meta.name, "kind": route.resource.plural, "uid": meta.uid});
                if !route.resource.group.is_empty() {
                    details["group"] = json!(route.resource.group);
                }
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
                });
                return encoded(form.encoding, StatusCode::OK, &status);
            }
            one(server, &route, &query, form, StatusCode::OK, &deleted.object)
        }
        "deletecollection" => {
            let bytes = read(request.into_body()).await?;
            let options = delete_options_of(&parse_optional(&bytes)?, &query)?;
            context.dry_run = options.dry_run;
            let items = engine.delete_collection(context, target, &options, &list_options(&query)?).await?;
            let resource_version = server.caches().applied();
            let page = ObjectList { items, resource_version, ..ObjectList::default() };
            many(server, &route, &query, form, &page)
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// In which form the request is answered, if the resource serves it at all and it asks for nothing odd.
fn form_of(
    server: &ApiServer,
    context: &mut RequestContext,
    route: &ResourceRoute,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Form, ApiError> {
    let served = match route.resource.subresource(&route.subresource) {
        Some(subresource) => subresource.verbs,
        None => route.resource.verbs,
    };
    let fits = match route.verb {
        "update" | "patch" => !route.name.is_empty(),
        "create" => route.name.is_empty() || !route.subresource.is_empty(),
        _ => true,
    };
    if !fits || !served.contains(&route.verb) {
        return Err(ApiError::method_not_allowed());
    }
    context.warnings.extend(registry::deprecation(route.resource).map(str::to_owned));
    if let KindRules::Custom(served) = server.engine().rules(route.resource)? {
        context.warnings.extend(served.ty.deprecation_warning.clone());
    }
    context.field_manager = field_manager(query, headers)?;
    if matches!(route.verb, "create" | "update" | "patch") {
        context.dry_run = dry_run(query)?;
        context.field_validation = field_validation(query)?;
    }
    let form = negotiate(headers)?;
    if form.shape != Shape::Whole && !route.resource.stored() {
        return Err(ApiError::not_acceptable(&super::negotiate::SERVED));
    }
    Ok(form)
}

/// Applies a configuration in YAML, of which JSON is a part.
async fn apply(
    server: &Arc<ApiServer>,
    context: &mut RequestContext,
    route: &ResourceRoute,
    query: &Query,
    bytes: &[u8],
) -> Result<(Arc<Object>, bool), ApiError> {
    // Whoever sends no name for this owns nothing; the User-Agent does not stand in for it.
    context.field_manager = query.text("fieldManager").to_owned();
    let target = route.target();
    let text = std::str::from_utf8(bytes).map_err(|_| ApiError::bad_request("the body is not UTF-8 text"))?;
    let parsed = apimachinery::yaml::parse(text);
    let parsed = parsed.map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))?;
    if !parsed.duplicates.is_empty() && context.field_validation != FieldValidation::Ignore {
        let twice = format!(
            "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  {}",
            parsed.duplicates.join("\n  ")
        );
        if context.field_validation == FieldValidation::Strict {
            return Err(ApiError::bad_request(twice));
        }
        context.warnings.push(twice);
    }
    if server.caches().get(route.resource, &route.namespace, &route.name).is_none() {
        server.authorizer().check(&context.user, &crate::local::attributes("create", target))?;
    }
    let configuration = Configuration { value: parsed.value, force: query.flag("force") };
    server.engine().apply(context, target, configuration).await
}

/// Whose the fields are that a request sets: what it says, or the program that sends it.
fn field_manager(query: &Query, headers: &HeaderMap) -> Result<String, ApiError> {
    let given = query.text("fieldManager");
    if given.chars().count() > FIELD_MANAGER_MAX {
        let path = FieldPath::new("fieldManager");
        let fault = FieldError::too_long(&path, FIELD_MANAGER_MAX);
        return Err(ApiError::invalid("meta.k8s.io", "CreateOptions", "", &[fault]));
    }
    if !given.is_empty() {
        return Ok(given.to_owned());
    }
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let program = agent.split('/').next().unwrap_or_default();
    Ok(program.chars().take(FIELD_MANAGER_MAX).collect())
}

/// Reads the object of a create or update.
async fn object_body(context: &mut RequestContext, request: Request<Incoming>) -> Result<Value, ApiError> {
    let given = media_type(request.headers()).to_owned();
    let bytes = read(request.into_body()).await?;
    let yaml = match given.as_str() {
        "" | "application/json" | "*/*" | PROTOBUF => false,
        "application/yaml" => true,
        _ => return Err(ApiError::unsupported_media_type(&super::negotiate::SERVED)),
    };
    if given == PROTOBUF {
        return decode_protobuf(&bytes);
    }
    if yaml {
        let text = std::str::from_utf8(&bytes).map_err(|_| ApiError::bad_request("the body is not UTF-8 text"))?;
        let parsed = apimachinery::yaml::parse(text).map_err(|error| ApiError::bad_request(error.to_string()))?;
        return Ok(parsed.value);
    }
    if context.field_validation != FieldValidation::Ignore {
        let duplicates = apimachinery::schema::duplicate_fields(&bytes);
        context.duplicates = duplicates.iter().map(ToString::to_string).collect();
    }
    parse_body(&bytes)
}

fn parse_body(bytes: &[u8]) -> Result<Value, ApiError> {
    // YAML is accepted where JSON is expected too, as upstream's decoder of patches does.
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::bad_request(format!("couldn't get version/kind; json parse error: {error}")))
}

fn parse_optional(bytes: &[u8]) -> Result<Value, ApiError> {
    match bytes {
        [] => Ok(Value::Null),
        bytes if bytes.starts_with(apimachinery::protobuf::MAGIC) => decode_protobuf(bytes),
        bytes => parse_body(bytes),
    }
}

fn decode_protobuf(bytes: &[u8]) -> Result<Value, ApiError> {
    api::protobuf::messages().decode(bytes).map_err(|error| ApiError::bad_request(error.to_string()))
}

fn media_type(headers: &HeaderMap) -> &str {
    let header = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    header.split(';').next().unwrap_or_default().trim()
}

fn patch_kind(headers: &HeaderMap) -> Result<PatchKind, ApiError> {
    let all = [PatchKind::Json, PatchKind::Merge, PatchKind::Strategic];
    let given = media_type(headers);
    let [json, merge, strategic] = all.map(PatchKind::media_type);
    all.into_iter()
        .find(|kind| kind.media_type() == given)
        .ok_or_else(|| ApiError::unsupported_media_type(&[json, merge, strategic, APPLY]))
}

fn encoded(encoding: Encoding, status: StatusCode, value: &Value) -> Result<Response<Body>, ApiError> {
    Ok(with_value(encoding, status, value))
}

/// A response with one object.
fn one(
    server: &ApiServer,
    route: &ResourceRoute,
    query: &Query,
    form: Form,
    status: StatusCode,
    object: &Object,
) -> Result<Response<Body>, ApiError> {
    match (form.shape, form.encoding) {
        // A subresource may be of another kind, which has no rows of its own.
        (Shape::Table, _) if matches!(route.subresource.as_str(), "" | "status") => {
            let include = IncludeObject::parse(query.text("includeObject"))?;
            let rules = server.engine().rules(route.resource)?;
            let rows = vec![row(route.resource, &rules, object, include, server.clock().now())];
            let metadata = json!({"resourceVersion": object.meta().resource_version.to_string()});
            encoded(form.encoding, status, &table(columns(route.resource, &rules), rows, metadata))
        }
        (Shape::Metadata, _) => encoded(form.encoding, status, &metadata_only(object)),
        (_, Encoding::Json) => Ok(response(status, "application/json", object.json().clone())),
        (_, Encoding::Yaml) => encoded(form.encoding, status, &object.value()),
    }
}

/// A response with a list.
fn many(
    server: &ApiServer,
    route: &ResourceRoute,
    query: &Query,
    form: Form,
    page: &ObjectList,
) -> Result<Response<Body>, ApiError> {
    let mut metadata = json!({"resourceVersion": page.resource_version.to_string()});
    if !page.continue_token.is_empty() {
        metadata["continue"] = json!(page.continue_token);
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = json!(remaining);
    }
    match (form.shape, form.encoding) {
        (Shape::Table, encoding) => {
            let include = IncludeObject::parse(query.text("includeObject"))?;
            let now = server.clock().now();
            let rules = server.engine().rules(route.resource)?;
            let rows = page.items.iter().map(|object| row(route.resource, &rules, object, include, now)).collect();
            encoded(encoding, StatusCode::OK, &table(columns(route.resource, &rules), rows, metadata))
        }
        (Shape::Metadata, encoding) => {
            let items: Vec<Value> = page.items.iter().map(|object| metadata_only(object)).collect();
            let list = json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items,
            });
            encoded(encoding, StatusCode::OK, &list)
        }
        (Shape::Whole, Encoding::Json) => {
            Ok(response(StatusCode::OK, "application/json", list_json(route.resource, &metadata, page)))
        }
        (Shape::Whole, Encoding::Yaml) => {
            let list: Value =
                serde_json::from_slice(&list_json(route.resource, &metadata, page)).map_err(ApiError::internal)?;
            encoded(Encoding::Yaml, StatusCode::OK, &list)
        }
    }
}

/// A list is its objects' bytes, one after the other: nothing is serialised again.
fn list_json(resource: &Resource, metadata: &Value, page: &ObjectList) -> Bytes {
    let size: usize = page.items.iter().map(|object| object.json().len() + 1).sum();
    let mut out = Vec::with_capacity(size + 256);
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"items\":[",
        resource.kind,
        resource.api_version()
    );
    out.extend_from_slice(head.as_bytes());
    for (i, object) in page.items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.push(b'{');
        out.extend_from_slice(object.json_without_header());
    }
    out.extend_from_slice(b"]}\n");
    out.into()
}

async fn watch(
    server: &Arc<ApiServer>,
    route: &ResourceRoute,
    query: &Query,
    form: Form,
    shutdown: Shutdown,
) -> Result<Response<Body>, ApiError> {
    if form.encoding != Encoding::Json {
        return Err(ApiError::not_acceptable(&["application/json"]));
    }
    let options = list_options(query)?;
    if options.send_initial_events && !query.flag("allowWatchBookmarks") {
        return Err(ApiError::bad_request(
            "sendInitialEvents: Forbidden: sendInitialEvents requires setting allowWatchBookmarks to true",
        ));
    }
    let events = server.engine().watch(route.target(), &options).await;
    let events = match events {
        // Clients know a revision that is gone by an event, not by the response's code.
        Err(error) if error.reason == apimachinery::Reason::Expired => return Err(error),
        other => other?,
    };
    let clock = server.clone();
    let format = WatchFormat {
        resource: route.resource,
        rules: server.engine().rules(route.resource)?,
        shape: form.shape,
        include: IncludeObject::parse(query.text("includeObject"))?,
        bookmarks: query.flag("allowWatchBookmarks"),
        ends: watch_end(query.number("timeoutSeconds")?, server.engine().random())?,
        clock: Arc::new(move || clock.clock().now()),
    };
    let stream = sync_wrapper(lines(events, format, server.caches().clone(), shutdown));
    Ok(with_body(StatusCode::OK, "application/json", streaming(stream)))
}

/// Bodies must be `Sync`; a stream that only one task polls may be behind a lock that is never contended.
fn sync_wrapper<S>(stream: S) -> impl futures_util::Stream<Item = S::Item> + Send + Sync
where
    S: futures_util::Stream + Send + 'static,
{
    let stream = Box::pin(stream);
    let cell = parking_lot::Mutex::new(stream);
    futures_util::stream::poll_fn(move |context| cell.lock().as_mut().poll_next(context))
}

/// Serves everything that is not a resource.
pub(crate) async fn serve_path(
    server: &ApiServer,
    shutdown: &Shutdown,
    method: &Method,
    path: &str,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Response<Body>, ApiError> {
    if *method != Method::GET && *method != Method::HEAD {
        return Err(ApiError::method_not_allowed());
    }
    let ok = |value: &Value| json_response(StatusCode::OK, value);
    let custom = server.caches().catalog().custom();
    let discovery = Discovery::new(custom.clone(), server.aggregator().api_services());
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    match parts.as_slice() {
        ["version"] => Ok(response(StatusCode::OK, "application/json", VERSION)),
        ["healthz" | "livez" | "readyz", ..] => health(server, shutdown, &parts, query),
        ["metrics"] => {
            Ok(response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", server.registry().render()))
        }
        [whole @ ("api" | "apis")] if discovery::wants_aggregated(headers) => {
            let mut response = ok(&discovery.aggregated(*whole == "api", server.aggregator()).await);
            let media_type = HeaderValue::from_static(discovery::aggregated_media_type());
            response.headers_mut().insert(CONTENT_TYPE, media_type);
            Ok(response)
        }
        ["api"] => Ok(ok(&discovery::api_versions(server.external_address()))),
        ["apis"] => Ok(ok(&discovery.group_list())),
        ["apis", group] => discovery.group(group).map(|v| ok(&v)).ok_or_else(ApiError::path_not_found),
        ["api", version] => discovery.resource_list("", version).map(|v| ok(&v)).ok_or_else(ApiError::path_not_found),
        ["apis", group, version] => {
            discovery.resource_list(group, version).map(|v| ok(&v)).ok_or_else(ApiError::path_not_found)
        }
        ["openapi", "v2"] => server.openapi().second(&custom, headers),
        ["openapi", "v3"] => {
            let mut index = server.openapi().index(&custom);
            discovery.add_documents(&mut index, server.aggregator()).await;
            Ok(ok(&index))
        }
        ["openapi", "v3", rest @ ..] => server.openapi().document(&rest.join("/"), &custom, headers),
        [".well-known", "openid-configuration"] => Ok(ok(&server.authenticator().authority().discovery())),
        ["openid", "v1", "jwks"] => Ok(ok(&server.authenticator().authority().key_set())),
        [] => Ok(ok(&json!({"paths": root_paths(&discovery)}))),
        _ => Err(ApiError::path_not_found()),
    }
}

/// Indented for all, as upstream's is.
const VERSION: &str = concat!(
    "{\n  \"major\": \"1\",\n  \"minor\": \"37\",\n  \"gitVersion\": \"v1.37.2+skiff-",
    env!("CARGO_PKG_VERSION"),
    "\",\n  \"gitCommit\": \"\",\n  \"gitTreeState\": \"clean\",\n  \"buildDate\": \"1970-01-01T00:00:00Z\",\n",
    "  \"goVersion\": \"\",\n  \"compiler\": \"rustc\",\n  \"platform\": \"linux/amd64\"\n}",
);

fn root_paths(discovery: &Discovery) -> Vec<String> {
    let mut paths: Vec<String> = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/"]
        .into_iter()
        .map(str::to_owned)
        .collect();
    for (group, version) in discovery.group_versions() {
        let path = format!("/apis/{group}");
        if !paths.contains(&path) {
            paths.push(path.clone());
        }
        paths.push(format!("{path}/{version}"));
    }
    paths.extend(
        ["/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/readyz", "/version"]
            .map(str::to_owned),
    );
    paths.extend(api::openapi::DOCUMENTS.iter().map(|d| format!("/openapi/v3/{}", d.path)));
    paths.sort();
    paths
}
