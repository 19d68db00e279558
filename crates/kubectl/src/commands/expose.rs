//! `kubectl expose` (upstream: `kubectl/pkg/cmd/expose`).

use clap::Args;
use serde_json::{Map, Value, json};

use super::create::{known_type, shaped};
use super::set::pod_spec;
use crate::context::Context;
use crate::error::KubectlError;
use crate::output::OutputFlags;
use crate::overrides::OverrideFlags;
use crate::resource::{FileFlags, Info, Selection};
use crate::write::{self, DryRun, DryRunFlag, RecordFlag};

/// The longest name of a Service.
const NAME_MAX: usize = 63;

/// Expose a resource as a new service: a deployment, service, replica set, replication controller or pod, whose selector
/// and ports are taken over.
#[derive(Debug, Args)]
pub(crate) struct ExposeCommand {
    /// What to expose
    #[arg(value_name = "TYPE NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    #[command(flatten)]
    overrides: OverrideFlags,
    #[command(flatten)]
    record: RecordFlag,
    /// The cluster address, or None for a headless service
    #[arg(long)]
    cluster_ip: Option<String>,
    /// A further address that leads to the cluster's nodes
    #[arg(long)]
    external_ip: Option<String>,
    /// Who is recorded as the fields' owner
    #[arg(long, default_value = "kubectl-expose")]
    field_manager: String,
    /// The service's labels
    #[arg(long, short = 'l')]
    labels: Option<String>,
    /// The load balancer's address
    #[arg(long)]
    load_balancer_ip: Option<String>,
    /// The service's name; that of the resource if not given
    #[arg(long)]
    name: Option<String>,
    /// The service's port; those of the resource if not given
    #[arg(long)]
    port: Option<String>,
    /// TCP, UDP or SCTP
    #[arg(long)]
    protocol: Option<String>,
    /// Keep the configuration in the annotation that kubectl apply uses
    #[arg(long)]
    save_config: bool,
    /// The service's selector; that of the resource if not given
    #[arg(long)]
    selector: Option<String>,
    /// None or ClientIP
    #[arg(long)]
    session_affinity: Option<String>,
    /// The port of the containers, by number or name
    #[arg(long)]
    target_port: Option<String>,
    /// ClusterIP, NodePort, LoadBalancer or ExternalName
    #[arg(long = "type")]
    ty: Option<String>,
}

/// Port and protocol, in the order in which they are declared.
type Ports = Vec<(String, String)>;

impl ExposeCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let dry_run = self.dry_run.strategy(context)?;
        let printer = dry_run.printer(&self.output, "exposed")?;
        let selected = Selection::new(&self.files, &self.arguments).fetch(context).await?;
        let mut errors = Vec::new();
        for info in selected.infos {
            match self.expose(context, info, dry_run).await {
                Ok(service) => printer.print(&context.printer, &service)?,
                Err(error) => errors.push(error),
            }
        }
        errors.extend(selected.errors);
        KubectlError::all(errors)
    }

    async fn expose(&self, context: &Context, info: Info, dry_run: DryRun) -> Result<Value, KubectlError> {
        let resource = known_type("", "v1", "services")?;
        let mut service = shaped(&resource, self.service(&info)?)?;
        self.overrides.apply(&resource, &mut service)?;
        self.record.record(context, &mut service);
        if dry_run == DryRun::Client {
            if context.namespace_is_explicit() {
                service["metadata"]["namespace"] = context.namespace()?.into();
            }
            return Ok(service);
        }
        write::annotate_if(self.save_config, &mut service);
        let requests = write::requests(context, dry_run, &self.field_manager, "")?;
        requests.create(&resource, context.namespace()?, &service).await
    }

    fn service(&self, info: &Info) -> Result<Value, KubectlError> {
        let fault = |text: String| KubectlError::new(text);
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        can_be_exposed(info)?;
        let selector = match text(&self.selector) {
            given if given.is_empty() => selector_of(info).map_err(|why| {
                fault(format!("couldn't retrieve selectors via --selector flag or introspection: {why}"))
            })?,
            given => parse_labels(&given).map_err(fault)?,
        };
        if selector.is_empty() {
            return Err(fault("selector must be specified".to_owned()));
        }
        let declared = ports_of(info);
        let cluster_ip = text(&self.cluster_ip);
        let ports: Vec<String> = match text(&self.port) {
            given if !given.is_empty() => given.split(',').map(str::to_owned).collect(),
            _ => {
                let mut ports: Vec<String> = Vec::new();
                for (port, _) in &declared {
                    if !ports.contains(port) {
                        ports.push(port.clone());
                    }
                }
                if ports.is_empty() && cluster_ip != "None" {
                    return Err(fault("couldn't find port via --port flag or introspection".to_owned()));
                }
                ports
            }
        };
        let labels = match text(&self.labels) {
            given if given.is_empty() => labels(&info.object["metadata"]["labels"]),
            given => parse_labels(&given).map_err(fault)?,
        };
        let name = match text(&self.name) {
            given if given.is_empty() => info.name.chars().take(NAME_MAX).collect(),
            given => given,
        };
        let ports = self.service_ports(&ports, &declared)?;
        let mut spec = json!({"selector": selector});
        if !ports.is_empty() {
            spec["ports"] = json!(ports);
        }
        if let Some(external) = self.external_ip.as_ref().filter(|external| !external.is_empty()) {
            spec["externalIPs"] = json!([external]);
        }
        let ty = text(&self.ty);
        let load_balancer_ip = if ty == "LoadBalancer" { text(&self.load_balancer_ip) } else { String::new() };
        let affinity = text(&self.session_affinity);
        if !matches!(affinity.as_str(), "" | "None" | "ClientIP") {
            return Err(fault(format!("unknown session affinity: {affinity}")));
        }
        for (key, value) in [
            ("type", ty),
            ("loadBalancerIP", load_balancer_ip),
            ("sessionAffinity", affinity),
            ("clusterIP", cluster_ip),
        ] {
            if !value.is_empty() {
                spec[key] = value.into();
            }
        }
        let mut metadata = json!({"name": name});
        if !labels.is_empty() {
            metadata["labels"] = json!(labels);
        }
        Ok(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}))
    }

    /// The service's ports. A port of several protocols becomes one for each, unless `--protocol` says which.
    fn service_ports(&self, ports: &[String], declared: &Ports) -> Result<Vec<Value>, KubectlError> {
        let protocol = self.protocol.clone().unwrap_or_default();
        let target = self.target_port.as_deref().filter(|target| !target.is_empty());
        let mut entries = Vec::new();
        for (at, port) in ports.iter().enumerate() {
            let number: i64 = port
                .parse()
                .map_err(|_| KubectlError::new(format!("strconv.Atoi: parsing {port:?}: invalid syntax")))?;
            let target = match target {
                None => json!(number),
                Some(target) => target.parse::<i32>().map_or_else(|_| json!(target), |number| json!(number)),
            };
            let known: Vec<&str> =
                declared.iter().filter(|(known, _)| known == port).map(|(_, protocol)| protocol.as_str()).collect();
            let mut entry = |name: String, protocol: &str| {
                let mut entry = json!({"port": number, "protocol": protocol, "targetPort": target});
                if !name.is_empty() {
                    entry["name"] = name.into();
                }
                entries.push(entry);
            };
            let name = if ports.len() > 1 { format!("port-{}", at + 1) } else { String::new() };
            match known.as_slice() {
                _ if !protocol.is_empty() => entry(name, &protocol),
                [] => entry(name, "TCP"),
                [one] => entry(name, one),
                many => {
                    many.iter().for_each(|one| entry(format!("port-{}-{}", at + 1, one.to_lowercase()), one));
                }
            }
        }
        Ok(entries)
    }
}

fn can_be_exposed(info: &Info) -> Result<(), KubectlError> {
    let resource = &info.resource;
    let known = match resource.group.as_str() {
        "" => matches!(resource.kind.as_str(), "ReplicationController" | "Service" | "Pod"),
        "apps" => matches!(resource.kind.as_str(), "Deployment" | "ReplicaSet"),
        _ => false,
    };
    if known {
        return Ok(());
    }
    let group = if resource.group.is_empty() { String::new() } else { format!(".{}", resource.group) };
    Err(KubectlError::new(format!("cannot expose a {}{group}", resource.kind)))
}

fn labels(labels: &Value) -> Map<String, Value> {
    labels.as_object().cloned().unwrap_or_default()
}

/// The labels of the Pods behind an object.
fn selector_of(info: &Info) -> Result<Map<String, Value>, String> {
    let selector = &info.object["spec"]["selector"];
    match info.resource.kind.as_str() {
        "Pod" => match labels(&info.object["metadata"]["labels"]) {
            labels if labels.is_empty() => Err("the pod has no labels and cannot be exposed".to_owned()),
            labels => Ok(labels),
        },
        "Service" if selector.is_null() => Err("the service has no pod selector set".to_owned()),
        "Service" | "ReplicationController" => Ok(labels(selector)),
        kind => {
            let labels = labels(&selector["matchLabels"]);
            if labels.is_empty() {
                return Err(format!("invalid {}: no selectors, therefore cannot be exposed", kind.to_lowercase()));
            }
            if selector["matchExpressions"].as_array().is_some_and(|expressions| !expressions.is_empty()) {
                return Err(format!(
                    "couldn't convert expressions - \"{}\" to map-based selector format",
                    crate::output::columns::cell_text(&selector["matchExpressions"])
                ));
            }
            Ok(labels)
        }
    }
}

/// The ports that an object declares.
fn ports_of(info: &Info) -> Ports {
    let of = |ports: &Value, key: &str| -> Ports {
        let protocol = |port: &Value| port["protocol"].as_str().filter(|p| !p.is_empty()).unwrap_or("TCP").to_owned();
        ports.as_array().into_iter().flatten().map(|port| (port[key].to_string(), protocol(port))).collect()
    };
    if info.resource.kind == "Service" {
        return of(&info.object["spec"]["ports"], "port");
    }
    let mut object = info.object.clone();
    let Some(spec) = pod_spec(&mut object) else { return Vec::new() };
    let containers = spec["containers"].as_array().into_iter().flatten();
    containers.flat_map(|container| of(&container["ports"], "containerPort")).collect()
}

/// Labels as flags give them: `a=b,c=d`.
pub(super) fn parse_labels(spec: &str) -> Result<Map<String, Value>, String> {
    let mut labels = Map::new();
    for pair in spec.split(',') {
        match pair.split('=').collect::<Vec<_>>()[..] {
            ["", _] => return Err("unexpected empty label key".to_owned()),
            [key, value] => labels.insert(key.to_owned(), value.into()),
            _ => return Err(format!("unexpected label spec: {pair}")),
        };
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        assert_eq!(parse_labels("a=1,b=").unwrap().len(), 2);
        assert_eq!(parse_labels("a").unwrap_err(), "unexpected label spec: a");
        assert_eq!(parse_labels("=1").unwrap_err(), "unexpected empty label key");
    }
}
