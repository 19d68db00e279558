//! `kubectl describe` (upstream: `kubectl/pkg/cmd/describe`): obtains what [`crate::describe`] shows.

use clap::{ArgAction, Args};
use client::rest::{encode_query, encode_segment};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::context::Context;
use crate::describe::{Backend, Needs, Related, backends, needs, render};
use crate::error::KubectlError;
use crate::flags::values;
use crate::pods::{label_selector, selector_for};
use crate::resource::{FileFlags, Info, Selection};

/// Show an object with what belongs to it: Events, endpoints, Pods.
#[derive(Debug, Args)]
pub(crate) struct DescribeCommand {
    /// The types and names; a name may be the beginning of several
    #[arg(value_name = "TYPE [NAME_PREFIX | -l label] | TYPE/NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    /// Objects of all namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Ask for large lists in parts of this many objects; 0 for all at once
    #[arg(long, value_parser = values::int64, default_value = "500", allow_negative_numbers = true)]
    chunk_size: i64,
    /// Choose by labels, such as app=web,tier!=db
    #[arg(long, short = 'l')]
    selector: Option<String>,
    /// Show Events; if not given, only where one object is described
    #[arg(long, value_parser = values::switch, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    show_events: Option<bool>,
}

impl DescribeCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        if self.arguments.is_empty() && self.files.is_empty() {
            return Err(KubectlError::new(
                "You must specify the type of resource to describe. Use \"kubectl api-resources\" for a complete list of \
                 supported resources.\n",
            ));
        }
        let selected = self.selection().fetch(context).await?;
        let single = selected.errors.is_empty() && selected.infos.len() <= 1;
        let events = self.show_events.unwrap_or(single);
        if let ([error], [ty, prefix]) = (selected.errors.as_slice(), self.arguments.as_slice())
            && error.is_not_found()
        {
            return self.describe_matching(context, error, ty, prefix, events).await;
        }
        let mut errors = selected.errors;
        for (at, info) in selected.infos.iter().enumerate() {
            let text = self.describe(context, info, events).await?;
            let before = if at == 0 { "" } else { "\n\n" };
            context.printer.out(format!("{before}{text}"))?;
        }
        if selected.infos.is_empty() && errors.is_empty() {
            if self.all_namespaces {
                context.printer.err_line("No resources found");
            } else {
                context.printer.err_line(format!("No resources found in {} namespace.", context.namespace()?));
            }
        }
        errors.dedup();
        KubectlError::all(errors)
    }

    fn selection(&self) -> Selection {
        Selection {
            label_selector: self.selector.clone().unwrap_or_default(),
            all_namespaces: self.all_namespaces,
            type_means_all: true,
            latest: true,
            chunk_size: u64::try_from(self.chunk_size).unwrap_or_default(),
            ..Selection::new(&self.files, &self.arguments)
        }
    }

    /// Describes all whose names begin so.
    async fn describe_matching(
        &self,
        context: &Context,
        original: &KubectlError,
        ty: &str,
        prefix: &str,
        events: bool,
    ) -> Result<(), KubectlError> {
        let selection = Selection {
            arguments: vec![ty.to_owned()],
            type_means_all: true,
            single_type: true,
            stop_on_error: true,
            chunk_size: u64::try_from(self.chunk_size).unwrap_or_default(),
            ..Selection::default()
        };
        let infos = selection.fetch(context).await?.all()?;
        let matching: Vec<&Info> = infos.iter().filter(|info| info.name.starts_with(prefix)).collect();
        if matching.is_empty() {
            return Err(original.clone());
        }
        for info in matching {
            let text = self.describe(context, info, events).await?;
            context.printer.line(text)?;
        }
        Ok(())
    }

    async fn describe(&self, context: &Context, info: &Info, events: bool) -> Result<String, KubectlError> {
        let related = self.related(context, info, events).await?;
        Ok(render(&info.object, &related, context.clock.now(), &TimeZone::system()))
    }

    async fn related(&self, context: &Context, info: &Info, events: bool) -> Result<Related, KubectlError> {
        let object = &info.object;
        let needs: Needs = needs(object);
        let namespace = info.namespace.as_str();
        let in_namespace = |resource: &str| format!("/api/v1/namespaces/{namespace}/{resource}");
        let mut related = Related::default();
        if needs.events && events {
            related.events = Some(self.events(context, info).await);
        }
        if needs.pods_by_selector {
            let selector = selector_for(object).unwrap_or_default();
            let pods = self.list(context, &in_namespace("pods"), &[("labelSelector", &selector)]).await;
            related.pods = Some(pods.map_err(|error| error.to_string()));
        }
        if needs.pods_of_namespace {
            related.pods = Some(Ok(self.list(context, &in_namespace("pods"), &[]).await?));
        }
        if needs.pods_by_node {
            let selector = format!("spec.nodeName={},status.phase!=Succeeded,status.phase!=Failed", info.name);
            match self.list(context, "/api/v1/pods", &[("fieldSelector", &selector)]).await {
                Err(error) if error.api().is_none_or(|api| api.reason != apimachinery::Reason::Forbidden) => {
                    return Err(error);
                }
                pods => related.pods = Some(pods.map_err(|error| error.to_string())),
            }
        }
        if needs.replica_sets {
            let selector = label_selector(&object["spec"]["selector"]);
            let path = format!("/apis/apps/v1/namespaces/{namespace}/replicasets");
            let sets = self.list(context, &path, &[("labelSelector", &selector)]).await;
            related.replica_sets = sets.unwrap_or_default();
        }
        if needs.endpoint_slices {
            related.endpoint_slices = self.slices(context, namespace, &info.name).await.unwrap_or_default();
        }
        if needs.backends {
            for name in backends(object) {
                let backend = self.backend(context, namespace, &name).await;
                related.backends.insert(name, backend.map_err(|error| error.to_string()));
            }
        }
        if needs.lease {
            let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{}", info.name);
            let lease = context.client()?.get_json(&path).await;
            related.lease = Some(lease.map_err(|error| error.to_string()));
        }
        if needs.limits {
            let of_namespace = |resource: &str| format!("/api/v1/namespaces/{}/{resource}", info.name);
            related.quotas = found(self.list(context, &of_namespace("resourcequotas"), &[]).await)?;
            related.limit_ranges = found(self.list(context, &of_namespace("limitranges"), &[]).await)?;
        }
        Ok(related)
    }

    async fn slices(&self, context: &Context, namespace: &str, service: &str) -> Result<Vec<Value>, KubectlError> {
        let selector = format!("kubernetes.io/service-name={service}");
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
        self.list(context, &path, &[("labelSelector", &selector)]).await
    }

    async fn backend(&self, context: &Context, namespace: &str, name: &str) -> Result<Backend, KubectlError> {
        let endpoint_slices = self.slices(context, namespace, name).await?;
        let path = format!("/api/v1/namespaces/{namespace}/services/{}", encode_segment(name));
        Ok(Backend { service: context.client()?.get_json(&path).await?, endpoint_slices })
    }

    /// The Events about an object; none where they cannot be read, as upstream shows it.
    async fn events(&self, context: &Context, info: &Info) -> Vec<Value> {
        let object = &info.object;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, uid) = (text(&object["kind"]), text(&object["metadata"]["uid"]));
        let mut wanted = vec![(kind.clone(), uid)];
        match kind.as_str() {
            // A mirror Pod's Events are about the Pod of the file; its kind is not asked for.
            "Pod" => {
                let mirror = text(&object["metadata"]["annotations"]["kubernetes.io/config.mirror"]);
                wanted[0].0.clear();
                if !mirror.is_empty() {
                    wanted[0].1 = mirror;
                }
            }
            // The kubelet's Events are about the node's name.
            "Node" => wanted.push((kind.clone(), info.name.clone())),
            _ => {}
        }
        let path = match info.namespace.as_str() {
            "" => "/api/v1/events".to_owned(),
            namespace => format!("/api/v1/namespaces/{namespace}/events"),
        };
        let mut events = Vec::new();
        for (kind, uid) in wanted {
            let fields = [
                ("involvedObject.kind", &kind),
                ("involvedObject.name", &info.name),
                ("involvedObject.namespace", &info.namespace),
                ("involvedObject.uid", &uid),
            ];
            let given = fields.iter().filter(|(name, value)| !value.is_empty() || name.ends_with("namespace"));
            let selector = given.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",");
            events.extend(self.list(context, &path, &[("fieldSelector", &selector)]).await.unwrap_or_default());
        }
        events
    }

    /// All items of a collection.
    async fn list(
        &self,
        context: &Context,
        path: &str,
        selector: &[(&str, &String)],
    ) -> Result<Vec<Value>, KubectlError> {
        let mut items = Vec::new();
        let mut token = String::new();
        loop {
            let mut query: Vec<(&str, String)> = selector.iter().map(|(key, text)| (*key, (*text).clone())).collect();
            query.push(("limit", self.chunk_size.max(0).to_string()));
            if !token.is_empty() {
                query.push(("continue", token));
            }
            let mut list = context.client()?.get_json(&format!("{path}{}", encode_query(query))).await?;
            if let Value::Array(more) = list["items"].take() {
                items.extend(more);
            }
            token = list["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if token.is_empty() {
                return Ok(items);
            }
        }
    }
}

/// What the server has of a kind, where it serves it.
fn found(list: Result<Vec<Value>, KubectlError>) -> Result<Option<Vec<Value>>, KubectlError> {
    match list {
        Err(error) if error.is_not_found() => Ok(None),
        list => list.map(Some),
    }
}
