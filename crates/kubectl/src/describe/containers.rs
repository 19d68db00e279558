//! Containers of a Pod or template, and the template itself.

use super::fields::{Fields, or_none};
use super::page::{Page, line, time};
use super::pod;
use super::resources;
use super::volumes;
use apimachinery::gotext::quote;
use jiff::tz::TimeZone;
use serde_json::Value;

/// Whose containers they are.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    /// A Pod, which has statuses and fields that environment variables refer to.
    Pod(&'a Value, &'a TimeZone),
    /// A template, whose lines are set in.
    Template,
}

impl Owner<'_> {
    fn indent(self) -> (&'static str, &'static str) {
        match self {
            Owner::Pod(..) => ("", ""),
            Owner::Template => ("  ", " "),
        }
    }
}

/// A Pod template, at its own indentation.
pub(super) fn template(page: &mut Page, template: &Value) {
    line!(page, 0, "Pod Template:");
    if template.is_null() {
        return page.write("  <unset>");
    }
    page.labels("  Labels", template, "metadata/labels");
    if !template.entries("metadata/annotations").is_empty() {
        page.annotations("  Annotations", template, "metadata/annotations");
    }
    page.field_if(1, "Service Account", template.text("spec/serviceAccountName"));
    if !template.list("spec/initContainers").is_empty() {
        containers(page, "Init Containers", template.list("spec/initContainers"), &[], Owner::Template);
    }
    containers(page, "Containers", template.list("spec/containers"), &[], Owner::Template);
    volumes::volumes(page, template.list("spec/volumes"), "  ");
    pod::spread_constraints(page, template.at("spec"), "  ");
    page.field_if(1, "Priority Class Name", template.text("spec/priorityClassName"));
    page.labels("  Node-Selectors", template, "spec/nodeSelector");
    pod::tolerations(page, "  Tolerations", template.at("spec"));
    pod::scheduling_group(page, template.at("spec"), "  ");
}

/// A list of containers behind its title.
pub(super) fn containers(page: &mut Page, title: &str, list: &[Value], statuses: &[Value], owner: Owner<'_>) {
    let (indent, name_indent) = owner.indent();
    let none = if list.is_empty() { " <none>" } else { "" };
    line!(page, 0, "{indent}{title}:{none}");
    for container in list {
        let name = container.text("name");
        let status = statuses.iter().rfind(|status| status.text("name") == name);
        line!(page, 1, "{name_indent}{name}:");
        image_and_ports(page, container, status);
        lines(page, "Command", container.list("command"));
        lines(page, "Args", container.list("args"));
        if let (Some(status), Owner::Pod(_, zone)) = (status, owner) {
            state(page, status, zone);
        }
        requirements(page, 2, container.at("resources"));
        for (title, path) in
            [("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")]
        {
            if container.has(path) {
                page.field(2, title, &probe(container.at(path)));
            }
        }
        environment_sources(page, container.list("envFrom"));
        environment(page, container, owner);
        mounts(page, container);
    }
}

fn image_and_ports(page: &mut Page, container: &Value, status: Option<&Value>) {
    if let Some(status) = status {
        page.field(2, "Container ID", status.text("containerID"));
    }
    page.field(2, "Image", container.text("image"));
    if let Some(status) = status {
        page.field(2, "Image ID", status.text("imageID"));
    }
    for (title, path) in [("Port", "containerPort"), ("Host Port", "hostPort")] {
        let ports = container.list("ports").iter().map(|port| {
            let text = format!("{}/{}", port.int(path), port.text("protocol"));
            match port.text("name") {
                "" => text,
                name => format!("{text} ({name})"),
            }
        });
        let ports: Vec<_> = ports.collect();
        let plural = if ports.len() > 1 { "s" } else { "" };
        line!(page, 2, "{title}{plural}:\t{}", or_none(&ports.join(", ")));
    }
    seccomp(page, 2, 3, container.at("securityContext/seccompProfile"));
}

/// A seccomp profile, with the file's name one level deeper.
pub(super) fn seccomp(page: &mut Page, level: usize, file_level: usize, profile: &Value) {
    if profile.is_null() {
        return;
    }
    page.field(level, "SeccompProfile", profile.text("type"));
    if profile.text("type") == "Localhost" {
        page.field(file_level, "LocalhostProfile", profile.text("localhostProfile"));
    }
}

fn lines(page: &mut Page, title: &str, words: &[Value]) {
    if words.is_empty() {
        return;
    }
    line!(page, 2, "{title}:");
    for text in words.iter().filter_map(Value::as_str).flat_map(|word| word.split('\n')) {
        line!(page, 3, "{text}");
    }
}

/// Limits and requests.
pub(super) fn requirements(page: &mut Page, level: usize, requirements: &Value) {
    for (title, path) in [("Limits", "limits"), ("Requests", "requests")] {
        let entries = requirements.entries(path);
        if !entries.is_empty() {
            line!(page, level, "{title}:");
        }
        for (name, quantity) in entries {
            page.field(level + 1, name, &resources::canonical(quantity));
        }
    }
}

fn state(page: &mut Page, status: &Value, zone: &TimeZone) {
    one_state(page, "State", status.at("state"), zone);
    if status.has("lastState/terminated") {
        one_state(page, "Last State", status.at("lastState"), zone);
    }
    page.field(2, "Ready", if status.flag("ready") { "True" } else { "False" });
    line!(page, 2, "Restart Count:\t{}", status.int("restartCount"));
}

fn one_state(page: &mut Page, title: &str, state: &Value, zone: &TimeZone) {
    if state.has("running") {
        page.field(2, title, "Running");
        page.field(3, "Started", &time(state.at("running/startedAt"), zone));
    } else if state.has("terminated") && !state.has("waiting") {
        let end = state.at("terminated");
        page.field(2, title, "Terminated");
        page.field_if(3, "Reason", end.text("reason"));
        page.field_if(3, "Message", end.text("message"));
        line!(page, 3, "Exit Code:\t{}", end.int("exitCode"));
        if end.int("signal") > 0 {
            line!(page, 3, "Signal:\t{}", end.int("signal"));
        }
        page.field(3, "Started", &time(end.at("startedAt"), zone));
        page.field(3, "Finished", &time(end.at("finishedAt"), zone));
    } else {
        page.field(2, title, "Waiting");
        page.field_if(3, "Reason", state.text("waiting/reason"));
    }
}

/// A probe in one line.
fn probe(probe: &Value) -> String {
    let times = format!(
        "delay={}s timeout={}s period={}s successThreshold={} failureThreshold={}",
        probe.int("initialDelaySeconds"),
        probe.int("timeoutSeconds"),
        probe.int("periodSeconds"),
        probe.int("successThreshold"),
        probe.int("failureThreshold"),
    );
    if probe.has("exec") {
        return format!("exec [{}] {times}", probe.joined("exec/command", " "));
    }
    if probe.has("httpGet") {
        let get = probe.at("httpGet");
        let (host, port) = (get.text("host"), get.shown("port"));
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
        let path = escape_path(get.text("path"));
        let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
        return format!("http-get {}://{host}:{port}{slash}{path} {times}", get.text("scheme").to_lowercase());
    }
    if probe.has("tcpSocket") {
        let socket = probe.at("tcpSocket");
        return format!("tcp-socket {}:{} {times}", socket.text("host"), socket.shown("port"));
    }
    if probe.has("grpc") {
        return format!("grpc <pod>:{} {} {times}", probe.int("grpc/port"), probe.text("grpc/service"));
    }
    format!("unknown {times}")
}

/// A path as `net/url` writes it.
fn escape_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@!'()*".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn environment_sources(page: &mut Page, sources: &[Value]) {
    if sources.is_empty() {
        return;
    }
    line!(page, 2, "Environment Variables from:");
    for source in sources {
        let (kind, reference) = match (source.at("configMapRef"), source.at("secretRef")) {
            (Value::Null, Value::Null) => ("", &Value::Null),
            (Value::Null, secret) => ("Secret", secret),
            (config_map, _) => ("ConfigMap", config_map),
        };
        let prefix = match source.text("prefix") {
            "" => String::new(),
            prefix => format!(" with prefix '{prefix}'"),
        };
        let optional = reference.flag("optional");
        line!(page, 3, "{}\t{kind}{prefix}\tOptional: {optional}", reference.text("name"));
    }
}

fn environment(page: &mut Page, container: &Value, owner: Owner<'_>) {
    let variables = container.list("env");
    let none = if variables.is_empty() { "\t<none>" } else { "" };
    line!(page, 2, "Environment:{none}");
    for variable in variables {
        let (name, from) = (variable.text("name"), variable.at("valueFrom"));
        if from.is_null() {
            for (at, text) in variable.text("value").split('\n').enumerate() {
                match at {
                    0 => line!(page, 3, "{name}:\t{text}"),
                    _ => line!(page, 3, "\t{text}"),
                }
            }
        } else if from.has("fieldRef") {
            let path = from.text("fieldRef/fieldPath");
            let value = match owner {
                Owner::Pod(pod, _) => field_value(pod, path),
                Owner::Template => "",
            };
            line!(page, 3, "{name}:\t{value} ({}:{path})", from.text("fieldRef/apiVersion"));
        } else if from.has("resourceFieldRef") {
            let resource = from.text("resourceFieldRef/resource");
            let value = resources::field_value(container, from.at("resourceFieldRef")).unwrap_or_default();
            let is_unlimited = value == "0" && matches!(resource, "limits.cpu" | "limits.memory");
            let value = if is_unlimited { "node allocatable" } else { &value };
            line!(page, 3, "{name}:\t{value} ({resource})");
        } else if from.has("secretKeyRef") {
            let (key, of) = (from.text("secretKeyRef/key"), from.text("secretKeyRef/name"));
            let optional = from.flag("secretKeyRef/optional");
            line!(page, 3, "{name}:\t<set to the key '{key}' in secret '{of}'>\tOptional: {optional}");
        } else if from.has("configMapKeyRef") {
            let (key, of) = (from.text("configMapKeyRef/key"), from.text("configMapKeyRef/name"));
            let optional = from.flag("configMapKeyRef/optional");
            line!(page, 3, "{name}:\t<set to the key '{key}' of config map '{of}'>\tOptional: {optional}");
        }
    }
}

/// Upstream resolves only the fields that a selector may name on every kind.
fn field_value<'a>(pod: &'a Value, path: &str) -> &'a str {
    match path {
        "metadata.name" => pod.text("metadata/name"),
        "metadata.namespace" => pod.text("metadata/namespace"),
        _ => "",
    }
}

fn mounts(page: &mut Page, container: &Value) {
    let mut mounts: Vec<_> = container.list("volumeMounts").iter().collect();
    let none = if mounts.is_empty() { "\t<none>" } else { "" };
    line!(page, 2, "Mounts:{none}");
    mounts.sort_by_key(|mount| mount.text("mountPath"));
    for mount in mounts {
        let mode = if mount.flag("readOnly") { "ro" } else { "rw" };
        let sub_path = match mount.text("subPath") {
            "" => String::new(),
            path => format!(",path={}", quote(path)),
        };
        line!(page, 3, "{} from {} ({mode}{sub_path})", mount.text("mountPath"), mount.text("name"));
    }
    let mut devices: Vec<_> = container.list("volumeDevices").iter().collect();
    if devices.is_empty() {
        return;
    }
    line!(page, 2, "Devices:{none}");
    devices.sort_by_key(|device| device.text("devicePath"));
    for device in devices {
        line!(page, 3, "{} from {}", device.text("devicePath"), device.text("name"));
    }
}
