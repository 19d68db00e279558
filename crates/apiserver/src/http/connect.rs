//! Requests that reach into Pods: logs, exec, attach and port-forward, relayed to the Pod's kubelet; and the proxy.

use std::sync::Arc;

use api::resources::PODS;
use apimachinery::{ApiError, Object, Operation, Reader};
use component_base::Shutdown;
use cri::ExecOptions;
use futures_util::StreamExt;
use http::header::UPGRADE;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::body::{Body, streaming, whole, with_body};
use super::port_forward::{self, Forwarder};
use super::proxy;
use super::remote_command::{self, Session};
use super::request::{Query, ResourceRoute};
use super::upgrade::{Transport, Upgrade};
use super::websocket;
use crate::engine::RequestContext;
use crate::node_connector::{ContainerTarget, LogBytes, LogOptions, LogStream};
use crate::server::ApiServer;

/// Serves `log`, `exec`, `attach`, `portforward` and `proxy`.
pub(crate) async fn serve(
    server: &Arc<ApiServer>,
    context: &mut RequestContext,
    route: &ResourceRoute,
    query: &Query,
    request: Request<Incoming>,
    shutdown: Shutdown,
) -> Result<Response<Body>, ApiError> {
    if let Some(mut options) = admitted_options(route, query) {
        let (engine, target) = (server.engine(), route.target());
        engine.admit(context, Operation::Connect, target, &mut options, None).await?;
        engine.validate(context, Operation::Connect, target, &mut options, None).await?;
    }
    match (route.resource.plural, route.subresource.as_str()) {
        ("pods", "log") if *request.method() == Method::GET => {
            let bytes = logs(server, route, query).await?;
            // One that is followed would go on for as long as its container.
            let ended = shutdown.clone();
            let bytes: LogBytes = Box::pin(bytes.take_until(Box::pin(async move { ended.requested().await })));
            if !request.headers().contains_key(UPGRADE) {
                let cell = parking_lot::Mutex::new(bytes);
                let body = futures_util::stream::poll_fn(move |context| cell.lock().as_mut().poll_next(context));
                return Ok(with_body(StatusCode::OK, "text/plain", streaming(body)));
            }
            let upgrade = Upgrade::accept(request, &websocket::LOG_PROTOCOLS)?;
            let protocol = upgrade.protocol;
            Ok(upgrade.switch(shutdown, move |connection| websocket::send_log(connection, bytes, protocol)))
        }
        ("pods", subresource @ ("exec" | "attach")) => {
            let exec = subresource == "exec";
            let options = exec_options(query, exec)?;
            let target = container_target(server, route, query.text("container"), exec)?;
            let upgrade = Upgrade::accept(request, &remote_command::SERVED)?;
            let connector = server.node_connector()?;
            let streams = match exec {
                true => connector.exec(&target, options.clone()).await,
                false => connector.attach(&target, options.clone()).await,
            };
            let streams = match streams {
                Ok(streams) => streams,
                Err(error) => return Ok(of_the_node(&error)),
            };
            let session = Session { streams, tells_exit_code: exec };
            Ok(match (upgrade.transport, upgrade.protocol) {
                (Transport::WebSocket, protocol) => {
                    upgrade.switch(shutdown, move |connection| websocket::carry(connection, session, protocol))
                }
                (Transport::Spdy, _) => {
                    upgrade.switch(shutdown, move |connection| remote_command::over_spdy(connection, session, options))
                }
            })
        }
        ("pods", "portforward") => {
            let pod = find_pod(server, route)?;
            let target = pod_target(&pod, route)?;
            let upgrade = Upgrade::accept(request, &port_forward::SERVED)?;
            let forwarder = Forwarder { target, connector: server.node_connector()? };
            let transport = upgrade.transport;
            Ok(upgrade.switch(shutdown, move |connection| forwarder.run(connection, transport)))
        }
        ("pods" | "services", "proxy") => proxy::serve(server, route, request, shutdown).await,
        (_, what) => Err(ApiError::new(
            apimachinery::Reason::Unknown,
            501,
            format!("{what} of {} is not served yet; see README.md for what is", route.resource.plural),
        )),
    }
}

/// What admission is asked about a connection; logs are only read.
fn admitted_options(route: &ResourceRoute, query: &Query) -> Option<Value> {
    let kind = match (route.resource.plural, route.subresource.as_str()) {
        (_, "exec") => "PodExecOptions",
        (_, "attach") => "PodAttachOptions",
        (_, "portforward") => "PodPortForwardOptions",
        ("services", "proxy") => "ServiceProxyOptions",
        (_, "proxy") => "PodProxyOptions",
        _ => return None,
    };
    let mut options = json!({"kind": kind, "apiVersion": "v1"});
    for flag in ["stdin", "stdout", "stderr", "tty"].into_iter().filter(|flag| query.flag(flag)) {
        options[flag] = json!(true);
    }
    if !query.text("container").is_empty() {
        options["container"] = json!(query.text("container"));
    }
    if !query.all("command").is_empty() {
        options["command"] = json!(query.all("command"));
    }
    if route.subresource == "proxy" {
        options["path"] = json!(format!("/{}", route.rest));
    }
    Some(options)
}

async fn logs(server: &Arc<ApiServer>, route: &ResourceRoute, query: &Query) -> Result<LogBytes, ApiError> {
    let target = container_target(server, route, query.text("container"), false)?;
    let since_time = match query.text("sinceTime") {
        "" => None,
        text => Some(text.parse().map_err(|_| ApiError::bad_request(format!("sinceTime is {text:?}, not a time")))?),
    };
    let stream = match query.text("stream") {
        "" | "All" => LogStream::All,
        "Stdout" => LogStream::Stdout,
        "Stderr" => LogStream::Stderr,
        other => return Err(ApiError::bad_request(format!("stream: Unsupported value: {other:?}"))),
    };
    let options = LogOptions {
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        since_seconds: query.number("sinceSeconds")?,
        since_time,
        timestamps: query.flag("timestamps"),
        tail_lines: query.number("tailLines")?,
        limit_bytes: query.number("limitBytes")?,
        stream,
    };
    server.node_connector()?.logs(&target, options).await
}

fn exec_options(query: &Query, exec: bool) -> Result<ExecOptions, ApiError> {
    let options = ExecOptions {
        argv: query.all("command").to_vec(),
        tty: query.flag("tty"),
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
    };
    if exec && options.argv.is_empty() {
        return Err(ApiError::bad_request("you must specify at least one command for the container"));
    }
    if !options.stdin && !options.stdout && !options.stderr {
        return Err(ApiError::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    Ok(options)
}

/// The container that a request means (upstream: `pkg/registry/core/pod/strategy.go`).
fn container_target(
    server: &ApiServer,
    route: &ResourceRoute,
    container: &str,
    must_run: bool,
) -> Result<ContainerTarget, ApiError> {
    let pod = find_pod(server, route)?;
    let value = pod.value();
    let names = |field: &str| -> Vec<String> {
        let list = value["spec"][field].as_array();
        list.into_iter().flatten().filter_map(|c| c["name"].as_str().map(str::to_owned)).collect()
    };
    let (containers, init, ephemeral) = (names("containers"), names("initContainers"), names("ephemeralContainers"));
    let name = match container {
        "" if containers.len() == 1 => containers[0].clone(),
        "" => {
            let mut text = format!(
                "a container name must be specified for pod {}, choose one of: [{}]",
                route.name,
                containers.join(" ")
            );
            if !init.is_empty() {
                text = format!("{text} or one of the init containers: [{}]", init.join(" "));
            }
            return Err(ApiError::bad_request(text));
        }
        given if [&containers, &init, &ephemeral].into_iter().flatten().any(|n| n == given) => given.to_owned(),
        given => {
            return Err(ApiError::bad_request(format!("container {given} is not valid for pod {}", route.name)));
        }
    };
    let target = pod_target(&pod, route)?;
    if must_run && matches!(value["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        let phase = value["status"]["phase"].as_str().unwrap_or_default();
        return Err(ApiError::bad_request(format!(
            "cannot exec into a container in a completed pod; current phase is {phase}"
        )));
    }
    Ok(ContainerTarget { container: name, ..target })
}

fn find_pod(server: &ApiServer, route: &ResourceRoute) -> Result<Arc<Object>, ApiError> {
    let found = server.caches().get(PODS, &route.namespace, &route.name);
    found.ok_or_else(|| ApiError::not_found("", "pods", &route.name))
}

/// A Pod on its node, and no container of it.
fn pod_target(pod: &Object, route: &ResourceRoute) -> Result<ContainerTarget, ApiError> {
    let value = pod.value();
    let node = value["spec"]["nodeName"].as_str().unwrap_or_default();
    if node.is_empty() {
        return Err(ApiError::bad_request(format!("pod {} does not have a host assigned", route.name)));
    }
    Ok(ContainerTarget {
        node: node.to_owned(),
        namespace: route.namespace.clone(),
        pod: route.name.clone(),
        pod_uid: pod.meta().uid.clone(),
        container: String::new(),
    })
}

/// What a node says is handed on as it is: text and no Status, which clients print as the reason why there was no upgrade.
fn of_the_node(error: &ApiError) -> Response<Body> {
    with_body(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", whole(error.message.clone()))
}
