//! A container's environment: variables of Services, `envFrom`, `env` with references and `$(VAR)` expansion
//! (upstream: `pkg/kubelet/kubelet_pods.go`, `third_party/forked/golang/expansion`).

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Quantity;
use cri::KeyValue;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret, Service};

use crate::volumes::TrustBundles;

/// Where values come from. `Err` of a lookup says what is missing.
pub(crate) trait Sources {
    /// A ConfigMap of the Pod's namespace.
    fn config_map(&self, name: &str) -> Option<Arc<ConfigMap>>;
    /// A Secret of the Pod's namespace.
    fn secret(&self, name: &str) -> Option<Arc<Secret>>;
    /// The cluster's trust bundles.
    fn trust(&self) -> &TrustBundles;
}

/// What of the node's state the downward API shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct PodFacts {
    pub(crate) node_name: String,
    pub(crate) host_ip: String,
    pub(crate) pod_ip: String,
    /// What a limit that is not set counts as: the node's allocatable.
    pub(crate) node_allocatable: BTreeMap<String, String>,
}

/// Expands `$(NAME)`; `$$` is a dollar sign; a name that is not known stays as it is written.
pub(crate) fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match known.get(name) {
                Some(value) => out.push_str(value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// The variables that tell of Services: `REDIS_SERVICE_HOST`, `REDIS_PORT_6379_TCP` …. Of the Pod's own namespace if it
/// wants them, and of the API server always.
pub(crate) fn service_variables(services: &[Arc<Service>], namespace: &str, own: bool) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for service in services {
        let of = service.metadata.namespace.as_deref().unwrap_or_default();
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let master = of == "default" && name == "kubernetes";
        if master || (own && of == namespace) {
            one_service(service, name, &mut variables);
        }
    }
    variables
}

fn one_service(service: &Service, name: &str, variables: &mut BTreeMap<String, String>) {
    let Some(spec) = &service.spec else { return };
    let Some(address) = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None") else { return };
    let upper = |text: &str| text.to_uppercase().replace('-', "_");
    let prefix = upper(name);
    let Some(first) = spec.ports.iter().flatten().next() else { return };
    variables.insert(format!("{prefix}_SERVICE_HOST"), address.to_owned());
    variables.insert(format!("{prefix}_SERVICE_PORT"), first.port.to_string());
    for port in spec.ports.iter().flatten() {
        if let Some(name) = port.name.as_deref().filter(|n| !n.is_empty()) {
            variables.insert(format!("{prefix}_SERVICE_PORT_{}", upper(name)), port.port.to_string());
        }
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let url = format!("{}://{address}:{}", protocol.to_lowercase(), port.port);
        let stem = format!("{prefix}_PORT_{}_{}", port.port, protocol.to_uppercase());
        variables.entry(format!("{prefix}_PORT")).or_insert_with(|| url.clone());
        variables.insert(stem.clone(), url);
        variables.insert(format!("{stem}_PROTO"), protocol.to_lowercase());
        variables.insert(format!("{stem}_PORT"), port.port.to_string());
        variables.insert(format!("{stem}_ADDR"), address.to_owned());
    }
}

/// The whole environment. `Err` names what is missing, in upstream's words.
pub(crate) fn environment(
    pod: &Pod,
    container: &Container,
    services: BTreeMap<String, String>,
    facts: &PodFacts,
    sources: &dyn Sources,
) -> Result<Vec<KeyValue>, String> {
    let mut from: BTreeMap<String, String> = BTreeMap::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.clone().unwrap_or_default();
        let mut add = |key: &str, value: String| {
            from.insert(format!("{prefix}{key}"), value);
        };
        if let Some(reference) = &source.config_map_ref {
            match sources.config_map(&reference.name) {
                Some(map) => map.data.iter().flatten().for_each(|(k, v)| add(k, v.clone())),
                None if reference.optional == Some(true) => {}
                None => return Err(format!("configmap {:?} not found", reference.name)),
            }
        }
        if let Some(reference) = &source.secret_ref {
            match sources.secret(&reference.name) {
                Some(secret) => {
                    let text = |bytes: &k8s_openapi::ByteString| String::from_utf8_lossy(&bytes.0).into_owned();
                    secret.data.iter().flatten().for_each(|(k, v)| add(k, text(v)));
                }
                None if reference.optional == Some(true) => {}
                None => return Err(format!("secret {:?} not found", reference.name)),
            }
        }
    }
    // References see what was defined before them, and Services' variables.
    let mut known = services.clone();
    known.extend(from.clone());
    let mut result = from;
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => Some(expand(variable.value.as_deref().unwrap_or_default(), &known)),
            Some(source) => resolve(pod, container, source, facts, sources)?,
        };
        if let Some(value) = value {
            known.insert(variable.name.clone(), value.clone());
            result.insert(variable.name.clone(), value);
        }
    }
    for (name, value) in services {
        result.entry(name).or_insert(value);
    }
    Ok(result.into_iter().map(|(key, value)| KeyValue { key, value }).collect())
}

fn resolve(
    pod: &Pod,
    container: &Container,
    source: &EnvVarSource,
    facts: &PodFacts,
    sources: &dyn Sources,
) -> Result<Option<String>, String> {
    if let Some(field) = &source.field_ref {
        return pod_field(pod, &field.field_path, facts).map(Some);
    }
    if let Some(resource) = &source.resource_field_ref {
        let owner = resource.container_name.as_deref().filter(|n| !n.is_empty());
        let spec = pod.spec.as_ref();
        let named = owner.and_then(|name| spec?.containers.iter().find(|c| c.name == name));
        let divisor = resource.divisor.as_ref().map(|q| q.0.as_str()).unwrap_or_default();
        return resource_field(named.unwrap_or(container), &resource.resource, divisor, facts).map(Some);
    }
    if let Some(key) = &source.config_map_key_ref {
        let optional = key.optional == Some(true);
        let Some(map) = sources.config_map(&key.name) else {
            return if optional { Ok(None) } else { Err(format!("configmap {:?} not found", key.name)) };
        };
        return match map.data.as_ref().and_then(|d| d.get(&key.key)) {
            Some(value) => Ok(Some(value.clone())),
            None if optional => Ok(None),
            None => {
                Err(format!("couldn't find key {} in ConfigMap {}/{}", key.key, crate::names::namespace(pod), key.name))
            }
        };
    }
    if let Some(key) = &source.secret_key_ref {
        let optional = key.optional == Some(true);
        let Some(secret) = sources.secret(&key.name) else {
            return if optional { Ok(None) } else { Err(format!("secret {:?} not found", key.name)) };
        };
        return match secret.data.as_ref().and_then(|d| d.get(&key.key)) {
            Some(value) => Ok(Some(String::from_utf8_lossy(&value.0).into_owned())),
            None if optional => Ok(None),
            None => {
                Err(format!("couldn't find key {} in Secret {}/{}", key.key, crate::names::namespace(pod), key.name))
            }
        };
    }
    Ok(None)
}

/// A field of the Pod, for the downward API.
pub(crate) fn pod_field(pod: &Pod, path: &str, facts: &PodFacts) -> Result<String, String> {
    let spec = pod.spec.as_ref();
    let list = |map: &Option<BTreeMap<String, String>>| {
        let lines: Vec<String> = map.iter().flatten().map(|(k, v)| format!("{k}={v:?}")).collect();
        lines.join("\n")
    };
    let one = |map: &Option<BTreeMap<String, String>>, key: &str| {
        map.as_ref().and_then(|m| m.get(key)).cloned().unwrap_or_default()
    };
    if let Some((field, key)) = path.split_once("['").and_then(|(f, rest)| Some((f, rest.strip_suffix("']")?))) {
        return match field {
            "metadata.labels" => Ok(one(&pod.metadata.labels, key)),
            "metadata.annotations" => Ok(one(&pod.metadata.annotations, key)),
            _ => Err(format!("unsupported fieldPath: {path}")),
        };
    }
    Ok(match path {
        "metadata.name" => crate::names::name(pod).to_owned(),
        "metadata.namespace" => crate::names::namespace(pod).to_owned(),
        "metadata.uid" => crate::names::uid(pod).to_owned(),
        "metadata.labels" => list(&pod.metadata.labels),
        "metadata.annotations" => list(&pod.metadata.annotations),
        "spec.nodeName" => facts.node_name.clone(),
        "spec.serviceAccountName" => spec.and_then(|s| s.service_account_name.clone()).unwrap_or_default(),
        "status.hostIP" | "status.hostIPs" => facts.host_ip.clone(),
        "status.podIP" | "status.podIPs" => facts.pod_ip.clone(),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

/// A container's request or limit in units of `divisor`, rounded up; a limit that is not set counts as the node's
/// allocatable.
pub(crate) fn resource_field(
    container: &Container,
    resource: &str,
    divisor: &str,
    facts: &PodFacts,
) -> Result<String, String> {
    let unsupported = || format!("unsupported container resource : {resource}");
    let (kind, name) = resource.split_once('.').ok_or_else(unsupported)?;
    let resources = container.resources.as_ref();
    let list = match kind {
        "limits" => resources.and_then(|r| r.limits.as_ref()),
        "requests" => resources.and_then(|r| r.requests.as_ref()),
        _ => return Err(unsupported()),
    };
    let found = list.and_then(|l| l.get(name)).map(|q| q.0.clone());
    let text = match found {
        Some(text) => text,
        None if kind == "limits" => facts.node_allocatable.get(name).cloned().unwrap_or_else(|| "0".to_owned()),
        None => "0".to_owned(),
    };
    let parse = |text: &str| text.parse::<Quantity>().map_err(|error| error.to_string());
    let (value, divisor) = (parse(&text)?, parse(if divisor.is_empty() || divisor == "0" { "1" } else { divisor })?);
    let (value, divisor) =
        if name == "cpu" { (value.milli_value(), divisor.milli_value()) } else { (value.value(), divisor.value()) };
    let divisor = divisor.max(1);
    Ok(((value + divisor - 1) / divisor).to_string())
}

#[cfg(test)]
mod tests;
